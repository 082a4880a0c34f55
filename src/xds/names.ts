/**
 * Names of clusters and of SNI values as Istio writes them: users see them in istioctl, metrics and EnvoyFilters.
 * Build and parse are inverse to each other. Names that fit no form parse to undefined.
 */

export type ClusterDirection = 'outbound' | 'inbound' | 'inbound-vip';

/** The parts of a name such as `outbound|9080|v1|reviews.default.svc.cluster.local`. */
export interface ClusterName {
  readonly direction: ClusterDirection;
  readonly port: number;
  /** '' for the whole service. */
  readonly subset: string;
  /** '' for inbound clusters of the sidecar. */
  readonly hostname: string;
}

/** Cluster that sends connections on to wherever they were going. */
export const PASSTHROUGH_CLUSTER = 'PassthroughCluster';
/** Cluster without endpoints: what is sent there is refused. */
export const BLACK_HOLE_CLUSTER = 'BlackHoleCluster';
/** Inbound pass-through to the original destination, IPv4. */
export const INBOUND_PASSTHROUGH_CLUSTER = 'InboundPassthroughCluster';

/** Listener of captured inbound traffic. */
export const VIRTUAL_INBOUND = 'virtualInbound';
/** Listener of captured outbound traffic. */
export const VIRTUAL_OUTBOUND = 'virtualOutbound';
/** Cluster that looks up the hosts of requests, under outbound policy ALLOW_ANY_DYNAMIC_DNS. */
export const UNKNOWN_HOSTS_CLUSTER = 'AllowAnyDynamicDNSCluster';

const DIRECTIONS: ReadonlySet<string> = new Set(['outbound', 'inbound', 'inbound-vip']);

/** Name of the outbound cluster of one service port and subset, `outbound|9080|v1|host`. */
export function outboundClusterName(port: number, subset: string, hostname: string): string {
  return `outbound|${port}|${subset}|${hostname}`;
}

/** Name of the cluster from the sidecar to its own application, `inbound|9080||`. */
export function inboundClusterName(port: number): string {
  return `inbound|${port}||`;
}

/** The name as a string; the inverse of `parseClusterName`. */
export function clusterName(name: ClusterName): string {
  return `${name.direction}|${name.port}|${name.subset}|${name.hostname}`;
}

/** The parts of a cluster name, or undefined for names of another form (`PassthroughCluster`, names of EnvoyFilters). */
export function parseClusterName(text: string): ClusterName | undefined {
  return parseParts(text.split('|'));
}

/**
 * Server name that marks a connection for one cluster across gateways with AUTO_PASSTHROUGH, `outbound_.9080_.v1_.host`.
 * Source: Istio's DNS-safe form of subset keys.
 */
export function sniName(port: number, subset: string, hostname: string): string {
  return `outbound_.${port}_.${subset}_.${hostname}`;
}

/** The cluster that a server name stands for, or undefined when it is an ordinary host name. */
export function parseSniName(text: string): ClusterName | undefined {
  return parseParts(text.split('_.'));
}

function parseParts(parts: readonly string[]): ClusterName | undefined {
  const [direction, portText, subset, hostname] = parts;
  if (parts.length !== 4 || direction === undefined || portText === undefined) return undefined;
  if (subset === undefined || hostname === undefined) return undefined;
  if (!DIRECTIONS.has(direction) || !/^\d{1,5}$/.test(portText)) return undefined;
  return { direction: direction as ClusterDirection, port: Number(portText), subset, hostname };
}
