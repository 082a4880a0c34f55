/**
 * What clusters need to know about a service's endpoints. Kept apart from the endpoints, so that a pod that comes or
 * goes changes clusters only when it brings a new service account or a first endpoint without mTLS.
 */
import { compareBytes } from '#base/bytes-order.ts';
import type { Endpoint } from './endpoint.ts';
import type { Service } from './service.ts';
import { expandTrustDomains } from './workload-identity.ts';

/** Keyed like the service. */
export interface EndpointSummary {
  /** Ids that a client accepts from the service's endpoints, sorted: those of its workloads and those the service names. */
  readonly identities: readonly string[];
  /** Numbers of service ports that have endpoints, all of which accept mesh mTLS; sorted. */
  readonly mutualTlsPorts: readonly number[];
}

/** Sums the endpoints up. */
export function summarizeEndpoints(
  service: Service,
  endpoints: readonly Endpoint[],
  trustDomainAliases: readonly string[],
): EndpointSummary {
  const ids = new Set(service.serviceAccounts);
  const isMutual = new Map<number, boolean>();
  for (const endpoint of endpoints) {
    if (endpoint.identity !== '') ids.add(endpoint.identity);
    isMutual.set(
      endpoint.servicePort,
      (isMutual.get(endpoint.servicePort) ?? true) && endpoint.tlsMode === 'istio',
    );
  }
  const mutualTlsPorts = [...isMutual].filter(([, all]) => all).map(([port]) => port);
  return {
    identities: [...expandTrustDomains(ids, trustDomainAliases)].sort(compareBytes),
    mutualTlsPorts: mutualTlsPorts.sort((a, b) => a - b),
  };
}
