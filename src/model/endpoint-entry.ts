/**
 * Endpoints of ServiceEntries: their inline endpoints, the workloads their selector matches, or, for DNS resolution
 * without either, the host itself. Pure.
 * Source: Istio pilot/pkg/serviceregistry/serviceentry/conversion.go convertServiceEntryToInstances.
 */
import { isIp } from '#base/cidr.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { ServiceEntrySpec } from '#api/service-entry.ts';
import type { Endpoint, Workload } from './endpoint.ts';
import { addressesOf, endpointOf, healthOfWorkload, mayServe, ownPort } from './endpoint-kubernetes.ts';
import type { Service, ServicePort } from './service.ts';
import { type WorkloadContext, workloadFromEntry } from './workload.ts';

const UNIX_PREFIX = 'unix://';

/** True when Envoy itself resolves the endpoints' names. */
export function isDnsService(service: Service): boolean {
  return service.resolution === 'DNS' || service.resolution === 'DNS_ROUND_ROBIN';
}

/** Endpoints of one service of an entry without a workloadSelector. `service` carries the entry's own ports. */
export function endpointsFromEntry(
  service: Service,
  entry: MeshObject<ServiceEntrySpec>,
  context: WorkloadContext,
): readonly Endpoint[] {
  const inline = entry.spec.endpoints ?? [];
  if (inline.length === 0 && isDnsService(service)) {
    const itself = { ...entry, labels: {} };
    const workload = {
      ...workloadFromEntry({ address: service.hostname }, itself, context),
      endpointLabels: {},
    };
    return endpointsOnWorkload(service, workload);
  }
  return inline.flatMap((spec, i) => {
    const owner = { namespace: entry.namespace, name: `${entry.name}-${i}`, labels: {} };
    return endpointsOnWorkload(service, workloadFromEntry(spec, owner, context));
  });
}

/** Endpoints of one service of an entry on the workloads that its selector matches, pods and others alike. */
export function endpointsFromSelection(
  service: Service,
  workloads: readonly Workload[],
  dualStack = false,
): readonly Endpoint[] {
  const resolvesNames = isDnsService(service);
  return workloads
    .filter((workload) => resolvesNames || isIp(workload.addresses[0] ?? ''))
    .filter(mayServe)
    .flatMap((workload) => endpointsOnWorkload(service, workload, dualStack && workload.source === 'Pod'));
}

function endpointsOnWorkload(
  service: Service,
  workload: Workload,
  usesAllAddresses = false,
): readonly Endpoint[] {
  const addresses = usesAllAddresses ? workload.addresses : workload.addresses.slice(0, 1);
  const [address = ''] = addresses;
  const isSocket = address.startsWith(UNIX_PREFIX);
  return service.ports.map((port) => ({
    ...endpointOf(workload),
    ...addressesOf(isSocket ? [address.slice(UNIX_PREFIX.length)] : addresses),
    port: isSocket ? 0 : entryTargetPort(port, workload),
    servicePort: port.number,
    portName: port.name,
    health: healthOfWorkload(workload),
  }));
}

/** The workload's port of that name, else the entry's targetPort, else the port itself. */
function entryTargetPort(port: ServicePort, workload: Workload): number {
  return ownPort(workload, port.name) ?? (port.targetPort || port.number);
}
