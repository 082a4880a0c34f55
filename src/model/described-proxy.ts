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
export function describeProxy(proxy: Proxy, found: Workload | undefined): Proxy {
  const workload = found !== undefined && agrees(proxy, found) ? found : undefined;
  const known = workload?.locality;
  const locality = known !== undefined && isKnown(known) ? known : proxy.locality;
  const nodeName = workload?.nodeName || proxy.nodeName;
  const network = proxy.network || (workload?.network ?? '');
  const place = { locality, clusterId: proxy.clusterId, network, nodeName };
  return {
    ...proxy,
    ...(workload?.source === 'Pod' ? podFacts(workload) : {}),
    labels: withTopology(workload?.labels ?? proxy.labels, place),
    locality,
    nodeName,
    network,
  };
}

/** A pod of another service account than the one that was proven is another pod, which came after the proxy was let in. */
function agrees(proxy: Proxy, workload: Workload): boolean {
  return (
    proxy.identity === undefined ||
    workload.source !== 'Pod' ||
    workload.serviceAccount === proxy.serviceAccount
  );
}

function podFacts({
  addresses,
  serviceAccount,
  workloadName,
}: Workload): Pick<Proxy, 'addresses' | 'serviceAccount' | 'workloadName'> {
  return { addresses, serviceAccount, workloadName };
}

function isKnown({ region, zone, subzone }: Locality): boolean {
  return region !== '' || zone !== '' || subzone !== '';
}
