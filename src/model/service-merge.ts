/**
 * Several objects may declare one host in one namespace: a Kubernetes Service and ServiceEntries, or ServiceEntries
 * for different ports. Exactly one Service stands for them. Pure and independent of the order of events.
 * Source: Istio pilot/pkg/model/sidecar.go appendSidecarServices and push_context.go SortServicesByCreationTime.
 */
import { compareBytes } from '#base/bytes-order.ts';
import { deepEqual } from '#base/deep-equal.ts';
import type { Service, ServicePort } from './service.ts';

/** Older services come first, then by name and namespace: the order in which Istio lets them compete. */
export function compareServices(a: Service, b: Service): number {
  return (
    a.createdAtMs - b.createdAtMs || compareBytes(a.name, b.name) || compareBytes(a.namespace, b.namespace)
  );
}

/**
 * The one service for the declarations of a host in a namespace: Kubernetes before ServiceEntry (nobody can squat on
 * the name of a Service), then the oldest, with the ports of younger ServiceEntries that agree in all else.
 */
export function mergeServices(declared: readonly Service[]): Service | undefined {
  const byAge = declared.toSorted(compareServices);
  const kubernetes = byAge.find((service) => service.registry === 'Kubernetes');
  if (kubernetes !== undefined) return kubernetes;
  const [first, ...younger] = byAge;
  if (first === undefined) return undefined;
  return younger.reduce(withPortsOf, first);
}

function withPortsOf(service: Service, other: Service): Service {
  if (!canMerge(service, other)) return service;
  const ports: ServicePort[] = [...service.ports];
  for (const port of other.ports) {
    if (!ports.some((known) => known.number === port.number)) ports.push(port);
  }
  const addresses = [...new Set([...service.addresses, ...other.addresses])];
  return { ...service, ports, addresses, mergedFrom: [...service.mergedFrom, other.cause] };
}

function canMerge(a: Service, b: Service): boolean {
  return (
    a.resolution === b.resolution &&
    deepEqual(a.labels, b.labels) &&
    deepEqual(a.selector, b.selector) &&
    deepEqual(a.visibility, b.visibility)
  );
}
