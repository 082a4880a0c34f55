/**
 * The clusters of gateways that get only what they route to (scope/gateway-destinations.ts): a choice from those of their
 * viewer, per gateway view. A host that comes or goes costs its own clusters.
 */
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { GatewayDestination } from '#scope/gateway-destinations.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import { isGatewayViewer, viewerKey } from '#scope/viewer.ts';
import type { ResourceEntry } from '#xds/resource.ts';

export interface GatewayClusterSources {
  readonly engine: Engine;
  readonly destinations: Collection<GatewayDestination>;
  /** All clusters, keyed `viewer|name`. */
  readonly clusters: Collection<ResourceEntry>;
  /** Keyed `viewer|hostname`. */
  readonly hosts: Collection<OutboundHost>;
}

/** The clusters by gateway view; inner key is the cluster's name. */
export function createGatewayClusters(sources: GatewayClusterSources): Index<ResourceEntry> {
  const { engine, hosts } = sources;
  const byHost = engine.index('xds.gatewayClustersByHost', sources.clusters, (_entry, key) => {
    const viewer = key.slice(0, key.indexOf('|'));
    return isGatewayViewer(viewer) ? [viewerKey(viewer, hostOf(key.slice(viewer.length + 1)))] : [];
  });
  const chosen = engine.deriveMany('xds.gatewayClusters', sources.destinations, (fetch, destination) => {
    const names = hostsBehind(fetch, hosts, destination);
    const entries = names.flatMap((host) => [
      ...fetch.bucket(byHost, viewerKey(destination.viewer, host)).values(),
    ]);
    return entries.map((entry) => [viewerKey(destination.view, entry.resource.name), entry] as const);
  });
  return engine.index(
    'xds.gatewayClustersByView',
    chosen,
    (_entry, key) => [key.slice(0, key.indexOf('|'))],
    (entry) => entry.resource.name,
  );
}

/** `outbound|80|v1|host` is of that host; what has no such name is nobody's, scope/gateway-destinations.ts NO_HOST. */
function hostOf(cluster: string): string {
  const bar = cluster.lastIndexOf('|');
  return bar < 0 ? '' : cluster.slice(bar + 1);
}

/** Routes to an alias use the clusters of what it stands for, which Istio leaves out here. */
function hostsBehind(
  fetch: Fetch,
  hosts: Collection<OutboundHost>,
  { viewer, hostname, namespace }: GatewayDestination,
): readonly string[] {
  if (hostname === '') return [hostname];
  const service = fetch.get(hosts, viewerKey(viewer, hostname))?.service;
  if (service === undefined || (namespace !== '' && service.namespace !== namespace)) return [];
  return service.externalName === '' ? [hostname] : [hostname, service.externalName];
}
