/**
 * Patches on a virtual host and its routes.
 * Source: istio pilot/pkg/networking/core/envoyfilter/rc_patch.go.
 */
import type { EnvoyPatch } from '#model/envoy-filter.ts';
import {
  type Route,
  RouteSchema,
  type VirtualHost,
  VirtualHostSchema,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { type PatchTrace } from './patch-list.ts';
import { isMerge, mergeValue, valueAs } from './patch-value.ts';
import { meansRoute, meansVirtualHost, namesRoute } from './route-match.ts';

/** Patches that mean the route configuration that the virtual host is in, in order. */
export interface HostPatches {
  readonly hosts: readonly EnvoyPatch[];
  readonly routes: readonly EnvoyPatch[];
}

/** The virtual host after the patches (the same object, or the one that took its place), and whether it is removed. */
export interface PatchedHost {
  readonly host: VirtualHost;
  readonly isRemoved: boolean;
}

/** Patches a virtual host; takes the message over. */
export function patchVirtualHost(
  original: VirtualHost,
  patches: HostPatches,
  trace: PatchTrace,
): PatchedHost {
  let host = original;
  for (const patch of patches.hosts) {
    if (patch.operation === 'ADD' || !meansVirtualHost(patch, host)) continue;
    trace.mark(patch);
    if (patch.operation === 'REMOVE') return { host, isRemoved: true };
    if (isMerge(patch)) mergeValue(patch, host);
    else host = valueAs(patch, VirtualHostSchema) ?? host;
  }
  patchRoutes(host, patches.routes, trace);
  return { host, isRemoved: false };
}

/** Removals and merges first, route by route; then what is added, patch by patch. */
function patchRoutes(host: VirtualHost, patches: readonly EnvoyPatch[], trace: PatchTrace): void {
  const meant = patches.filter((patch) => meansVirtualHost(patch, host));
  if (meant.length === 0) return;
  const removed = new Set(host.routes.filter((route) => !patchRoute(route, meant, trace)));
  for (const patch of meant) {
    const value = valueAs(patch, RouteSchema);
    if (value === undefined || isMerge(patch) || patch.operation === 'REMOVE') continue;
    const changed = addRoute(
      host.routes,
      value,
      patch,
      (route) => !removed.has(route) && meansRoute(patch, route),
    );
    if (changed !== host.routes) trace.mark(patch);
    host.routes = changed;
  }
  host.routes = host.routes.filter((route) => !removed.has(route));
}

/** False when the route is removed. */
function patchRoute(route: Route, patches: readonly EnvoyPatch[], trace: PatchTrace): boolean {
  for (const patch of patches) {
    const isRemoval = patch.operation === 'REMOVE';
    if (!(isRemoval || isMerge(patch)) || !meansRoute(patch, route)) continue;
    trace.mark(patch);
    if (isRemoval) return false;
    mergeValue(patch, route);
  }
  return true;
}

/** INSERT_FIRST puts the route first, but only where the route is that the patch asks for. */
function addRoute(
  routes: Route[],
  value: Route,
  patch: EnvoyPatch,
  matches: (route: Route) => boolean,
): Route[] {
  const { operation } = patch;
  if (operation === 'ADD') return [...routes, value];
  if (!namesRoute(patch)) return operation === 'INSERT_AFTER' ? [...routes, value] : [value, ...routes];
  const at = routes.findIndex(matches);
  if (at < 0) return routes;
  if (operation === 'INSERT_FIRST') return [value, ...routes];
  return routes.toSpliced(operation === 'INSERT_AFTER' ? at + 1 : at, 0, value);
}
