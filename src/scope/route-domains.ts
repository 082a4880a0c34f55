/**
 * By which names a client may ask for a service: the Host values that lead to its virtual host. They depend on the
 * service and on the client's namespace only, so they are the same for every table that the service is in.
 */
import { isWildcardHost } from '#model/service-hostname.ts';
import type { Service } from '#model/service.ts';

/** Names of one virtual host, most specific meaning first. */
export interface HostDomains {
  readonly domains: readonly string[];
  /** Those that are only short for the full name: they give way to a service that really has such a name. */
  readonly alternates: ReadonlySet<string>;
}

const UNSPECIFIED_ADDRESS = '0.0.0.0';

/**
 * The names of a service for clients of `namespace`: full name, the same with a trailing dot, short forms, aliases,
 * addresses. `clusterSuffix` is `.svc.` and the cluster's domain.
 * Source: istio pilot/pkg/networking/core/httproute.go generateVirtualHostDomains, GenerateAltVirtualHosts.
 */
export function serviceDomains(
  service: Service,
  aliases: readonly string[],
  namespace: string,
  clusterSuffix: string,
): HostDomains {
  const domains: string[] = [];
  const alternates = new Set<string>();
  for (const hostname of [service.hostname, ...aliases]) {
    const short = alternateNames(hostname, namespace, clusterSuffix);
    for (const name of short) alternates.add(name);
    domains.push(bracketed(hostname), ...short);
  }
  if (service.resolution === 'NONE' && service.registry === 'Kubernetes') {
    // Headless: pods are asked for by names below the service's.
    domains.push(...domains.map((domain) => `*.${domain}`));
  }
  for (const address of service.addresses) {
    if (address !== '' && address !== UNSPECIFIED_ADDRESS) domains.push(bracketed(address));
  }
  return { domains, alternates };
}

/** Names of a host that is only in a VirtualService. */
export function virtualServiceDomains(host: string): HostDomains {
  return { domains: [bracketed(host)], alternates: new Set() };
}

/** Name of a virtual host, `host:port`, with brackets around IPv6 addresses. */
export function virtualHostName(host: string, port: number): string {
  return `${bracketed(host)}:${port}`;
}

function alternateNames(hostname: string, namespace: string, clusterSuffix: string): string[] {
  const names = isAddress(hostname) ? [] : [`${hostname}.`];
  if (!hostname.endsWith(clusterSuffix)) return names;
  const qualified = hostname.slice(0, hostname.indexOf('.svc.'));
  const dot = qualified.indexOf('.');
  if (dot < 0) return names;
  if (qualified.slice(dot + 1) === namespace) {
    return [...names, qualified.slice(0, dot), `${qualified}.svc`, qualified];
  }
  return [...names, qualified, `${qualified}.svc`];
}

function isAddress(host: string): boolean {
  return host.includes(':') || (/^[\d.]+$/.test(host) && host.split('.').length === 4);
}

function bracketed(host: string): string {
  return host.includes(':') && !isWildcardHost(host) ? `[${host}]` : host;
}
