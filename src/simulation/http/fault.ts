/**
 * Envoy's fault filter: a delay, then an abort, each by its own chance; only for requests whose route leads somewhere else or
 * nowhere alike. Source: envoy source/extensions/filters/http/fault/fault_filter.cc.
 */
import type { HTTPFault } from '#proto/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import type { FractionalPercent } from '#proto/envoy/type/v3/percent_pb.ts';
import type { Evaluation } from '#simulation/evaluation.ts';
import { matchesHeader } from '#simulation/match/header.ts';
import { durationMs } from '#simulation/message-values.ts';
import { isGrpc } from '#simulation/route/route-match.ts';
import { causeOfRoute, fractionWeights } from '#simulation/route/route-selection.ts';
import type { Verdict } from '#simulation/simulated-call.ts';
import { chooseCluster } from './cluster-choice.ts';
import { routeOf } from './router.ts';
import type { RequestState } from './request-state.ts';

const FILTER = 'envoy.filters.http.fault';
const OK = 200;

/** The abort, or nothing; a delay is kept in the state. */
export function runFault(evaluation: Evaluation, state: RequestState, fault: HTTPFault): Verdict | undefined {
  if (!applies(evaluation, state, fault)) return undefined;
  const route = routeOf(state);
  const causes = route === undefined ? [] : causeOfRoute(route);
  if (happens(evaluation, fault.delay?.percentage)) {
    const { faultDelaySecifier: delay } = fault.delay ?? {};
    if (delay?.case === 'fixedDelay') state.delayMs += durationMs(delay.value);
    else evaluation.notEvaluated('http-filter', FILTER, 'delay that a header asks for');
    if (state.delayMs > 0) evaluation.note('http-filter', FILTER, `delays by ${state.delayMs} ms`, causes);
  }
  if (!happens(evaluation, fault.abort?.percentage)) return undefined;
  const error = fault.abort?.errorType;
  if (error?.case !== 'httpStatus' && error?.case !== 'grpcStatus') {
    evaluation.notEvaluated('http-filter', FILTER, 'abort that a header asks for');
    return undefined;
  }
  const isGrpcStatus = error.case === 'grpcStatus';
  const status = isGrpcStatus || isGrpc(state.headers) ? OK : error.value;
  evaluation.note('http-filter', FILTER, `aborts with ${error.value}`, causes);
  return {
    kind: 'fault-abort',
    status,
    details: 'fault_filter_abort',
    route: route?.name ?? '',
    grpcStatus: isGrpcStatus ? error.value : undefined,
  };
}

/** A percentage that is not given is none. */
function happens({ chance }: Evaluation, percentage: FractionalPercent | undefined): boolean {
  return percentage !== undefined && chance.pick(fractionWeights(percentage)) === 0;
}

function applies(evaluation: Evaluation, state: RequestState, fault: HTTPFault): boolean {
  if (!fault.headers.every((header) => matchesHeader(header, state.headers))) return false;
  if (fault.downstreamNodes.length > 0) {
    const node = state.headers.get('x-envoy-downstream-service-node');
    if (node === undefined || !fault.downstreamNodes.includes(node)) return false;
  }
  return fault.upstreamCluster === '' || chooseCluster(evaluation, state)?.name === fault.upstreamCluster;
}
