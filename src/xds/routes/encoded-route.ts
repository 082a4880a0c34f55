/**
 * Routes as bytes: the unit that virtual hosts are composed of. A list of them is built once per VirtualService, port
 * and asker, and shared by every virtual host that uses it.
 */
import type { Route } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { RouteSchema } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { encodeCanonical } from '#xds/encode.ts';
import { isCatchAll } from './match.ts';
import { buildRoute, type RouteInput } from './route.ts';

/** An encoded envoy.config.route.v3.Route. */
export interface EncodedRoute {
  readonly bytes: Uint8Array;
  /** Nothing behind it can be hit. */
  readonly catchAll: boolean;
  /** Clusters that it sends to, mirrors included. */
  readonly clusters: readonly string[];
}

/** Encodes one route; takes the message over. */
export function encodeRoute(route: Route): EncodedRoute {
  return {
    bytes: encodeCanonical(RouteSchema, route),
    catchAll: isCatchAll(route),
    clusters: clustersOf(route),
  };
}

/**
 * Builds and encodes routes in order, up to and with the first that takes everything: nothing behind it can be hit.
 * Cost: O(routes), once per distinct input.
 */
export function buildEncodedRoutes(inputs: Iterable<RouteInput>): readonly EncodedRoute[] {
  const routes: EncodedRoute[] = [];
  for (const input of inputs) {
    const route = encodeRoute(buildRoute(input));
    routes.push(route);
    // A rule without match ends the list in Istio whatever its path, and such a rule is always a catch-all.
    if (route.catchAll) break;
  }
  return routes;
}

function clustersOf(route: Route): readonly string[] {
  if (route.action.case !== 'route') return [];
  const action = route.action.value;
  const mirrors = action.requestMirrorPolicies.map((mirror) => mirror.cluster);
  const specifier = action.clusterSpecifier;
  if (specifier.case === 'cluster') return [specifier.value, ...mirrors];
  if (specifier.case === 'weightedClusters')
    return [...specifier.value.clusters.map((c) => c.name), ...mirrors];
  return mirrors;
}
