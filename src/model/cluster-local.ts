/**
 * Services that are called within their own cluster only (serviceSettings of mesh config): what runs Kubernetes and the mesh itself by
 * default, and what the user says besides. Pure; costs a sort of the hosts when mesh config changes.
 */
import { compareHostSpecificity, isWildcard, mostSpecificHost } from '#base/hostname.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';

/** Hosts, wildcards among them, most specific first; the first that covers a service decides. */
export interface ClusterLocalHosts {
  readonly patterns: readonly string[];
  /** Those of them that are cluster-local. */
  readonly local: readonly string[];
}

const DEFAULT_DISCOVERY_ADDRESS = 'istiod.istio-system.svc:15012';

/** The hosts of a mesh config. Source: istio pilot/pkg/model/cluster_local.go. */
export function clusterLocalHosts(mesh: MeshConfigJson, clusterDomain: string): ClusterLocalHosts {
  const settings = mesh.serviceSettings ?? [];
  const isLocal = new Map<string, boolean>();
  for (const { settings: own, hosts = [] } of settings)
    for (const host of hosts) isLocal.set(host, own?.clusterLocal ?? false);
  const shared = settings.flatMap(({ settings: own, hosts = [] }) =>
    own?.clusterLocal === true ? [] : hosts,
  );
  const defaults = defaultHosts(mesh, clusterDomain);
  for (const host of defaults) if (!shared.some((one) => takesOut(one, host))) isLocal.set(host, true);
  const patterns = [...isLocal.keys()].sort(compareHostSpecificity);
  return { patterns, local: patterns.filter((host) => isLocal.get(host) === true) };
}

/** Whether only clients of an endpoint's own cluster may call it as part of this service. */
export function isClusterLocal(hosts: ClusterLocalHosts, hostname: string): boolean {
  const deciding = mostSpecificHost(hostname, hosts.patterns);
  return deciding !== undefined && hosts.local.includes(deciding);
}

function defaultHosts(mesh: MeshConfigJson, clusterDomain: string): readonly string[] {
  const address = mesh.defaultConfig?.discoveryAddress ?? DEFAULT_DISCOVERY_ADDRESS;
  const discovery = address.slice(0, Math.max(0, address.lastIndexOf(':')));
  return [
    `*.kube-system.svc.${clusterDomain}`,
    `kubernetes.default.svc.${clusterDomain}`,
    ...(discovery === ''
      ? []
      : [discovery.endsWith(clusterDomain) ? discovery : `${discovery}.${clusterDomain}`]),
  ];
}

/** A host that is said to be shared takes out the default for it; a host under a default wildcard takes out the whole wildcard. */
function takesOut(shared: string, host: string): boolean {
  return shared === host || (isWildcard(host) && shared.endsWith(host.slice(1)));
}
