/**
 * Clusters of gateways with AUTO_PASSTHROUGH servers: one for each server name by which mesh clients of another network ask for
 * a service (`outbound_.8000_._.httpbin.foo.svc.cluster.local`). Mesh TLS goes through them as it is, so they have none of
 * their own. Viewers without such a gateway have none; for them this costs nothing.
 * Source: istio pilot/pkg/networking/core/cluster.go buildOutboundSniDnatClusters.
 */
import type { Engine, Index } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import { clusterFacts, meshFact } from '#model/mesh-facts.ts';
import { serviceKey } from '#model/service-hostname.ts';
import type { ServiceModel } from '#model/service-model.ts';
import type { MeshTlsForwarders } from '#scope/gateway-forwarders.ts';
import type { OutboundScope } from '#scope/outbound-host-model.ts';
import { viewerKey } from '#scope/viewer.ts';
import { type LocalityGroup, sumOfWeights } from '#xds/endpoints/locality-group.ts';
import { sniName } from '#xds/names.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { clusterInput, type HostContext } from './cluster-assembly.ts';
import type { ClusterInput } from './cluster-input.ts';
import { NO_POLICY, type PlannedCluster, planClusters, traitsOf } from './cluster-plan.ts';
import type { Destination } from './destination.ts';
import { encodeCluster } from './outbound-cluster.ts';

export interface SniClusterSources {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly serviceModel: Pick<ServiceModel, 'meshFacts'>;
  readonly scope: Pick<OutboundScope, 'hostShards'>;
  readonly destinations: Index<Destination>;
  readonly forwarders: MeshTlsForwarders;
}

/** The clusters by viewer; inner key is the cluster's name. */
export function createSniClusters(sources: SniClusterSources): Index<ResourceEntry> {
  const { engine, interner, serviceModel, forwarders } = sources;
  const all = engine.deriveMany(
    'xds.sniClusters',
    sources.scope.hostShards,
    (fetch, { viewer, shard, hosts }) => {
      if (viewer.proxyType !== 'router' || hosts.length === 0) return [];
      if (fetch.get(forwarders.viewers, viewer.key) === undefined) return [];
      const facts = meshFact(fetch, serviceModel.meshFacts.clusters, clusterFacts);
      const ofShard = fetch.bucket(sources.destinations, shard);
      return hosts.flatMap(({ service, policy = NO_POLICY }) => {
        const destination = ofShard.get(serviceKey(service.namespace, service.hostname));
        if (destination === undefined || service.meshExternal) return [];
        const context = { service, policy, traits: traitsOf(viewer), facts, destination };
        return planClusters(context).flatMap((planned) => {
          const input = sniClusterInput(planned, context);
          if (input === undefined) return [];
          const resource = interner.intern('outboundCluster', input, encodeCluster);
          return [[viewerKey(viewer.key, input.name), { resource, causes: planned.causes }] as const];
        });
      });
    },
  );
  return engine.index(
    'xds.sniClustersByViewer',
    all,
    (_entry, key) => [key.slice(0, key.indexOf('|'))],
    (entry) => entry.resource.name,
  );
}

/** As the plain cluster, without anything that touches the bytes; undefined without an endpoint to forward to (DNS). */
function sniClusterInput(planned: PlannedCluster, context: HostContext): ClusterInput | undefined {
  const plain = clusterInput(planned, context);
  if (plain === undefined || planned.discovery === 'DYNAMIC') return undefined;
  const endpoints = onlyMutualTls(plain.endpoints);
  if (plain.endpoints.length > 0 && endpoints.length === 0) return undefined;
  const { proxyProtocol: _proxyProtocol, ...policy } = plain.policy;
  const name = sniName(planned.port.number, planned.subset?.name ?? '', context.service.hostname);
  return { ...plain, name, endpoints, policy, tls: undefined };
}

function onlyMutualTls(groups: readonly LocalityGroup[]): readonly LocalityGroup[] {
  return groups.flatMap((group) => {
    const endpoints = group.endpoints.filter((endpoint) => endpoint.isMutualTls);
    return endpoints.length === 0 ? [] : [{ ...group, endpoints, weight: sumOfWeights(endpoints) }];
  });
}
