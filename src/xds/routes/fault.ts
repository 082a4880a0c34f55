/** Fault injection of a route, as per-route configuration of Envoy's fault filter. Pure. */
import { create } from '@bufbuild/protobuf';
import {
  type FaultAbort,
  FaultAbortSchema,
  type HTTPFault,
  HTTPFaultSchema,
} from '#proto/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import {
  type FaultDelay,
  FaultDelaySchema,
} from '#proto/envoy/extensions/filters/common/fault/v3/fault_pb.ts';
import type {
  HTTPFaultInjection_AbortJson,
  HTTPFaultInjection_DelayJson,
  HTTPFaultInjectionJson,
} from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import { parseDuration } from './duration.ts';
import { buildFraction, buildWholeFraction } from './percent.ts';

/** Codes by their names in gRPC's specification; Istio accepts these names. */
const GRPC_CODES: ReadonlyMap<string, number> = new Map(
  [
    'OK',
    'CANCELLED',
    'UNKNOWN',
    'INVALID_ARGUMENT',
    'DEADLINE_EXCEEDED',
    'NOT_FOUND',
    'ALREADY_EXISTS',
    'PERMISSION_DENIED',
    'RESOURCE_EXHAUSTED',
    'FAILED_PRECONDITION',
    'ABORTED',
    'OUT_OF_RANGE',
    'UNIMPLEMENTED',
    'INTERNAL',
    'UNAVAILABLE',
    'DATA_LOSS',
    'UNAUTHENTICATED',
  ].map((name, code) => [name, code]),
);

/** Builds the fault; undefined when nothing usable is asked for (exponential delays and HTTP/2 errors are not). */
export function buildFault(fault: HTTPFaultInjectionJson): HTTPFault | undefined {
  const delay = fault.delay === undefined ? undefined : buildDelay(fault.delay);
  const abort = fault.abort === undefined ? undefined : buildAbort(fault.abort);
  if (delay === undefined && abort === undefined) return undefined;
  return create(HTTPFaultSchema, {
    ...(delay === undefined ? {} : { delay }),
    ...(abort === undefined ? {} : { abort }),
  });
}

function buildDelay(delay: HTTPFaultInjection_DelayJson): FaultDelay | undefined {
  if (delay.fixedDelay === undefined) return undefined;
  return create(FaultDelaySchema, {
    faultDelaySecifier: { case: 'fixedDelay', value: parseDuration(delay.fixedDelay) },
    percentage:
      delay.percentage === undefined
        ? buildWholeFraction(delay.percent ?? 0)
        : buildFraction(delay.percentage),
  });
}

function buildAbort(abort: HTTPFaultInjection_AbortJson): FaultAbort | undefined {
  const percentage = abort.percentage === undefined ? {} : { percentage: buildFraction(abort.percentage) };
  if (abort.httpStatus !== undefined) {
    return create(FaultAbortSchema, {
      errorType: { case: 'httpStatus', value: abort.httpStatus },
      ...percentage,
    });
  }
  if (abort.grpcStatus !== undefined) {
    const code = GRPC_CODES.get(abort.grpcStatus) ?? 0;
    return create(FaultAbortSchema, { errorType: { case: 'grpcStatus', value: code }, ...percentage });
  }
  return undefined;
}
