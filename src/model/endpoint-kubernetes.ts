/**
 * Endpoints of Kubernetes Services: what EndpointSlices list, joined with the pods they name; and workloads outside of
 * Kubernetes (WorkloadEntries, replicas on this machine) that the Service's selector matches. Pure.
 * Source: Istio pilot/pkg/serviceregistry/kube/controller/endpointslice.go and controller.go.
 */
import { isIp } from '#base/cidr.ts';
import type { EndpointSliceSpec, SliceEndpoint, SlicePort } from '#api/endpoint-slice.ts';
import type { Endpoint, Workload } from './endpoint.ts';
import type { Service, ServicePort } from './service.ts';
import { type Labels, NETWORK_LABEL, NO_LOCALITY, withTopology } from './workload-labels.ts';

/** Finds the pod behind an address of a slice; undefined when the slice was written by hand or the pod is unknown. */
export type FindWorkload = (endpoint: SliceEndpoint, address: string) => Workload | undefined;

/** What is known about a slice besides what it says. */
export interface SliceContext {
  /** The cluster that the slice is in. */
  readonly clusterId: string;
  /** Pods and services with addresses of both families are one endpoint with both. */
  readonly dualStack: boolean;
}

/** Endpoints that one slice gives to its service. */
export function endpointsFromSlice(
  service: Service,
  slice: EndpointSliceSpec,
  findWorkload: FindWorkload,
  { clusterId, dualStack }: SliceContext,
): readonly Endpoint[] {
  if (slice.addressType === 'FQDN') return [];
  return slice.endpoints.flatMap((entry) => {
    const health = healthOf(service, entry);
    if (health === undefined) return [];
    return entry.addresses.flatMap((address) => {
      const workload = findWorkload(entry, address);
      // The slice may be ahead of the pod: without the pod's identity the endpoint would be called in plain text.
      if (workload === undefined && entry.targetRef?.kind === 'Pod') return [];
      const isPod = entry.targetRef?.kind === 'Pod';
      const own = dualStack && isPod && service.addresses.length > 1 ? (workload?.addresses ?? []) : [];
      // The slice of the other family lists the same pod.
      if (own.length > 1 && slice.addressType === 'IPv6') return [];
      const addresses = own.length > 1 ? own : [address];
      return slice.ports.flatMap((port) =>
        sliceEndpoint(service, { addresses, port, health, workload, clusterId }),
      );
    });
  });
}

interface SliceAddress {
  readonly addresses: readonly string[];
  readonly port: SlicePort;
  readonly health: Endpoint['health'];
  readonly workload: Workload | undefined;
  readonly clusterId: string;
}

function sliceEndpoint(service: Service, slice: SliceAddress): readonly Endpoint[] {
  const { addresses, port, workload } = slice;
  const servicePort = service.ports.find((candidate) => candidate.name === port.name);
  if (servicePort === undefined) return [];
  const ports = { port: port.port, servicePort: servicePort.number, portName: port.name };
  const place = { ...addressesOf(addresses), ...ports };
  if (workload === undefined)
    return [{ ...unknownWorkload(slice.clusterId), ...place, health: slice.health }];
  return [{ ...endpointOf(workload), ...place, health: slice.health }];
}

/** The first address, and the others if there are any. */
export function addressesOf(
  addresses: readonly string[],
): Pick<Endpoint, 'address'> & Partial<Pick<Endpoint, 'otherAddresses'>> {
  const [address = '', ...otherAddresses] = addresses;
  return otherAddresses.length === 0 ? { address } : { address, otherAddresses };
}

/** Undefined for endpoints that are shutting down: they take no new requests and count for nothing. */
function healthOf(service: Service, entry: SliceEndpoint): Endpoint['health'] | undefined {
  if (entry.ready) return 'healthy';
  const keepsDraining = service.persistentSession !== undefined;
  if (entry.terminating) return keepsDraining && entry.serving ? 'draining' : undefined;
  return 'unhealthy';
}

/** Endpoints of a Kubernetes Service on workloads that no slice lists. */
export function endpointsFromWorkloads(
  service: Service,
  workloads: readonly Workload[],
): readonly Endpoint[] {
  return workloads.filter(mayServe).flatMap((workload) =>
    service.ports.flatMap((port) => {
      const number = targetPortOf(port, workload);
      const [address] = workload.addresses;
      if (number === undefined || address === undefined || !isIp(address)) return [];
      const health = service.publishNotReady ? 'healthy' : healthOfWorkload(workload);
      const place = { address, port: number, servicePort: port.number, portName: port.name };
      return [{ ...endpointOf(workload), ...place, health } as const];
    }),
  );
}

/** What is known about a workload's health when no slice tells. */
export function healthOfWorkload(workload: Workload): Endpoint['health'] {
  if (workload.source === 'WorkloadEntry') return 'unknown';
  return workload.ready ? 'healthy' : 'unhealthy';
}

/** A WorkloadEntry whose health checks fail is no endpoint; replicas that are not ready are shown as such. */
export function mayServe(workload: Workload): boolean {
  return workload.ready || workload.source === 'LocalWorkload';
}

/** A WorkloadEntry's port of the service port's name wins over a numeric targetPort. */
function targetPortOf(port: ServicePort, workload: Workload): number | undefined {
  if (port.targetPortName !== '') return ownPort(workload, port.targetPortName);
  const named = workload.source === 'WorkloadEntry' ? ownPort(workload, port.name) : undefined;
  return named ?? (port.targetPort || port.number);
}

/** A port of the workload by name; 0 counts as none. */
export function ownPort(workload: Workload, name: string): number | undefined {
  const number = Object.hasOwn(workload.ports, name) ? workload.ports[name] : undefined;
  return number === 0 ? undefined : number;
}

/** The part of an endpoint that comes from its workload; address and ports are up to the service. */
export function endpointOf(workload: Workload): Endpoint {
  return {
    address: '',
    port: 0,
    servicePort: 0,
    portName: '',
    labels: workload.endpointLabels,
    identity: workload.identity,
    serviceAccount: workload.serviceAccount,
    network: workload.network,
    clusterId: workload.clusterId,
    locality: workload.locality,
    weight: workload.weight,
    tlsMode: workload.tlsMode,
    health: 'healthy',
    workloadName: workload.workloadName,
    namespace: workload.namespace,
    hostname: workload.hostname,
    nodeName: workload.nodeName,
  };
}

/** An address that somebody put into a slice by hand. */
function unknownWorkload(clusterId: string): Endpoint {
  const place = { locality: NO_LOCALITY, clusterId, network: '', nodeName: '' };
  const labels: Labels = withTopology({ [NETWORK_LABEL]: '' }, place);
  return {
    address: '',
    port: 0,
    servicePort: 0,
    portName: '',
    labels,
    identity: '',
    serviceAccount: '',
    network: '',
    clusterId,
    locality: NO_LOCALITY,
    weight: 0,
    tlsMode: 'disabled',
    health: 'healthy',
    workloadName: '',
    namespace: '',
    hostname: '',
    nodeName: '',
  };
}
