/**
 * Load assignments of the clusters that forward mesh TLS (clusters/sni-clusters.ts): the endpoints of the plain cluster, but
 * for those without mesh TLS, since nothing at the gateway proves that what is forwarded is encrypted.
 * Source: istio pilot/pkg/xds/endpoints/ep_filters.go EndpointsWithMTLSFilter.
 */
import type { Engine, Index } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import { clusterFacts, MESH_KEY, meshFact } from '#model/mesh-facts.ts';
import { NO_GATEWAYS } from '#model/network.ts';
import { serviceKey } from '#model/service-hostname.ts';
import type { ServiceModel } from '#model/service-model.ts';
import type { MeshTlsForwarders } from '#scope/gateway-forwarders.ts';
import type { OutboundScope } from '#scope/outbound-host-model.ts';
import { viewerKey } from '#scope/viewer.ts';
import { NO_POLICY, planClusters, traitsOf } from '#xds/clusters/cluster-plan.ts';
import { sniName } from '#xds/names.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { assignmentInput, encodeAssignment } from './assignment.ts';
import type { EndpointViews } from './endpoint-view.ts';
import { NOT_SERVED, type ServedEndpoints } from './served-endpoints.ts';

export interface SniEndpointSources {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly serviceModel: Pick<ServiceModel, 'meshFacts' | 'networkGateways'>;
  readonly scope: Pick<OutboundScope, 'hostShards'>;
  readonly views: EndpointViews;
  readonly servedByShard: Index<ServedEndpoints>;
  readonly forwarders: MeshTlsForwarders;
}

/** The load assignments by endpoint view; inner key is the cluster's name. */
export function createSniEndpoints(sources: SniEndpointSources): Index<ResourceEntry> {
  const { engine, interner, serviceModel, forwarders, views } = sources;
  const all = engine.deriveMany(
    'xds.sniEndpoints',
    sources.scope.hostShards,
    (fetch, { viewer, shard, hosts }) => {
      if (viewer.proxyType !== 'router' || hosts.length === 0) return [];
      if (fetch.get(forwarders.viewers, viewer.key) === undefined) return [];
      const facts = meshFact(fetch, serviceModel.meshFacts.clusters, clusterFacts);
      const networks = fetch.get(serviceModel.networkGateways, MESH_KEY) ?? NO_GATEWAYS;
      const traits = traitsOf(viewer);
      const ofShard = fetch.bucket(sources.servedByShard, shard);
      const ofViewer = [...fetch.bucket(views.viewsByViewer, viewer.key).values()];
      return hosts.flatMap(({ service, policy = NO_POLICY }) => {
        if (service.meshExternal) return [];
        const served = ofShard.get(serviceKey(service.namespace, service.hostname)) ?? NOT_SERVED;
        const plan = planClusters({ service, policy, traits, facts });
        return plan
          .filter((planned) => planned.discovery === 'EDS')
          .flatMap((planned) => {
            const name = sniName(planned.port.number, planned.subset?.name ?? '', service.hostname);
            return ofViewer.map(({ key, place }) => {
              const seen = { service, policy, traits, facts, served, networks };
              const context = { ...seen, place, onlyMutualTls: true };
              const input = { ...assignmentInput(planned, context), clusterName: name };
              const resource = interner.intern('loadAssignment', input, encodeAssignment);
              return [viewerKey(key, name), { resource, causes: planned.causes }] as const;
            });
          });
      });
    },
  );
  return engine.index(
    'xds.sniEndpointsByView',
    all,
    (_entry, key) => [key.slice(0, key.indexOf('|'))],
    (entry) => entry.resource.name,
  );
}
