/**
 * The router, the last filter: answers by itself what the route says, or sends the request to a cluster.
 * Source: envoy source/common/router/router.cc decodeHeaders.
 */
import {
  type Route,
  type RouteAction,
  RouteAction_ClusterNotFoundResponseCode as NotFoundCode,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { findCluster, noteCluster } from '#simulation/cluster.ts';
import { chooseEndpoints } from '#simulation/endpoints.ts';
import type { Evaluation } from '#simulation/evaluation.ts';
import { durationMs } from '#simulation/message-values.ts';
import { isGrpc } from '#simulation/route/route-match.ts';
import { causeOfRoute, fractionWeights } from '#simulation/route/route-selection.ts';
import type { RouteFacts, Verdict } from '#simulation/simulated-call.ts';
import { chooseCluster } from './cluster-choice.ts';
import { applyHeaderOperations } from './header-operations.ts';
import { httpsLocation, redirectLocation, redirectStatus } from './redirect.ts';
import type { ChosenCluster, RequestState } from './request-state.ts';
import { rewriteHost, rewritePath } from './rewrite.ts';

const OK = 200;
const MOVED_PERMANENTLY = 301;
const NOT_FOUND = 404;
const UNAVAILABLE = 503;

/** The route that takes the request, if one does. */
export function routeOf({ selection }: RequestState): Route | undefined {
  return selection?.kind === 'route' ? selection.route : undefined;
}

/** The status that an answer of Envoy's own has: gRPC callers get 200 and the error in the trailers. */
export function localStatus({ headers }: RequestState, status: number): number {
  return isGrpc(headers) ? OK : status;
}

/** How the request ends. */
export function runRouter(evaluation: Evaluation, state: RequestState): Verdict {
  const { selection, headers } = state;
  if (selection?.kind === 'tls-redirect') {
    const status = localStatus(state, MOVED_PERMANENTLY);
    const location = httpsLocation(headers);
    return { kind: 'redirect', status, details: 'direct_response', route: '', location };
  }
  const route = routeOf(state);
  if (route === undefined) return noRoute(state);
  const { action, name } = route;
  switch (action.case) {
    case 'redirect': {
      const location = redirectLocation(action.value, route.match, headers);
      evaluation.note('route', name, `redirects to ${location}`, causeOfRoute(route));
      const status = localStatus(state, redirectStatus(action.value));
      return { kind: 'redirect', status, details: 'direct_response', route: name, location };
    }
    case 'directResponse': {
      const body = action.value.body?.specifier;
      const text = body?.case === 'inlineString' ? body.value : textOf(body?.value);
      evaluation.note('route', name, `answers ${action.value.status}`, causeOfRoute(route));
      const status = localStatus(state, action.value.status);
      return { kind: 'direct-response', status, details: 'direct_response', route: name, body: text };
    }
    case 'route':
      return forward(evaluation, state, route, action.value);
    default:
      evaluation.notEvaluated('route', name, `action ${action.case}`);
      return { kind: 'not-evaluated', reason: `route action ${action.case}` };
  }
}

function textOf(bytes: unknown): string {
  return bytes instanceof Uint8Array ? new TextDecoder().decode(bytes) : '';
}

function noRoute(state: RequestState): Verdict {
  const status = localStatus(state, NOT_FOUND);
  return { kind: 'no-route', status, details: 'route_not_found', route: '' };
}

function forward(evaluation: Evaluation, state: RequestState, route: Route, action: RouteAction): Verdict {
  const chosen = chooseCluster(evaluation, state);
  if (chosen === undefined) return { kind: 'not-evaluated', reason: 'how the cluster is chosen' };
  const found = findCluster(evaluation, chosen.name);
  if (found === undefined) {
    const status = localStatus(state, notFoundStatus(action));
    return {
      kind: 'no-cluster',
      status,
      details: 'cluster_not_found',
      route: route.name,
      cluster: chosen.name,
    };
  }
  finalizeRequest(evaluation, state, route, action, chosen);
  if (action.metadataMatch !== undefined) evaluation.notEvaluated('cluster', chosen.name, 'metadata match');
  const endpoints = chooseEndpoints(evaluation, found, state.connection, state.headers);
  noteCluster(evaluation, found, endpoints);
  if (endpoints.kind === 'known' && endpoints.endpoints.length === 0) {
    const answer = {
      status: localStatus(state, UNAVAILABLE),
      details: 'no_healthy_upstream',
      route: route.name,
    };
    return { kind: 'no-endpoint', ...answer, cluster: chosen.name };
  }
  const { headers } = state;
  return {
    kind: 'routed',
    route: route.name,
    virtualHost: state.selection?.virtualHost?.name ?? '',
    cluster: chosen.name,
    endpoints,
    request: {
      method: headers.method,
      authority: headers.authority,
      path: headers.path,
      scheme: headers.get(':scheme') ?? '',
      headers: headers.regular(),
    },
    facts: routeFacts(state, action),
  };
}

function notFoundStatus({ clusterNotFoundResponseCode }: RouteAction): number {
  if (clusterNotFoundResponseCode === NotFoundCode.NOT_FOUND) return NOT_FOUND;
  return clusterNotFoundResponseCode === NotFoundCode.INTERNAL_SERVER_ERROR ? 500 : UNAVAILABLE;
}

/** Header operations from the most specific to the least (the other way round if the table says so), then host and path. */
function finalizeRequest(
  evaluation: Evaluation,
  state: RequestState,
  route: Route,
  action: RouteAction,
  chosen: ChosenCluster,
): void {
  const { headers, selection, routes } = state;
  const specifier = action.clusterSpecifier;
  const weighted = specifier.case === 'weightedClusters' ? specifier.value.clusters[chosen.index] : undefined;
  const levels = [route, selection?.virtualHost, routes].filter((level) => level !== undefined);
  if (routes?.mostSpecificHeaderMutationsWins === true) levels.reverse();
  if (weighted !== undefined) applyHeaderOperations(headers, weighted);
  for (const level of levels) applyHeaderOperations(headers, level);
  // The route's host beats that of its weighted cluster.
  const host =
    rewriteHost(evaluation, action.hostRewriteSpecifier, headers) ??
    (weighted === undefined ? undefined : rewriteHost(evaluation, weighted.hostRewriteSpecifier, headers));
  if (host !== undefined) {
    if (action.appendXForwardedHost) headers.append('x-forwarded-host', headers.authority);
    headers.set(':authority', host);
  }
  if (action.pathRewrite !== '' || action.pathRewritePolicy !== undefined)
    evaluation.notEvaluated('request', headers.path, 'path rewrite by format or policy');
  const path = rewritePath(route.match, action, headers.path);
  if (path === undefined) return;
  headers.set('x-envoy-original-path', headers.path);
  headers.set(':path', path);
}

function routeFacts(state: RequestState, action: RouteAction): RouteFacts {
  const policy = action.retryPolicy ?? state.selection?.virtualHost?.retryPolicy;
  const mirrors = action.requestMirrorPolicies.map(({ cluster, runtimeFraction }) => {
    const fraction = runtimeFraction?.defaultValue;
    const [yes, no] = fraction === undefined ? [1, 0] : fractionWeights(fraction);
    return { cluster, probability: yes / (yes + no) };
  });
  return {
    timeoutMs: action.timeout === undefined ? DEFAULT_TIMEOUT_MS : durationMs(action.timeout),
    retries: policy === undefined ? 0 : (policy.numRetries ?? 1),
    retryOn: policy?.retryOn ?? '',
    mirrors,
    delayMs: state.delayMs,
  };
}

/** Envoy's own, for routes that say nothing. */
const DEFAULT_TIMEOUT_MS = 15_000;
