/**
 * From where a proxy looks at endpoints: its viewer, its place, and those of its labels that failover settings compare.
 * Proxies with equal views get the same load assignments.
 */
import type { Proxy } from '#model/proxy.ts';
import type { Locality } from '#model/proxy.ts';
import { type Labels, withTopology } from '#model/workload-labels.ts';

/** Keyed by `key`, `viewer@region/zone/subzone,…`. */
export interface EndpointView {
  readonly key: string;
  readonly viewer: string;
  readonly locality: Locality;
  readonly labels: Labels;
}

/** The view of a proxy. */
export function endpointViewOf(proxy: Proxy, viewer: string): EndpointView {
  const { region, zone, subzone } = proxy.locality;
  const place = {
    locality: proxy.locality,
    clusterId: proxy.clusterId,
    network: proxy.network,
    nodeName: '',
  };
  const key = [`${viewer}@${region}/${zone}/${subzone}`, proxy.clusterId, proxy.network].join(',');
  return { key, viewer, locality: proxy.locality, labels: withTopology({}, place) };
}
