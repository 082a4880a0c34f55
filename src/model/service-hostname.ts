/**
 * Host names of services: how Kubernetes names become full names, under which key services are kept, and (from base/) how
 * names meet wildcards in exportable objects.
 */

/** Full host name of a Kubernetes Service, `reviews.default.svc.cluster.local`. */
export function serviceHostname(name: string, namespace: string, clusterDomain: string): string {
  return `${name}.${namespace}.svc.${clusterDomain}`;
}

/**
 * A host as an object in `namespace` means it: names without a dot are services of that namespace, others stand as they are.
 * Source: Istio pkg/config ResolveShortnameToFQDN.
 */
export function resolveHostname(host: string, namespace: string, clusterDomain: string): string {
  if (host === '' || host === '*' || host.includes('.')) return host;
  return serviceHostname(host, namespace, clusterDomain);
}

export {
  isWildcard as isWildcardHost,
  isSubsetOf as isSubsetHost,
  matchesHost as doHostsOverlap,
} from '#base/hostname.ts';

/** The key of a service in collections, `namespace/hostname`. */
export function serviceKey(namespace: string, hostname: string): string {
  return `${namespace}/${hostname}`;
}
