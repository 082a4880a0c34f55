/**
 * Patches on clusters: one generated cluster merged with, or removed, and clusters that are added.
 * Source: istio pilot/pkg/networking/core/envoyfilter/cluster_patch.go.
 */
import type { EnvoyPatch } from '#model/envoy-filter.ts';
import { type Cluster, ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { parseClusterName, parseSniName } from '#xds/names.ts';
import type { PatchTrace } from './patch-list.ts';
import { isMerge, mergeNamed, valueAs } from './patch-value.ts';
import { mergeSocket } from './transport-socket.ts';

/** True when the name alone shows that a patch does not change the cluster, so that it need not be decoded. */
export function cannotMeanCluster({ match, operation }: EnvoyPatch, name: string): boolean {
  if (operation === 'ADD') return true;
  if (match.cluster === undefined) return false;
  const parts = parseClusterName(name) ?? parseSniName(name);
  // Which services an inbound cluster serves is not in its name.
  return parts?.direction !== 'inbound' && !meansCluster(match.cluster, name, []);
}

/** Patches a cluster in place. False when it is removed. */
export function patchCluster(cluster: Cluster, patches: readonly EnvoyPatch[], trace: PatchTrace): boolean {
  const hosts = inboundHosts(cluster);
  for (const patch of patches) {
    if (patch.operation === 'ADD') continue;
    if (patch.match.cluster !== undefined && !meansCluster(patch.match.cluster, cluster.name, hosts))
      continue;
    if (patch.operation === 'REMOVE') {
      trace.mark(patch);
      return false;
    }
    if (isMerge(patch)) mergeCluster(cluster, patch, trace);
  }
  return true;
}

function meansCluster(
  match: NonNullable<EnvoyPatch['match']['cluster']>,
  clusterName: string,
  inboundHosts: readonly string[],
): boolean {
  const { name = '', subset = '', service = '', portNumber = 0 } = match;
  if (name !== '') return name === clusterName;
  const parts = parseClusterName(clusterName) ?? parseSniName(clusterName);
  if (subset !== '' && subset !== parts?.subset) return false;
  const hosts = inboundHosts.length > 0 ? inboundHosts : [parts?.hostname];
  if (service !== '' && !hosts.includes(service)) return false;
  return portNumber === 0 || portNumber === parts?.port;
}

/** Host names of the services behind an inbound cluster, from its metadata. */
function inboundHosts(cluster: Cluster): readonly string[] {
  if (parseClusterName(cluster.name)?.direction !== 'inbound') return [];
  const services = cluster.metadata?.filterMetadata['istio']?.['services'];
  if (!Array.isArray(services)) return [];
  return services.map((service) => String((service as { readonly host?: unknown })?.host ?? ''));
}

/** A patch with a transport socket patches that alone, as in Istio; the rest of its value has no effect. */
function mergeCluster(cluster: Cluster, patch: EnvoyPatch, trace: PatchTrace): void {
  const socket = valueAs(patch, ClusterSchema)?.transportSocket;
  if (socket === undefined) {
    mergeNamed(cluster, patch);
    trace.mark(patch);
    return;
  }
  const { transportSocketMatches } = cluster;
  const known =
    transportSocketMatches.length > 0
      ? transportSocketMatches.find((match) => match.transportSocket?.name === socket.name)?.transportSocket
      : cluster.transportSocket;
  if (known?.name === socket.name) mergeSocket(known, socket, patch, trace);
  else if (transportSocketMatches.length === 0) {
    cluster.transportSocket = socket;
    trace.mark(patch);
  }
}
