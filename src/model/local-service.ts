/**
 * The service that a workload counts as a part of when it looks at itself: the oldest of those that lead to it, then the first by
 * name. Envoy weighs the zones of its own service against those of the services that it calls (xds/endpoints/local-cluster.ts).
 */
import { compareBytes } from '#base/bytes-order.ts';
import type { Service, ServicePort } from './service.ts';
import type { ServiceTarget } from './service-target.ts';

/** A service of the workload, and the first of its ports that leads there. */
export interface LocalService {
  readonly service: Service;
  readonly port: ServicePort;
}

/**
 * Undefined for a workload that no service leads to.
 * Source: istio pilot/pkg/model/context.go SetServiceTargets (LocalService).
 */
export function localServiceOf(targets: readonly ServiceTarget[]): LocalService | undefined {
  const [service] = targets
    .map((target) => target.service)
    .sort((a, b) => a.createdAtMs - b.createdAtMs || compareBytes(a.hostname, b.hostname));
  const ports = new Set(targets.filter((target) => target.service === service).map(({ port }) => port));
  const port = service?.ports.find((candidate) => ports.has(candidate));
  return service === undefined || port === undefined ? undefined : { service, port };
}
