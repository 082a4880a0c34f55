/**
 * The patched parts of a snapshot, in the contexts that Istio knows: what leaves a sidecar, what enters it, and gateways.
 * Source: istio cluster.go buildClusters, listener_builder.go patchListeners, httproute.go BuildHTTPRoutes.
 */
import type { Proxy } from '#model/proxy.ts';
import type { RouteTableServers } from '#scope/gateway-merge.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import { merge } from '#xds/sidecar-listeners.ts';
import type { EntryMap } from './patched-map.ts';
import type { OwnContext } from './patch-list.ts';
import type { ProxyPatches } from './proxy-patches.ts';
import { gatewayTableParts, meansGatewayRoutes, meansSidecarRoutes } from './route-match.ts';

/** The parts that EnvoyFilters change. */
export type PatchedParts = Pick<ProxySnapshot, 'clusters' | 'listeners' | 'routes' | 'extensions'>;

/** What a sidecar gets without patches, apart by who shares it. */
export interface SidecarParts {
  /** Who share the outbound clusters. */
  readonly clusterView: string;
  readonly routeView: string;
  /** Who share the outbound listeners. */
  readonly listenerView: string;
  readonly extensions: EntryMap;
  readonly proxy: Proxy;
  /** Outbound ones. */
  readonly clusters: EntryMap;
  readonly outbound: EntryMap;
  readonly routes: EntryMap;
  /** Outbound listeners of the proxy itself. */
  readonly own: EntryMap;
  readonly inbound: { readonly clusters: EntryMap; readonly listeners: EntryMap };
}

/** What a gateway gets without patches. */
export interface GatewayParts
  extends Pick<ProxySnapshot, 'clusters' | 'listeners' | 'routes' | 'extensions'> {
  readonly view: string;
  readonly tables: () => readonly RouteTableServers[];
}

const OUTBOUND = 'SIDECAR_OUTBOUND';
const INBOUND = 'SIDECAR_INBOUND';
const BOTH: readonly OwnContext[] = [OUTBOUND, INBOUND];

export function patchedSidecar(patches: ProxyPatches, parts: SidecarParts): PatchedParts {
  const { proxy, inbound } = parts;
  const clusters = merge(
    patches.clusters({ context: OUTBOUND, lineage: parts.clusterView, base: parts.clusters }),
    patches.clusters({ context: INBOUND, lineage: proxy.id, base: inbound.clusters }),
  );
  const ofProxy = merge(
    patches.listeners({ context: INBOUND, lineage: proxy.id, base: inbound.listeners }),
    patches.listeners({ context: OUTBOUND, lineage: proxy.id, base: parts.own }),
  );
  const outbound = patches.listeners({
    context: OUTBOUND,
    lineage: parts.listenerView,
    base: parts.outbound,
  });
  const routes = { context: OUTBOUND, lineage: parts.routeView, base: parts.routes } as const;
  return {
    clusters: patches.withAddedClusters(clusters, BOTH),
    listeners: patches.withAddedListeners(merge(outbound, ofProxy), BOTH),
    routes: patches.routes(routes, meansSidecarRoutes),
    extensions: merge(parts.extensions, patches.extensions()),
  };
}

export function patchedGateway(patches: ProxyPatches, parts: GatewayParts): PatchedParts {
  const part = (base: EntryMap) => ({ context: 'GATEWAY', lineage: parts.view, base }) as const;
  const ports = serverPorts(parts.tables());
  return {
    clusters: patches.withAddedClusters(patches.clusters(part(parts.clusters)), ['GATEWAY']),
    listeners: patches.withAddedListeners(patches.listeners(part(parts.listeners)), ['GATEWAY']),
    routes: patches.routes(part(parts.routes), (patch, name) =>
      meansGatewayRoutes(patch, name, ports.get(gatewayTableParts(name).port) ?? []),
    ),
    extensions: merge(parts.extensions, patches.extensions()),
  };
}

/** By the port that is listened on: the ports that servers there have in their Gateways. Source: istio getTargetPortMap. */
function serverPorts(tables: readonly RouteTableServers[]): ReadonlyMap<number, readonly number[]> {
  const ports = new Map<number, number[]>();
  for (const { name, servers } of tables) {
    const { port } = gatewayTableParts(name);
    ports.set(port, [...(ports.get(port) ?? []), ...servers.map((server) => server.port)]);
  }
  return ports;
}
