/**
 * What each connected proxy should hold, put together from the parts that it shares with others and its own.
 * A change in a shared part costs O(log n) for each proxy that has it: maps are persistent and keep their structure.
 */
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import { emptyMap, type PersistentMap } from '#collections/persistent-map.ts';
import { type ClusterFacts, clusterFacts, MESH_KEY, meshFact } from '#model/mesh-facts.ts';
import type { Proxy } from '#model/proxy.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import type { OutboundScope } from '#scope/outbound-host-model.ts';
import type { ListenerView, ListenerViews } from '#scope/outbound-listener-view.ts';
import { viewerKey } from '#scope/viewer.ts';
import type { OutboundClusters } from './clusters/outbound-clusters.ts';
import { unknownHostsCluster } from './clusters/unknown-hosts-cluster.ts';
import type { OutboundEndpoints } from './endpoints/outbound-endpoints.ts';
import type { GatewayResources } from './gateway-resources.ts';
import { type GrpcResources, partKey } from './grpc/grpc-resources.ts';
import type { InboundResources } from './inbound.ts';
import { UNKNOWN_HOSTS_CLUSTER } from './names.ts';
import type { NameTables } from './nametable/name-tables.ts';
import type { OutboundListeners } from './outbound-listeners.ts';
import type { ProxySecrets } from './secrets/proxy-secrets.ts';
import { patchedGateway, patchedSidecar } from './patches/patched-snapshot.ts';
import type { PatchesOf } from './patches/proxy-patches.ts';
import type { ProxySnapshot } from './proxy-snapshot.ts';
import type { ResourceEntry } from './resource.ts';
import type { OutboundRoutes } from './routes/outbound-routes.ts';
import { merge, type SidecarListenerInput, sidecarListeners } from './sidecar-listeners.ts';
import type { TrustBundleIndex } from './trust-bundle.ts';

export interface ProxySnapshotDeps {
  readonly proxies: Collection<Proxy>;
  readonly listenerViews: ListenerViews;
  readonly clusterFacts: Collection<ClusterFacts>;
  readonly meshConfig: Collection<MeshConfigJson>;
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
  readonly trustBundle: TrustBundleIndex;
  readonly grpc: GrpcResources;
  readonly patches: PatchesOf;
  /** By proxy id, for those that have any: configurations to be asked for by name. */
  readonly extensionResources: Collection<PersistentMap<ResourceEntry>>;
}

const NOTHING = emptyMap<ResourceEntry>();

/** Derives the snapshots, keyed by proxy id. */
export function createProxySnapshots(engine: Engine, deps: ProxySnapshotDeps): Collection<ProxySnapshot> {
  return engine.derive(
    'xds.snapshots',
    deps.proxies,
    (fetch, proxy) => {
      if (proxy.generator === 'grpc') return grpcSnapshot(fetch, proxy, deps);
      if (proxy.type === 'router') return gatewaySnapshot(fetch, proxy, deps);
      const view = fetch.get(deps.listenerViews.views, deps.listenerViews.viewOf(fetch, proxy) ?? '');
      return view === undefined ? undefined : sidecarSnapshot(fetch, proxy, view, deps);
    },
    { equals: sameSnapshot },
  );
}

function sidecarSnapshot(
  fetch: Fetch,
  proxy: Proxy,
  view: ListenerView,
  deps: ProxySnapshotDeps,
): ProxySnapshot {
  const { facts } = view;
  const inbound = fetch.get(deps.inbound, proxy.id) ?? { listeners: NOTHING, clusters: NOTHING };
  const { inputs } = deps.outboundListeners;
  const listeners: SidecarListenerInput = {
    proxy,
    facts,
    outbound: facts.onOneMachine
      ? NOTHING
      : outboundListeners(fetch, proxy, view.key, deps.outboundListeners),
    inputs: facts.onOneMachine ? fetch.bucket(inputs, view.key) : emptyMap(),
    inbound: inbound.listeners,
    extensions: view.extensions,
  };
  const unknownHosts = unknownHostsClusters(fetch, facts, deps);
  const clusters = merge(deps.clusters.clustersFor(fetch, proxy), unknownHosts);
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
          clusterView: unknownHosts.size === 0 ? view.viewer : view.key,
          listenerView: view.key,
          routeView: deps.routes.viewOf(fetch, proxy),
          extensions: extensionsOf(fetch, proxy, deps),
          proxy,
          clusters,
          inbound,
          outbound: listeners.outbound,
          own: sidecarListeners(deps.interner, { ...listeners, outbound: NOTHING, inbound: NOTHING }),
          routes,
        })),
    endpoints: deps.endpoints.endpointsFor(fetch, proxy),
    nameTable: nameTable(fetch, proxy, deps),
    trustBundle: fetch.bucket(deps.trustBundle, MESH_KEY),
    ...secretsOf(fetch, proxy, deps),
  };
}

/** The view's listeners, but for those to the proxy's own address: what an application sends itself is not captured. */
function outboundListeners(
  fetch: Fetch,
  proxy: Proxy,
  view: string,
  { resources, ofEndpoints }: OutboundListeners,
): PersistentMap<ResourceEntry> {
  const own = fetch.bucket(ofEndpoints, viewerKey(view, proxy.addresses[0] ?? ''));
  const names = Array.from(own.keys(), (name) => [name, undefined] as const);
  return fetch.bucket(resources, view).patch(names);
}

/** The cluster that looks up hosts which no service has, where the policy for them asks for it. */
function unknownHostsClusters(
  fetch: Fetch,
  { outboundPolicy, ipFamilies, unknownHostsResolver, flags, secretServers }: ListenerFacts,
  deps: ProxySnapshotDeps,
): PersistentMap<ResourceEntry> {
  if (outboundPolicy !== 'ALLOW_ANY_DYNAMIC_DNS') return NOTHING;
  const meshFacts = meshFact(fetch, deps.clusterFacts, clusterFacts);
  const tls = fetch.get(deps.meshConfig, MESH_KEY)?.outboundTrafficPolicy?.tls;
  const { dualStack, unknownHostsLimit } = flags;
  const lookup = { ipFamilies, unknownHostsResolver, flags: { dualStack, unknownHostsLimit } };
  const input = { meshFacts, lookup, tls, secretServers };
  return NOTHING.set(UNKNOWN_HOSTS_CLUSTER, unknownHostsCluster(deps.interner, input));
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
    trustBundle: fetch.bucket(deps.trustBundle, MESH_KEY),
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
    trustBundle: fetch.bucket(deps.trustBundle, MESH_KEY),
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
