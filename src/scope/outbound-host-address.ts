/**
 * Hosts at the addresses that were chosen for them, for proxies that answer DNS and so can give these addresses to
 * applications. Answers are remembered, so that viewers go on to share what is made of a service.
 * Source: Istio pilot/pkg/model/service.go GetAllAddressesForProxy.
 */
import { isIp, isIpv4, isIpv6 } from '#base/cidr.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import type { Service } from '#model/service.ts';
import type { Viewer } from './viewer.ts';

/** The service with addresses that a proxy with such addresses of its own can use. */
export type AtAllocatedAddresses = Readonly<Record<Viewer['ipFamilies'], (service: Service) => Service>>;

/** Makes the memory. */
export function allocatedAddresses(): AtAllocatedAddresses {
  return {
    v4: identityMemo((service: Service) => withAllocated(service, isIpv4)),
    v6: identityMemo((service: Service) => withAllocated(service, isIpv6)),
    dual: identityMemo((service: Service) => withAllocated(service, isIp)),
  };
}

function withAllocated(service: Service, isUsable: (address: string) => boolean): Service {
  if (service.addresses.length > 0 || service.autoAllocatedAddresses.length === 0) return service;
  return { ...service, addresses: service.autoAllocatedAddresses.filter(isUsable) };
}
