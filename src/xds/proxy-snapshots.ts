/**
 * What each connected proxy should hold, put together from the parts that it shares with others and its own.
 * A change in a shared part costs O(log n) for each proxy that has it: maps are persistent and keep their structure.
 */
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import { emptyMap, type PersistentMap } from '#collections/persistent-map.ts';
import type { Proxy } from '#model/proxy.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { NO_WORKLOAD_EXTENSIONS, type WorkloadExtensions } from '#scope/extension.ts';
import type { ExtensionViews } from '#scope/extension-view.ts';
import type { OutboundScope } from '#scope/outbound-host-model.ts';
import { viewerKey } from '#scope/viewer.ts';
import type { OutboundClusters } from './clusters/outbound-clusters.ts';
import type { OutboundEndpoints } from './endpoints/outbound-endpoints.ts';
import type { GatewayResources } from './gateway-resources.ts';
import { type GrpcResources, partKey } from './grpc/grpc-resources.ts';
import type { InboundResources } from './inbound.ts';
import type { NameTables } from './nametable/name-tables.ts';
import type { OutboundListeners } from './outbound-listeners.ts';
import type { ProxySecrets } from './secrets/proxy-secrets.ts';
import { patchedGateway, patchedSidecar } from './patches/patched-snapshot.ts';
import type { PatchesOf } from './patches/proxy-patches.ts';
import type { ProxySnapshot } from './proxy-snapshot.ts';
import type { ResourceEntry } from './resource.ts';
import type { OutboundRoutes } from './routes/outbound-routes.ts';
import { merge, type SidecarListenerInput, sidecarListeners } from './sidecar-listeners.ts';

export interface ProxySnapshotDeps {
  readonly proxies: Collection<Proxy>;
  /** Listener facts by viewer. */
  readonly viewerFacts: Collection<ListenerFacts>;
  readonly interner: Interner;
  readonly scope: Pick<OutboundScope, 'viewerOf'>;
  readonly clusters: OutboundClusters;
  readonly endpoints: OutboundEndpoints;
  readonly routes: OutboundRoutes;
  readonly outboundListeners: OutboundListeners;
  readonly inbound: Collection<InboundResources>;
  readonly gateways: GatewayResources;
  readonly secrets: ProxySecrets;
  readonly nameTables: NameTables;
  readonly grpc: GrpcResources;
  readonly patches: PatchesOf;
  /** By proxy id, for those that have any: what stands in listeners, and configurations to be asked for by name. */
  readonly extensions: Collection<WorkloadExtensions>;
  readonly extensionResources: Collection<PersistentMap<ResourceEntry>>;
  readonly extensionViews: ExtensionViews;
}

const NOTHING = emptyMap<ResourceEntry>();

/** Derives the snapshots, keyed by proxy id. */
export function createProxySnapshots(engine: Engine, deps: ProxySnapshotDeps): Collection<ProxySnapshot> {
  return engine.derive(
    'xds.snapshots',
    deps.proxies,
    (fetch, proxy) => {
      const facts = fetch.get(deps.viewerFacts, deps.scope.viewerOf(fetch, proxy));
      if (facts === undefined) return undefined;
      if (proxy.generator === 'grpc') return grpcSnapshot(fetch, proxy, deps);
      return proxy.type === 'router'
        ? gatewaySnapshot(fetch, proxy, deps)
        : sidecarSnapshot(fetch, proxy, facts, deps);
    },
    { equals: sameSnapshot },
  );
}

function sidecarSnapshot(
  fetch: Fetch,
  proxy: Proxy,
  facts: ListenerFacts,
  deps: ProxySnapshotDeps,
): ProxySnapshot {
  const viewer = deps.scope.viewerOf(fetch, proxy);
  const inbound = fetch.get(deps.inbound, proxy.id) ?? { listeners: NOTHING, clusters: NOTHING };
  const { inputs } = deps.outboundListeners;
  const bound = proxy.interceptionMode === 'NONE';
  const listeners: SidecarListenerInput = {
    proxy,
    facts,
    captured: bound ? NOTHING : capturedListeners(fetch, proxy, viewer, deps),
    inputs: bound ? fetch.bucket(inputs, viewer) : emptyMap(),
    inbound: inbound.listeners,
    extensions: fetch.get(deps.extensions, proxy.id) ?? NO_WORKLOAD_EXTENSIONS,
  };
  const clusters = deps.clusters.clustersFor(fetch, proxy);
  const routes = fetch.bucket(deps.routes.routes, deps.routes.viewOf(fetch, proxy));
  const patches = deps.patches(fetch, proxy);
  return {
    ...(patches === undefined
      ? {
          clusters: merge(clusters, inbound.clusters),
          listeners: sidecarListeners(deps.interner, listeners),
          routes,
          extensions: extensionsOf(fetch, proxy, deps),
        }
      : patchedSidecar(patches, {
          viewer,
          capturedView: deps.extensionViews.viewOf(fetch, proxy),
          extensions: extensionsOf(fetch, proxy, deps),
          routeView: deps.routes.viewOf(fetch, proxy),
          proxy,
          clusters,
          inbound,
          captured: listeners.captured,
          own: sidecarListeners(deps.interner, { ...listeners, captured: NOTHING, inbound: NOTHING }),
          routes,
        })),
    endpoints: deps.endpoints.endpointsFor(fetch, proxy),
    nameTable: nameTable(fetch, proxy, deps),
    ...secretsOf(fetch, proxy, deps),
  };
}

/** The viewer's listeners, but for those to the proxy's own address: what an application sends itself is not captured. */
function capturedListeners(
  fetch: Fetch,
  proxy: Proxy,
  viewer: string,
  { outboundListeners: { captured, ofEndpoints }, extensionViews }: ProxySnapshotDeps,
): PersistentMap<ResourceEntry> {
  const own = fetch.bucket(ofEndpoints, viewerKey(viewer, proxy.addresses[0] ?? ''));
  const names = Array.from(own.keys(), (name) => [name, undefined] as const);
  return fetch.bucket(captured, extensionViews.viewOf(fetch, proxy)).patch(names);
}

function gatewaySnapshot(fetch: Fetch, proxy: Proxy, deps: ProxySnapshotDeps): ProxySnapshot {
  const { gateways } = deps;
  const generated = {
    clusters: deps.clusters.clustersFor(fetch, proxy),
    listeners: gateways.listeners(fetch, proxy),
    routes: gateways.routes(fetch, proxy),
    extensions: extensionsOf(fetch, proxy, deps),
  };
  const patches = deps.patches(fetch, proxy);
  return {
    ...(patches === undefined
      ? generated
      : patchedGateway(patches, {
          ...generated,
          view: gateways.viewOf(fetch, proxy),
          tables: () => gateways.tables(fetch, proxy),
        })),
    endpoints: deps.endpoints.endpointsFor(fetch, proxy),
    nameTable: nameTable(fetch, proxy, deps),
    ...secretsOf(fetch, proxy, deps),
  };
}

/** Another caller may come under the same proxy id, so who they are for goes with the secrets. */
function secretsOf(
  fetch: Fetch,
  proxy: Proxy,
  { secrets }: ProxySnapshotDeps,
): Pick<ProxySnapshot, 'secrets' | 'secretsOwner'> {
  return { secrets: secrets.secretsOf(fetch, proxy), secretsOwner: proxy.identity ?? '' };
}

/** A gRPC library asks by name for all but endpoints, of which it takes those that its clusters name. */
function grpcSnapshot(fetch: Fetch, proxy: Proxy, deps: ProxySnapshotDeps): ProxySnapshot {
  const { resources } = deps.grpc;
  return {
    clusters: fetch.bucket(resources, partKey('clusters', proxy.id)),
    endpoints: deps.endpoints.endpointsFor(fetch, proxy),
    listeners: fetch.bucket(resources, partKey('listeners', proxy.id)),
    routes: fetch.bucket(resources, partKey('routes', proxy.id)),
    nameTable: nameTable(fetch, proxy, deps),
    ...secretsOf(fetch, proxy, deps),
    extensions: NOTHING,
  };
}

/** Configurations of filters that the proxy asks for by name. */
function extensionsOf(
  fetch: Fetch,
  proxy: Proxy,
  { extensionResources }: ProxySnapshotDeps,
): PersistentMap<ResourceEntry> {
  return fetch.get(extensionResources, proxy.id) ?? NOTHING;
}

function nameTable(
  fetch: Fetch,
  proxy: Proxy,
  { nameTables }: ProxySnapshotDeps,
): PersistentMap<ResourceEntry> {
  const view = nameTables.viewOf(fetch, proxy);
  return view === undefined ? NOTHING : fetch.bucket(nameTables.tables, view);
}

/** Maps of an unchanged part are the same object, so comparing references is enough to stop a change here. */
function sameSnapshot(a: ProxySnapshot, b: ProxySnapshot): boolean {
  return (Object.keys(a) as (keyof ProxySnapshot)[]).every((part) => a[part] === b[part]);
}
