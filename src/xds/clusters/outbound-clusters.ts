/**
 * Outbound clusters of every viewer. A host's clusters are computed again when its service, its rules, the ids of its
 * endpoints or a mesh fact changes; for DNS services also when their endpoints do. What does not depend on the viewer is
 * remembered by the identity of its inputs and shared by all viewers; equal inputs share one encoded cluster.
 */
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import type { Interner } from '#collections/interner.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import { type ClusterFacts, clusterFacts, MESH_KEY, meshFact } from '#model/mesh-facts.ts';
import type { Proxy } from '#model/proxy.ts';
import type { Service } from '#model/service.ts';
import { serviceKey } from '#model/service-hostname.ts';
import type { ServiceModel } from '#model/service-model.ts';
import type { GatewayDestination } from '#scope/gateway-destinations.ts';
import type { MeshTlsForwarders } from '#scope/gateway-forwarders.ts';
import { FIRST_SHARD, type HostShard, type OutboundScope } from '#scope/outbound-host-model.ts';
import { type Viewer, viewerKey } from '#scope/viewer.ts';
import { type Cluster, ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { encodeResource } from '#xds/encode.ts';
import type { EndpointViews } from '#xds/endpoints/endpoint-view.ts';
import { type Resource, type ResourceEntry, TYPE_CLUSTER } from '#xds/resource.ts';
import { PERMISSIVE_SERVERS, type ServerMutualTls } from '#xds/tls/server-mutual-tls.ts';
import { clusterInput } from './cluster-assembly.ts';
import { type ClientTraits, type HostPolicy, NO_POLICY, planClusters, traitsOf } from './cluster-plan.ts';
import { createDestinations, type Destination } from './destination.ts';
import { encodeCluster } from './outbound-cluster.ts';
import { createGatewayClusters } from './gateway-clusters.ts';
import { createSniClusters } from './sni-clusters.ts';
import { createPlacedClusters } from './placed-clusters.ts';
import {
  buildBlackHoleCluster,
  buildExternalSecretsCluster,
  buildPassthroughCluster,
  type PassthroughInput,
} from './special-clusters.ts';

/** What clusters are made of. */
export interface ClusterSources {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly serviceModel: Pick<ServiceModel, 'services' | 'endpoints' | 'endpointSummaries' | 'meshFacts'>;
  readonly scope: Pick<OutboundScope, 'hosts' | 'hostShards' | 'viewerOf'>;
  /** Where clients are, so that inline endpoints can be ordered by distance; without it they are not. */
  readonly endpointViews?: EndpointViews;
  /** What servers demand; without it, what they demand without PeerAuthentications. */
  readonly serverMutualTls?: ServerMutualTls;
  /** Gateways that forward mesh TLS; without it, none does. */
  readonly forwarders?: MeshTlsForwarders;
  /** Gateways that get only the clusters which they route to; without it, all get those of all hosts. */
  readonly gateways?: {
    readonly destinations: Collection<GatewayDestination> | undefined;
    viewOf(fetch: Fetch, proxy: Proxy): string;
  };
}

/** The clusters. */
export interface OutboundClusters {
  /** By viewer; inner key is the cluster's name. */
  readonly clusters: Index<ResourceEntry>;
  /** Those clusters of a viewer, and of the gateways of a view ('' for others), that use secrets over ADS (`resource.secrets`). */
  clustersWithSecrets(fetch: Fetch, viewer: string, gatewayView: string): readonly ResourceEntry[];
  /** All clusters of a proxy: its viewer's, some of them in the form for the proxy's place (placed-clusters.ts). */
  clustersFor(fetch: Fetch, proxy: Proxy): PersistentMap<ResourceEntry>;
}

type Entries = readonly ResourceEntry[];

/** Builds the collections. */
export function createClusters(sources: ClusterSources): OutboundClusters {
  const { engine, interner, serviceModel, serverMutualTls = PERMISSIVE_SERVERS } = sources;
  const destinations = createDestinations(engine, serviceModel, serverMutualTls);
  const build = clusterBuilder(interner);
  const all = engine.deriveMany('xds.clusters', sources.scope.hostShards, (fetch, shard) => {
    const facts = meshFact(fetch, serviceModel.meshFacts.clusters, clusterFacts);
    return clustersOfShard(fetch, shard, { facts, destinations, build, interner });
  });
  // The entries themselves are shared by viewers, so the key has to tell.
  const viewerOf = (key: string): string => key.slice(0, key.indexOf('|'));
  const nameOf = (entry: ResourceEntry): string => entry.resource.name;
  const clusters = engine.index('xds.clustersByViewer', all, (_entry, key) => [viewerOf(key)], nameOf);
  const withSecrets = engine.index(
    'xds.clustersWithSecrets',
    all,
    (entry, key) => (entry.resource.secrets === undefined ? [] : [viewerOf(key)]),
    nameOf,
  );
  const { endpointViews, forwarders, gateways } = sources;
  const destinationsOfGateways = gateways?.destinations;
  const ofGateways =
    destinationsOfGateways &&
    createGatewayClusters({
      engine,
      destinations: destinationsOfGateways,
      clusters: all,
      hosts: sources.scope.hosts,
    });
  const forwarding = forwarders && createSniClusters({ ...sources, forwarders, destinations });
  const placed = endpointViews && createPlacedClusters({ ...sources, endpointViews, destinations });
  return {
    clusters,
    clustersFor(fetch, proxy) {
      const viewer = sources.scope.viewerOf(fetch, proxy);
      const chosen =
        proxy.type === 'router' && ofGateways && gateways
          ? fetch.bucket(ofGateways, gateways.viewOf(fetch, proxy))
          : undefined;
      const plain = chosen ?? fetch.bucket(clusters, viewer);
      const isForwarder = forwarders?.isForwarder(fetch, proxy) === true && forwarding !== undefined;
      const ofViewer = isForwarder ? plain.patch(fetch.bucket(forwarding, viewer)) : plain;
      if (endpointViews === undefined || placed === undefined) return ofViewer;
      const ofPlace = fetch.bucket(placed, endpointViews.viewOf(fetch, proxy));
      return ofViewer.patch(chosen === undefined ? ofPlace : amongNames(ofPlace, chosen));
    },
    clustersWithSecrets(fetch, viewer, gatewayView) {
      const entries = [...fetch.bucket(withSecrets, viewer).values()];
      if (ofGateways === undefined || gatewayView === '') return entries;
      const chosen = fetch.bucket(ofGateways, gatewayView);
      return entries.filter((entry) => chosen.has(nameOf(entry)));
    },
  };
}

/** The entries whose names are in another map. */
function* amongNames(
  entries: PersistentMap<ResourceEntry>,
  names: PersistentMap<ResourceEntry>,
): Generator<readonly [string, ResourceEntry]> {
  for (const [name, entry] of entries) if (names.has(name)) yield [name, entry];
}

type Build = (
  service: Service,
  policy: HostPolicy,
  traits: ClientTraits,
  facts: ClusterFacts,
  destination: Destination,
) => Entries;

interface ShardContext {
  readonly facts: ClusterFacts;
  readonly destinations: Index<Destination>;
  readonly build: Build;
  readonly interner: Interner;
}

/** Remembers a host's clusters per combination of inputs, whoever looks. */
function clusterBuilder(interner: Interner): Build {
  return identityMemo<Parameters<Build>, Entries>((service, policy, traits, facts, destination) =>
    planClusters({ service, policy, traits, facts }).flatMap((planned) => {
      const input = clusterInput(planned, { service, policy, traits, facts, destination });
      if (input === undefined) return [];
      return [{ resource: interner.intern('outboundCluster', input, encodeCluster), causes: planned.causes }];
    }),
  );
}

function* clustersOfShard(
  fetch: Fetch,
  { viewer, shard, hosts }: HostShard,
  context: ShardContext,
): Generator<readonly [string, ResourceEntry]> {
  if (shard === FIRST_SHARD) {
    for (const entry of specialClusters(viewer, context))
      yield [viewerKey(viewer.key, entry.resource.name), entry];
  }
  if (hosts.length === 0) return;
  const ofShard = fetch.bucket(context.destinations, shard);
  const traits = context.interner.intern('clientTraits', traitsOf(viewer), (input) => ({ ...input }));
  for (const { service, policy = NO_POLICY } of hosts) {
    const destination = ofShard.get(serviceKey(service.namespace, service.hostname));
    if (destination === undefined) continue;
    const entries = context.build(service, policy, traits, context.facts, destination);
    for (const entry of entries) yield [viewerKey(viewer.key, entry.resource.name), entry];
  }
}

const encodePassthrough = (input: PassthroughInput): Resource => encoded(buildPassthroughCluster(input));
const encodeBlackHole = (facts: ClusterFacts): Resource => encoded(buildBlackHoleCluster(facts));

const encodeExternalSecrets = (facts: ClusterFacts): Resource => encoded(buildExternalSecretsCluster(facts));

function encoded(cluster: Cluster): Resource {
  return encodeResource(ClusterSchema, cluster, TYPE_CLUSTER, cluster.name);
}

function specialClusters(viewer: Viewer, { interner, facts }: ShardContext): Entries {
  const causes = [{ kind: 'MeshConfig', namespace: '', name: MESH_KEY, path: '' }];
  const resources = [interner.intern('blackHoleCluster', facts, encodeBlackHole)];
  if (viewer.proxyType === 'sidecar') {
    const input = { facts, preservesHeaderCase: viewer.preservesHeaderCase };
    resources.push(interner.intern('passthroughCluster', input, encodePassthrough));
  }
  if (viewer.secretServers.credentials)
    resources.push(interner.intern('externalSecretsCluster', facts, encodeExternalSecrets));
  return resources.map((resource) => ({ resource, causes }));
}
