/** What Envoy's bootstrap depends on: the one input of bootstrap.ts and its parts. */
import type { StatsSettings } from './bootstrap-stats.ts';
import type { JsonObject } from './json-value.ts';
import type { ProxyNode } from './proxy-node.ts';

/** An address to bind or to call. */
export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** Everything that the bootstrap depends on. */
export interface BootstrapSettings {
  readonly node: ProxyNode;
  readonly admin: SocketAddress;
  /** The agent's own status server (15020), as Envoy reaches it. */
  readonly agentStatus: SocketAddress;
  /** Where Envoy listens for readiness probes (15021). */
  readonly readiness: SocketAddress;
  /** Unix sockets, relative to Envoy's working directory or absolute. */
  readonly xdsSocketPath: string;
  readonly sdsSocketPath: string;
  /** The agent's own socket for certificates in files, where the one above is another agent's. */
  readonly filesSocketPath: string | undefined;
  /** The address that every connection of this proxy comes from; undefined: the kernel chooses. */
  readonly upstreamSourceAddress: string | undefined;
  readonly runtimeValues: ReadonlyMap<string, string>;
  readonly stats: StatsSettings;
  /** Clusters of services that the ProxyConfig names. */
  readonly serviceClusters: readonly JsonObject[];
  /** The field `tracing`, or nothing: who takes spans where the control plane names nobody. */
  readonly tracing: JsonObject;
  /** Where Envoy sends its statistics by itself. */
  readonly statsSinks: readonly JsonObject[];
  /** A load balancer may tell by PROXY protocol who asks for readiness. */
  readonly readinessTakesProxyProtocol: boolean;
  /** Where Envoy writes outlier events; undefined: nowhere. */
  readonly outlierLogPath: string | undefined;
}
