/**
 * What the environment says about serving and reading: bounds of the xDS server, how often key sets are fetched, what of a cluster is
 * read, who sees metrics. Names are Istio's.
 */
import type { GrpcLimits } from '#ads/grpc-limits.ts';
import { type ResourceFilter, resourceFilter } from './resource-filter.ts';
import type { VariableReader } from './variable-reader.ts';

/** Values of these variables. */
export interface ServingEnvironment {
  /** Between fetches of a token issuer's key set; undefined: Istio's. */
  readonly keySetRefreshMs: number | undefined;
  /** What one caller may take, and when it is asked whether it is still there; the server has its own for the rest. */
  readonly grpcLimits: Partial<GrpcLimits>;
  /** Which custom resources are read. */
  readonly isRead: ResourceFilter;
  /** The one namespace that is watched; '' for all. */
  readonly watchNamespace: string;
  /** Metrics are shown to this machine only. */
  readonly hasLocalMetrics: boolean;
}

/** Reads them. */
export function readServingEnvironment(reader: VariableReader): ServingEnvironment {
  return {
    keySetRefreshMs: reader.durationMs('PILOT_JWT_PUB_KEY_REFRESH_INTERVAL'),
    grpcLimits: readGrpcLimits(reader),
    isRead: resourceFilter(reader.list('PILOT_IGNORE_RESOURCES'), reader.list('PILOT_INCLUDE_RESOURCES')),
    watchNamespace: reader.text('ISTIO_WATCH_NAMESPACE'),
    hasLocalMetrics: reader.text('METRICS_LOCALHOST_ACCESS_ONLY') === 'true',
  };
}

function readGrpcLimits(reader: VariableReader): Partial<GrpcLimits> {
  const maxMessageBytes = reader.count('ISTIO_GPRC_MAXRECVMSGSIZE');
  const maxStreamsPerConnection = reader.count('ISTIO_GPRC_MAXSTREAMS');
  const pingIntervalMs = reader.durationMs('GRPC_KEEPALIVE_INTERVAL');
  const pingTimeoutMs = reader.durationMs('GRPC_KEEPALIVE_TIMEOUT');
  return {
    ...(maxMessageBytes === undefined ? {} : { maxMessageBytes, maxTrustedMessageBytes: maxMessageBytes }),
    ...(maxStreamsPerConnection === undefined ? {} : { maxStreamsPerConnection }),
    ...(pingIntervalMs === undefined ? {} : { pingIntervalMs }),
    ...(pingTimeoutMs === undefined ? {} : { pingTimeoutMs }),
  };
}
