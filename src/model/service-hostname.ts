/**
 * Host names of services: how Kubernetes names become full names, and how names meet wildcards in exportable objects
 * (DestinationRule hosts, Sidecar imports). Pure string work, no allocation beyond the result.
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

/** True for `*` and names that begin with it. */
export function isWildcardHost(host: string): boolean {
  return host.startsWith('*');
}

/** True when every name that `host` stands for is one that `pattern` stands for. Source: Istio host.Name SubsetOf. */
export function isSubsetHost(host: string, pattern: string): boolean {
  if (!isWildcardHost(pattern)) return host === pattern;
  if (isWildcardHost(host)) return host.length >= pattern.length && host.slice(1).endsWith(pattern.slice(1));
  return host.endsWith(pattern.slice(1));
}

/** True when some name is matched by both. Source: Istio host.Name Matches. */
export function doHostsOverlap(a: string, b: string): boolean {
  if (!isWildcardHost(a)) return isSubsetHost(a, b);
  if (!isWildcardHost(b)) return isSubsetHost(b, a);
  return a.length < b.length ? b.slice(1).endsWith(a.slice(1)) : a.slice(1).endsWith(b.slice(1));
}

/** The key of a service in collections, `namespace/hostname`. */
export function serviceKey(namespace: string, hostname: string): string {
  return `${namespace}/${hostname}`;
}
