/**
 * Which addresses of a service mean something to the proxies of a viewer: a Kubernetes Service may have one of each family, and
 * a proxy uses those of its own. A pure function; costs O(addresses).
 */
import { isIpv6 } from '#base/cidr.ts';
import type { Service } from '#model/service.ts';
import type { Viewer } from './viewer.ts';

/**
 * The addresses in the service's order; of a ServiceEntry all, since somebody wrote them down and clients may call any.
 * Source: Istio pilot/pkg/model/service.go getAllAddressesForProxy.
 */
export function usableAddresses(service: Service, families: Viewer['ipFamilies']): readonly string[] {
  if (service.registry === 'External' || families === 'dual') return service.addresses;
  return service.addresses.filter((address) => isIpv6(address) === (families === 'v6'));
}
