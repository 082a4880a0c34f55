/**
 * By which names a client may ask for a service: the Host values that lead to its virtual host. They depend on the
 * service and on the client's namespace and address family only, so they are the same for every table that the service is in.
 */
import { isWildcardHost } from '#model/service-hostname.ts';
import type { Service } from '#model/service.ts';
import { usableAddresses } from './service-address.ts';
import type { Viewer } from './viewer.ts';

/** Names of one virtual host. */
export interface HostDomains {
  /** Names first, then addresses. */
  readonly domains: readonly string[];
  /** How many of them are addresses. */
  readonly addressCount: number;
  /** Names that are only short for the full one: they give way to a service that really has such a name. */
  readonly alternates: readonly string[];
  /**
   * All names are forms of the cluster's own name of the service, so that no other such service can have one of them:
   * only addresses and the names of hosts that are not so can clash.
   */
  readonly isClusterName: boolean;
}

const UNSPECIFIED_ADDRESS = '0.0.0.0';

/** Who asks by name, and how names are written. */
export interface DomainScope {
  /** The client's. */
  readonly namespace: string;
  readonly ipFamilies: Viewer['ipFamilies'];
  /** `.svc.` and the cluster's domain. */
  readonly clusterSuffix: string;
  /** Names with the dot of the root at their end are matched too. */
  readonly absoluteDomains: boolean;
}

/**
 * The names of a service for clients of a namespace: full name, the same with a trailing dot, short forms, aliases,
 * addresses.
 * Source: istio pilot/pkg/networking/core/httproute.go generateVirtualHostDomains, GenerateAltVirtualHosts.
 */
export function serviceDomains(
  service: Service,
  aliases: readonly string[],
  scope: DomainScope,
): HostDomains {
  const { clusterSuffix } = scope;
  const names: string[] = [];
  const alternates: string[] = [];
  for (const hostname of [service.hostname, ...aliases]) {
    const short = alternateNames(hostname, scope);
    alternates.push(...short);
    names.push(bracketed(hostname), ...short);
  }
  if (service.resolution === 'NONE' && service.registry === 'Kubernetes') {
    // Headless: pods are asked for by names below the service's.
    names.push(...names.map((name) => `*.${name}`));
  }
  const addresses = namedAddresses(service, scope);
  return {
    domains: [...names, ...addresses.map(bracketed)],
    addressCount: addresses.length,
    alternates,
    isClusterName: aliases.length === 0 && service.hostname.endsWith(clusterSuffix),
  };
}

/** Of the addresses that somebody wrote into a ServiceEntry the last one only: Istio has a service for each, and the last wins. */
function namedAddresses(service: Service, { ipFamilies }: DomainScope): readonly string[] {
  const usable = usableAddresses(service, ipFamilies);
  const isWritten = service.registry === 'External' && service.autoAllocatedAddresses.length === 0;
  return (isWritten ? usable.slice(-1) : usable).filter(
    (address) => address !== '' && address !== UNSPECIFIED_ADDRESS,
  );
}

/** Names of a host that is only in a VirtualService. */
export function virtualServiceDomains(host: string): HostDomains {
  return { domains: [bracketed(host)], addressCount: 0, alternates: [], isClusterName: false };
}

/** Name of a virtual host, `host:port`, with brackets around IPv6 addresses. */
export function virtualHostName(host: string, port: number): string {
  return `${bracketed(host)}:${port}`;
}

function alternateNames(
  hostname: string,
  { namespace, clusterSuffix, absoluteDomains }: DomainScope,
): string[] {
  const names = absoluteDomains && !isAddress(hostname) ? [`${hostname}.`] : [];
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
