/** What a route does with a request: send it to one cluster or to several by weight. Pure. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type RouteAction,
  RouteAction_ClusterNotFoundResponseCode,
  type RouteAction_HashPolicy,
  RouteActionSchema,
  type RouteMatch,
  type WeightedCluster_ClusterWeightSchema,
  WeightedClusterSchema,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import type {
  HTTPRetryJson,
  HTTPRouteDestinationJson,
  HTTPRouteJson,
} from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import { noDuration, parseDuration } from './duration.ts';
import { buildHashPolicy, type ConsistentHash } from './hash-policy.ts';
import { buildHeaderOperations, type HeaderOperations } from './headers.ts';
import type { PathSemantics } from './match.ts';
import { buildMirrors, type MirrorClusters } from './mirror.ts';
import { buildRetryPolicy } from './retry.ts';
import { buildPathRewrite } from './rewrite.ts';

/** A destination as its cluster, with the hash settings that the DestinationRule has for it. */
export interface RouteTarget {
  readonly cluster: string;
  readonly hash: ConsistentHash | undefined;
}

export interface ActionInput {
  readonly http: HTTPRouteJson;
  /** In parallel with `http.route`. */
  readonly targets: readonly RouteTarget[];
  readonly mirrors: MirrorClusters;
  /** Mesh-wide retries for routes that say nothing; undefined: Istio's own. */
  readonly defaultRetries: HTTPRetryJson | undefined;
  readonly appendForwardedHost: boolean;
  /** See RouteFacts.shadowSuffix. */
  readonly shadowSuffix: boolean;
  readonly semantics: PathSemantics;
  /** From Gateway API: a missing backend answers 500 instead of 503. */
  readonly notFoundIs500: boolean;
}

/** A route action and the header operations that its single destination adds to the route. */
export interface BuiltAction {
  readonly action: RouteAction;
  readonly headers: HeaderOperations;
}

/**
 * Builds the action. `authority` is what the route's own header operations set ('' for nothing).
 * Source: istio route.go applyHTTPRouteDestination; an authority at the route beats one at a destination.
 */
export function buildRouteAction(input: ActionInput, match: RouteMatch, authority: string): BuiltAction {
  const { http, targets } = input;
  const routes = http.route ?? [];
  const single = routes.length === 1 ? routes[0] : undefined;
  const headers = buildHeaderOperations(single?.headers);
  const hostRewrite = http.rewrite?.authority || authority || headers.authority;
  const retries = buildRetryPolicy(
    http.retries ?? input.defaultRetries,
    single !== undefined && targets[0]?.hash !== undefined,
  );
  const action = create(RouteActionSchema, {
    clusterSpecifier: clusterSpecifier(routes, targets),
    ...(input.notFoundIs500
      ? { clusterNotFoundResponseCode: RouteAction_ClusterNotFoundResponseCode.INTERNAL_SERVER_ERROR }
      : {}),
    ...timeouts(http.timeout),
    ...buildPathRewrite(http.rewrite, match, input.semantics),
    ...(hostRewrite === ''
      ? {}
      : { hostRewriteSpecifier: { case: 'hostRewriteLiteral' as const, value: hostRewrite } }),
    appendXForwardedHost: http.rewrite !== undefined && input.appendForwardedHost,
    requestMirrorPolicies: buildMirrors(http, input.mirrors, input.shadowSuffix),
    hashPolicy: hashPolicies(routes, targets),
    ...(retries === undefined ? {} : { retryPolicy: retries }),
  });
  return { action, headers };
}

/** No timeout unless asked for, and the same bound for what a gRPC client may ask by grpc-timeout. */
export function timeouts(timeout: string | undefined): Pick<RouteAction, 'timeout' | 'maxGrpcTimeout'> {
  if (timeout === undefined) return { timeout: noDuration(), maxGrpcTimeout: noDuration() };
  return { timeout: parseDuration(timeout), maxGrpcTimeout: parseDuration(timeout) };
}

function clusterSpecifier(
  routes: readonly HTTPRouteDestinationJson[],
  targets: readonly RouteTarget[],
): RouteAction['clusterSpecifier'] {
  if (routes.length === 1) return { case: 'cluster', value: targets[0]?.cluster ?? '' };
  const clusters = routes.flatMap((route, i) => {
    const target = targets[i];
    // Weight 0 beside others takes nothing.
    return target === undefined || (route.weight ?? 0) === 0 ? [] : [clusterWeight(route, target)];
  });
  return { case: 'weightedClusters', value: create(WeightedClusterSchema, { clusters }) };
}

function clusterWeight(
  route: HTTPRouteDestinationJson,
  target: RouteTarget,
): MessageInitShape<typeof WeightedCluster_ClusterWeightSchema> {
  const { authority, ...operations } = buildHeaderOperations(route.headers);
  return {
    name: target.cluster,
    weight: route.weight ?? 0,
    ...operations,
    ...(authority === ''
      ? {}
      : { hostRewriteSpecifier: { case: 'hostRewriteLiteral' as const, value: authority } }),
  };
}

function hashPolicies(
  routes: readonly HTTPRouteDestinationJson[],
  targets: readonly RouteTarget[],
): RouteAction_HashPolicy[] {
  return routes.flatMap((route, i) => {
    if (routes.length > 1 && (route.weight ?? 0) === 0) return [];
    return buildHashPolicy(targets[i]?.hash) ?? [];
  });
}
