/**
 * DNS clusters carry their endpoints inline, so where a locality setting is in force they differ by the client's place.
 * Only such clusters are made here, per endpoint view; they stand in for those that `outbound-clusters.ts` made for the
 * whole viewer. In most meshes there are none, and the cost is one look at each DNS service per viewer.
 * Source: Istio pilot/pkg/networking/core/loadbalancer ApplyToCluster.
 */
import type { Engine, Index } from '#collections/collection.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import type { Interner } from '#collections/interner.ts';
import { type ClusterFacts, clusterFacts, meshFact } from '#model/mesh-facts.ts';
import { isDnsService } from '#model/endpoint-entry.ts';
import type { Service } from '#model/service.ts';
import { serviceKey } from '#model/service-hostname.ts';
import type { ServiceModel } from '#model/service-model.ts';
import type { OutboundScope } from '#scope/outbound-host-model.ts';
import { viewerKey } from '#scope/viewer.ts';
import type { ClientPlace, EndpointViews } from '#xds/endpoints/endpoint-view.ts';
import { balancesByZone, type LocalityLb, localityLbOf } from '#xds/endpoints/locality-settings.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { clusterInput } from './cluster-assembly.ts';
import { type ClientTraits, type HostPolicy, NO_POLICY, planClusters, traitsOf } from './cluster-plan.ts';
import type { Destination } from './destination.ts';
import { encodeCluster } from './outbound-cluster.ts';

/** What placed clusters are made of. */
export interface PlacedClusterSources {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly serviceModel: Pick<ServiceModel, 'meshFacts'>;
  readonly scope: Pick<OutboundScope, 'hostShards'>;
  readonly destinations: Index<Destination>;
  readonly endpointViews: EndpointViews;
}

type Entries = readonly ResourceEntry[];
type BuildInputs = readonly [Service, HostPolicy, ClientTraits, ClusterFacts, Destination, ClientPlace];

/** The clusters by endpoint view; inner key is the cluster's name. */
export function createPlacedClusters(sources: PlacedClusterSources): Index<ResourceEntry> {
  const { engine, interner, serviceModel, endpointViews } = sources;
  const build = identityMemo<BuildInputs, Entries>((...inputs) => placedClusters(inputs, interner));
  const all = engine.deriveMany(
    'xds.placedClusters',
    sources.scope.hostShards,
    (fetch, { viewer, shard, hosts }) => {
      const dnsHosts = hosts.filter(({ service }) => isDnsService(service));
      if (dnsHosts.length === 0) return [];
      const facts = meshFact(fetch, serviceModel.meshFacts.clusters, clusterFacts);
      const views = [...fetch.bucket(endpointViews.viewsByViewer, viewer.key).values()];
      const ofShard = fetch.bucket(sources.destinations, shard);
      const traits = interner.intern('clientTraits', traitsOf(viewer), (input) => ({ ...input }));
      return views.flatMap((view) => {
        const place = interner.intern('clientPlace', view.place, (input) => ({ ...input }));
        return dnsHosts.flatMap(({ service, policy = NO_POLICY }) => {
          const destination = ofShard.get(serviceKey(service.namespace, service.hostname));
          if (destination === undefined) return [];
          const entries = build(service, policy, traits, facts, destination, place);
          return entries.map((entry) => [viewerKey(view.key, entry.resource.name), entry] as const);
        });
      });
    },
  );
  return engine.index(
    'xds.placedClustersByView',
    all,
    (_entry, key) => [key.slice(0, key.indexOf('|'))],
    (entry) => entry.resource.name,
  );
}

function placedClusters(inputs: BuildInputs, interner: Interner): Entries {
  const [service, policy, traits, facts, destination, place] = inputs;
  return planClusters({ service, policy, traits, facts }).flatMap((planned) => {
    const { loadBalancer, outlierDetection } = planned.policy;
    const lb = localityLbOf(loadBalancer, service.trafficDistribution, facts);
    if (!isPlaceSensitive(lb, outlierDetection !== undefined)) return [];
    const input = clusterInput(planned, { service, policy, traits, facts, destination, place });
    if (input === undefined || input.endpoints.length === 0) return [];
    return [{ resource: interner.intern('outboundCluster', input, encodeCluster), causes: planned.causes }];
  });
}

/** True when the setting orders or weighs localities for a client. */
function isPlaceSensitive(lb: LocalityLb | undefined, detectsOutliers: boolean): boolean {
  if (lb === undefined) return false;
  if (lb.kind === 'zoneAware') return balancesByZone(lb.setting);
  return detectsOutliers || lb.alwaysFailsOver || (lb.setting.distribute ?? []).length > 0;
}
