/**
 * Connected proxies as the objects of the mesh describe them: where a workload of the proxy's name is known, its labels and
 * its place count, and what the node says of itself only fills gaps. Labels always carry the topology too, so that
 * selectors, subsets and failover priorities of proxies and endpoints speak of the same labels.
 * Costs one look-up per proxy; a change of the workload that changes none of these facts ends here.
 * Source: Istio pilot/pkg/xds/ads.go setTopologyLabels, pilot/pkg/model/context.go SetWorkloadLabels.
 */
import type { Collection, Engine } from '#collections/collection.ts';
import type { Workload } from './endpoint.ts';
import type { Locality, Proxy } from './proxy.ts';
import { withTopology } from './workload-labels.ts';

/** The proxies under the same keys. */
export function createDescribedProxies(
  engine: Engine,
  proxies: Collection<Proxy>,
  workloads: Collection<Workload>,
): Collection<Proxy> {
  return engine.derive('model.proxies', proxies, (fetch, proxy) =>
    describeProxy(proxy, fetch.get(workloads, `${proxy.namespace}/${proxy.name}`)),
  );
}

/** The proxy with what its workload says about it. */
export function describeProxy(proxy: Proxy, workload: Workload | undefined): Proxy {
  const known = workload?.locality;
  const locality = known !== undefined && isKnown(known) ? known : proxy.locality;
  const nodeName = proxy.nodeName || (workload?.nodeName ?? '');
  const network = proxy.network || (workload?.network ?? '');
  const place = { locality, clusterId: proxy.clusterId, network, nodeName };
  return {
    ...proxy,
    labels: withTopology(workload?.labels ?? proxy.labels, place),
    locality,
    nodeName,
    network,
  };
}

function isKnown({ region, zone, subzone }: Locality): boolean {
  return region !== '' || zone !== '' || subzone !== '';
}
