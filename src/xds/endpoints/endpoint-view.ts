/**
 * From where a proxy looks at endpoints: its viewer, its place, and those of its labels that some failover setting
 * compares. Proxies with equal views get the same load assignments. Which labels matter is known from the settings in the
 * mesh; as a rule none does, and all proxies of a viewer in one zone share a view.
 */
import { compareBytes } from '#base/bytes-order.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { MergedRule } from '#model/destination-rule.ts';
import { clusterFacts, meshFact } from '#model/mesh-facts.ts';
import type { Locality, Proxy } from '#model/proxy.ts';
import type { ServiceModel } from '#model/service-model.ts';
import { type Labels, NODE_LABEL } from '#model/workload-labels.ts';
import type { OutboundScope } from '#scope/outbound-host-model.ts';
import { distributionLabelKeys, failoverLabelKeys } from './locality-settings.ts';

/** Keyed by `key`, `viewer@region/zone/subzone,cluster,network` and compared labels if there are any. */
export interface EndpointView {
  readonly key: string;
  readonly viewer: string;
  readonly place: ClientPlace;
}

/** Where clients of a view are, whatever their viewer. */
export interface ClientPlace {
  readonly locality: Locality;
  /** Those labels of the proxy that are compared. */
  readonly labels: Labels;
  /** '' unless some setting asks for the node. */
  readonly nodeName: string;
  readonly clusterId: string;
  readonly network: string;
  /** Networks whose endpoints are shown; empty for all. */
  readonly networkView: readonly string[];
}

/** The views of connected proxies. */
export interface EndpointViews {
  readonly views: Collection<EndpointView>;
  readonly viewsByViewer: Index<EndpointView>;
  /** Key of a proxy's view. */
  viewOf(fetch: Fetch, proxy: Proxy): string;
}

/** What views are made of. */
export interface EndpointViewSources {
  readonly engine: Engine;
  readonly proxies: Collection<Proxy>;
  readonly serviceModel: Pick<ServiceModel, 'services' | 'meshFacts'>;
  readonly scope: Pick<OutboundScope, 'destinationRules' | 'viewerOf'>;
}

/** Builds the collections. */
export function createEndpointViews(sources: EndpointViewSources): EndpointViews {
  const { engine, serviceModel, scope } = sources;
  const comparedKeys = createComparedKeys(sources);
  const find = (fetch: Fetch, proxy: Proxy): EndpointView => {
    const { localityLb, zoneAwareLb } = meshFact(fetch, serviceModel.meshFacts.clusters, clusterFacts);
    const keys = new Set(failoverLabelKeys(localityLb, zoneAwareLb));
    for (const collection of comparedKeys) for (const key of fetch.all(collection).keys()) keys.add(key);
    return viewFor(proxy, scope.viewerOf(fetch, proxy), [...keys].sort(compareBytes));
  };
  const views = engine.deriveMany('xds.endpointViews', sources.proxies, (fetch, proxy) => {
    const view = find(fetch, proxy);
    return [[view.key, view]];
  });
  return {
    views,
    viewsByViewer: engine.index('xds.endpointViewsByViewer', views, (view) => [view.viewer]),
    viewOf: (fetch, proxy) => find(fetch, proxy).key,
  };
}

/** Label keys that rules and services compare, as keys of collections that change only when a key comes or goes. */
function createComparedKeys(sources: EndpointViewSources): readonly Collection<true>[] {
  const { engine, serviceModel, scope } = sources;
  const byRules = engine.index(
    'xds.failoverLabelsOfRules',
    scope.destinationRules.hostRules,
    ({ local, exported, privateOnly }) => [...local, ...exported, ...privateOnly].flatMap(labelKeysOf),
  );
  const byServices = engine.index('xds.failoverLabelsOfServices', serviceModel.services, (service) =>
    service.internalTrafficPolicy === 'Local'
      ? [NODE_LABEL, ...distributionLabelKeys(service.trafficDistribution)]
      : distributionLabelKeys(service.trafficDistribution),
  );
  return [byRules, byServices].map((index, i) => {
    const groups = engine.group<unknown>(`xds.failoverLabelGroups.${i}`, index as Index<unknown>);
    return engine.derive(`xds.failoverLabels.${i}`, groups, (): true => true);
  });
}

function labelKeysOf(rule: MergedRule): readonly string[] {
  const policies = [rule.trafficPolicy, ...rule.subsets.map((subset) => subset.trafficPolicy)];
  return policies.flatMap((policy) =>
    [policy, ...(policy?.portLevelSettings ?? [])].flatMap((settings) =>
      failoverLabelKeys(
        settings?.loadBalancer?.localityLbSetting,
        settings?.loadBalancer?.zoneAwareLbSetting,
      ),
    ),
  );
}

function viewFor(proxy: Proxy, viewer: string, keys: readonly string[]): EndpointView {
  const { locality, clusterId, network, networkView } = proxy;
  const labels: Record<string, string> = Object.create(null);
  for (const key of keys) {
    const value = Object.hasOwn(proxy.labels, key) ? proxy.labels[key] : undefined;
    if (value !== undefined) labels[key] = value;
  }
  const nodeName = keys.includes(NODE_LABEL) ? proxy.nodeName : '';
  const compared = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  if (nodeName !== '') compared.push(nodeName);
  if (networkView.length > 0) compared.push(`networks=${networkView.join('+')}`);
  const place = `${locality.region}/${locality.zone}/${locality.subzone}`;
  const key = escaped([`${viewer}@${place}`, clusterId, network, ...compared].join(','));
  return { key, viewer, place: { locality, labels, nodeName, clusterId, network, networkView } };
}

/** Localities and labels are free text; '|' ends the view in keys of collections. */
function escaped(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('|', '%7C');
}
