/**
 * The addresses behind names of services without a virtual address: those of their ready endpoints. A collection of its
 * own, so that a name table is not computed again when an endpoint changes in anything else.
 */
import { isIp } from '#base/cidr.ts';
import type { Collection, Engine } from '#collections/collection.ts';
import type { Endpoint } from '#model/endpoint.ts';
import type { Service } from '#model/service.ts';
import type { ServiceModel } from '#model/service-model.ts';

/** One address, and what decides who is told of it. */
export interface HeadlessAddress {
  readonly address: string;
  /** Name of the endpoint below its service's domain, `db-0.db`; '' when it has none. */
  readonly hostname: string;
  readonly clusterId: string;
  readonly network: string;
}

/** Keyed like the service, `namespace/hostname`; absent when there is none. */
export interface HeadlessAddresses {
  readonly addresses: readonly HeadlessAddress[];
}

/** Derives the addresses of all services whose names stand for endpoints. */
export function createHeadlessAddresses(
  engine: Engine,
  { services, endpoints }: Pick<ServiceModel, 'services' | 'endpoints'>,
): Collection<HeadlessAddresses> {
  return engine.derive('xds.headlessAddresses', services, (fetch, service, key) => {
    if (!isHeadless(service)) return undefined;
    const addresses = headlessAddresses(service, fetch.get(endpoints, key)?.endpoints ?? []);
    return addresses.length === 0 ? undefined : { addresses };
  });
}

/** True for services whose name may stand for their endpoints. */
export function isHeadless(service: Service): boolean {
  const isUnspecified = service.addresses.length === 0 || service.addresses.includes('0.0.0.0');
  return isUnspecified && service.resolution === 'NONE' && service.ports.length > 0;
}

/** Each address once, however many ports it serves. Source: Istio pkg/dns/server/name_table.go. */
function headlessAddresses(service: Service, endpoints: readonly Endpoint[]): readonly HeadlessAddress[] {
  const found = new Map<string, HeadlessAddress>();
  for (const { address, health, hostname, clusterId, network } of endpoints) {
    const isOpen = service.publishNotReady || health === 'healthy';
    if (!isOpen || found.has(address) || !isIp(address)) continue;
    const isQualified = hostname === '' || hostname.includes('.');
    const name = isQualified ? hostname : `${hostname}.${service.name}`;
    found.set(address, { address, hostname: name, clusterId, network });
  }
  return [...found.values()];
}
