/**
 * The service that an extension provider of mesh config means: its text is `namespace/host`, or a host that only one namespace has.
 * Costs a read of one bucket of services.
 * Source: istio pilot/pkg/model/telemetry_logging.go LookupCluster.
 */
import type { Fetch, Index } from '#collections/collection.ts';
import type { Service } from './service.ts';

/** The host that is meant, and in words why it cannot be used. */
export interface ProviderService {
  readonly hostname: string;
  readonly fault?: string;
}

/** Finds the service of a provider among all of the mesh, whoever sees it. */
export function providerService(
  fetch: Fetch,
  servicesByHostname: Index<Service>,
  text: string,
): ProviderService {
  const parts = text.split('/');
  const isNamed = parts.length === 2;
  const hostname = (isNamed ? parts[1] : text) ?? '';
  const services = [...fetch.bucket(servicesByHostname, hostname).values()];
  const fitting = isNamed ? services.filter(({ namespace }) => namespace === parts[0]) : services;
  if (fitting.length === 1) return { hostname };
  if (fitting.length === 0) return { hostname, fault: `there is no service ${text}` };
  return { hostname, fault: `several namespaces have a service ${text}: write namespace/host` };
}
