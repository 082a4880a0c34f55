/**
 * Route configurations that stand in listeners instead of being fetched: those of inbound connections. They take the same
 * patches as route tables do. Source: istio httproute.go buildSidecarInboundHTTPRouteConfig.
 */
import { fromBinary } from '@bufbuild/protobuf';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { encodeCanonical } from '#xds/encode.ts';
import { connectionManagerOf, setConnectionManager } from './filter-patches.ts';
import type { PatchList, PatchTrace } from './patch-list.ts';
import { meansSidecarRoutes } from './route-match.ts';
import { patchRouteTable, tablePatches } from './route-table-patches.ts';

/** Patches the route configurations of a listener in place. Costs nothing where no patch is for routes. */
export function patchInlineRoutes(listener: Listener, list: PatchList, trace: PatchTrace): void {
  if (tablePatches(list.patches, () => true) === undefined) return;
  const chains = [
    ...listener.filterChains,
    ...(listener.defaultFilterChain ? [listener.defaultFilterChain] : []),
  ];
  for (const chain of chains) for (const filter of chain.filters) patchFilter(filter, list, trace);
}

function patchFilter(filter: Filter, list: PatchList, trace: PatchTrace): void {
  const manager = connectionManagerOf(filter);
  if (manager?.routeSpecifier.case !== 'routeConfig') return;
  const { value } = manager.routeSpecifier;
  const patches = tablePatches(list.patches, (patch) => meansSidecarRoutes(patch, value.name));
  if (patches === undefined) return;
  const own = trace.another();
  const { bytes } = patchRouteTable(encodeCanonical(RouteConfigurationSchema, value), patches, own);
  trace.include(own);
  if (!own.hasApplied) return;
  manager.routeSpecifier = { case: 'routeConfig', value: fromBinary(RouteConfigurationSchema, bytes) };
  setConnectionManager(filter, manager);
}
