/**
 * Load assignments of EDS clusters, for every viewer and locality class: proxies that look through one viewer from one
 * place. A pod that comes or goes costs the clusters of its services, built once per place and shared by viewers; equal
 * results are one resource, which is the rule where localities play no role.
 */
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import type { Interner } from '#collections/interner.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import type { LocalService } from '#model/local-service.ts';
import { type ClusterFacts, clusterFacts, MESH_KEY, meshFact } from '#model/mesh-facts.ts';
import { type NetworkGateways, NO_GATEWAYS } from '#model/network.ts';
import type { Proxy } from '#model/proxy.ts';
import type { Service } from '#model/service.ts';
import { serviceKey } from '#model/service-hostname.ts';
import type { ServiceModel } from '#model/service-model.ts';
import type { MeshTlsForwarders } from '#scope/gateway-forwarders.ts';
import type { HostShard, OutboundScope } from '#scope/outbound-host-model.ts';
import { viewerKey } from '#scope/viewer.ts';
import {
  type ClientTraits,
  type HostPolicy,
  NO_POLICY,
  planClusters,
  traitsOf,
} from '#xds/clusters/cluster-plan.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { PERMISSIVE_SERVERS, type ServerMutualTls } from '#xds/tls/server-mutual-tls.ts';
import { assignmentInput, encodeAssignment } from './assignment.ts';
import {
  type ClientPlace,
  createEndpointViews,
  type EndpointView,
  type EndpointViews,
} from './endpoint-view.ts';
import { createLocalClusters, LOCAL_CLUSTER } from './local-cluster.ts';
import { createSniEndpoints } from './sni-endpoints.ts';
import { createServedEndpoints, NOT_SERVED, type ServedEndpoints } from './served-endpoints.ts';

/** What endpoints are made of. */
export interface EndpointSources {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly proxies: Collection<Proxy>;
  readonly serviceModel: Pick<ServiceModel, 'endpoints' | 'meshFacts' | 'services' | 'networkGateways'>;
  readonly scope: Pick<OutboundScope, 'hostShards' | 'hosts' | 'viewers' | 'viewerOf' | 'destinationRules'>;
  /** The service that a proxy is a part of; without it, none discovers itself. */
  readonly localServiceOf?: (fetch: Fetch, proxy: Proxy) => LocalService | undefined;
  /** The views of connected proxies, where they have been made already (`createEndpointViews`). */
  readonly endpointViews?: EndpointViews;
  /** What servers demand; without it, what they demand without PeerAuthentications. */
  readonly serverMutualTls?: ServerMutualTls;
  /** Gateways that forward mesh TLS; without it, none does. */
  readonly forwarders?: MeshTlsForwarders;
}

/** The load assignments. */
export interface OutboundEndpoints {
  /** By endpoint view (`endpointViewOf`); inner key is the cluster's name. */
  readonly endpoints: Index<ResourceEntry>;
  /** Key of the bucket that holds a proxy's load assignments. */
  endpointViewOf(fetch: Fetch, proxy: Proxy): string;
  /** All load assignments of a proxy. */
  endpointsFor(fetch: Fetch, proxy: Proxy): PersistentMap<ResourceEntry>;
}

/** Builds the collections. */
export function createEndpoints(sources: EndpointSources): OutboundEndpoints {
  const { engine, interner, scope, serviceModel, serverMutualTls = PERMISSIVE_SERVERS } = sources;
  const views = sources.endpointViews ?? createEndpointViews(sources);
  const { served, servedByShard } = createServedEndpoints(engine, serviceModel, serverMutualTls);
  const build = assignmentBuilder(interner);
  const all = engine.deriveMany('xds.endpoints', scope.hostShards, (fetch, shard) => {
    const ofViewer = [...fetch.bucket(views.viewsByViewer, shard.viewer.key).values()];
    const facts = meshFact(fetch, serviceModel.meshFacts.clusters, clusterFacts);
    const served = fetch.bucket(servedByShard, shard.shard);
    return assignmentsOfShard(shard, ofViewer, {
      facts,
      interner,
      build,
      networks: fetch.get(serviceModel.networkGateways, MESH_KEY) ?? NO_GATEWAYS,
      servedOf: (service) => served.get(serviceKey(service.namespace, service.hostname)) ?? NOT_SERVED,
    });
  });
  const endpoints = engine.index(
    'xds.endpointsByView',
    all,
    (_entry, key) => [key.slice(0, key.indexOf('|'))],
    (entry) => entry.resource.name,
  );
  const { forwarders, localServiceOf } = sources;
  const local = localServiceOf && createLocalClusters({ ...sources, served, localServiceOf });
  const forwarding = forwarders && createSniEndpoints({ ...sources, forwarders, views, servedByShard });
  return {
    endpoints,
    endpointViewOf: views.viewOf,
    endpointsFor(fetch, proxy) {
      const view = views.viewOf(fetch, proxy);
      const plain = fetch.bucket(endpoints, view);
      const isForwarder = forwarding !== undefined && forwarders?.isForwarder(fetch, proxy) === true;
      const all = isForwarder ? plain.patch(fetch.bucket(forwarding, view)) : plain;
      const ofItself = local && fetch.get(local, proxy.id);
      return ofItself === undefined ? all : all.set(LOCAL_CLUSTER, ofItself);
    },
  };
}

type Entries = readonly ResourceEntry[];
type BuildInputs = readonly [
  Service,
  HostPolicy,
  ClientTraits,
  ClusterFacts,
  ServedEndpoints,
  ClientPlace,
  NetworkGateways,
];
type Build = (...inputs: BuildInputs) => Entries;

interface ShardContext {
  readonly facts: ClusterFacts;
  readonly interner: Interner;
  readonly build: Build;
  readonly networks: NetworkGateways;
  servedOf(service: Service): ServedEndpoints;
}

function* assignmentsOfShard(
  { viewer, hosts }: HostShard,
  views: readonly EndpointView[],
  context: ShardContext,
): Generator<readonly [string, ResourceEntry]> {
  const { interner, facts } = context;
  const traits = interner.intern('clientTraits', traitsOf(viewer), (input) => ({ ...input }));
  for (const view of views) {
    const place = interner.intern('clientPlace', view.place, (input) => ({ ...input }));
    for (const { service, policy = NO_POLICY } of hosts) {
      const served = context.servedOf(service);
      const entries = context.build(service, policy, traits, facts, served, place, context.networks);
      for (const entry of entries) yield [viewerKey(view.key, entry.resource.name), entry];
    }
  }
}

/** Remembers a host's load assignments per combination of inputs, whoever looks. */
function assignmentBuilder(interner: Interner): Build {
  return identityMemo<BuildInputs, Entries>((...inputs) => {
    const [service, policy, traits, facts, served, place, networks] = inputs;
    const clusters = planClusters({ service, policy, traits, facts });
    return clusters
      .filter((planned) => planned.discovery === 'EDS')
      .map((planned) => {
        const input = assignmentInput(planned, { service, policy, traits, facts, served, place, networks });
        return {
          resource: interner.intern('loadAssignment', input, encodeAssignment),
          causes: planned.causes,
        };
      });
  });
}
