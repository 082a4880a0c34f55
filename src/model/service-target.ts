/**
 * The way back from a workload to the services that lead to it: what a sidecar must take in. Found by address among
 * the endpoints, so it holds whatever made them (slices, selectors, ServiceEntries).
 * Costs O(endpoints of the services at that address).
 */
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { ServiceEndpoints } from './endpoint.ts';
import type { Proxy } from './proxy.ts';
import type { Service, ServicePort } from './service.ts';
import type { WorkloadModel } from './workload-model.ts';

/** A service port that leads to a workload, and the workload port behind it. */
export interface ServiceTarget {
  readonly service: Service;
  readonly port: ServicePort;
  readonly targetPort: number;
}

/** How the workload behind a proxy is reached. */
export interface ProxyWorkload {
  readonly targets: readonly ServiceTarget[];
  /** Where the application listens when that is not the proxy's own address; '' otherwise. */
  readonly appAddress: string;
  /** Application ports by workload port, where they differ. */
  readonly appPorts: Readonly<Record<string, number>>;
}

export interface ServiceTargetSources {
  readonly engine: Engine;
  readonly services: Collection<Service>;
  readonly endpoints: Collection<ServiceEndpoints>;
  readonly workloadModel: WorkloadModel;
}

/** Returns the look-up; it reads the buckets of the proxy's addresses. */
export function createServiceTargets(
  sources: ServiceTargetSources,
): (fetch: Fetch, proxy: Proxy) => ProxyWorkload {
  const { engine, services, workloadModel } = sources;
  const byAddress = engine.index('model.endpointsByAddress', sources.endpoints, ({ endpoints }) => [
    ...new Set(endpoints.map((endpoint) => endpoint.address)),
  ]);
  return (fetch, proxy) => {
    const targets = proxy.addresses.flatMap((address) => targetsAt(fetch, byAddress, services, address));
    const [workload] = proxy.addresses.flatMap((address) => [
      ...fetch.bucket(workloadModel.workloadsByAddress, address).values(),
    ]);
    return { targets, appAddress: workload?.appAddress ?? '', appPorts: workload?.appPorts ?? {} };
  };
}

function targetsAt(
  fetch: Fetch,
  byAddress: Index<ServiceEndpoints>,
  services: Collection<Service>,
  address: string,
): ServiceTarget[] {
  return [...fetch.bucket(byAddress, address)].flatMap(([key, { endpoints }]) => {
    const service = fetch.get(services, key);
    if (service === undefined) return [];
    return endpoints.flatMap((endpoint) => {
      if (endpoint.address !== address) return [];
      // TCP and UDP may have the same number.
      const port = service.ports.find(
        ({ number, name }) => number === endpoint.servicePort && name === endpoint.portName,
      );
      return port === undefined ? [] : [{ service, port, targetPort: endpoint.port }];
    });
  });
}
