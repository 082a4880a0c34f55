/**
 * A connected data-plane proxy as the model sees it: identity, place and the few node facts that shape its
 * configuration. ads/ makes it from the xDS node and the authenticated identity; it is a source collection.
 */

export type ProxyType = 'sidecar' | 'router' | 'waypoint';

/** REDIRECT and TPROXY capture with iptables; NONE is bound ports and the HTTP proxy listener. */
export type InterceptionMode = 'REDIRECT' | 'TPROXY' | 'NONE';

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** Node metadata that shapes listeners and nothing else. */
export interface NodeTraits {
  /** HTTP10: HTTP/1.0 is taken. */
  readonly http10: boolean;
  /** IDLE_TIMEOUT: idle connections are closed after so long; 0 when unset. */
  readonly idleTimeoutMs: number;
  /** INBOUND_LISTENER_EXACT_BALANCE, OUTBOUND_LISTENER_EXACT_BALANCE: connections are spread evenly over Envoy's threads. */
  readonly exactBalanceInbound: boolean;
  readonly exactBalanceOutbound: boolean;
  /** UNPRIVILEGED_POD: ports below 1024 cannot be bound. */
  readonly unprivileged: boolean;
  /** Ports of the proxy's own doors (ENVOY_STATUS_PORT, ENVOY_PROMETHEUS_PORT), where no listener for all addresses can be. */
  readonly reservedPorts: readonly number[];
  /** Not started by our agent (no LATEEN_ENVIRONMENT): its Envoy finds nothing about the workload in its environment. */
  readonly foreign: boolean;
  /** The cluster of the xDS node: the name under which spans are sent as a rule. */
  readonly serviceCluster: string;
  /** The annotation resource.opentelemetry.io/service.name. */
  readonly spanServiceName: string;
  /** LATEEN_STDOUT_IS_SOCKET: its Envoy cannot open /dev/stdout by name. */
  readonly stdoutIsSocket: boolean;
}

/** Of a proxy that says nothing special. */
export const PLAIN_TRAITS: NodeTraits = {
  http10: false,
  idleTimeoutMs: 0,
  exactBalanceInbound: false,
  exactBalanceOutbound: false,
  unprivileged: false,
  reservedPorts: [],
  foreign: false,
  serviceCluster: '',
  spanServiceName: '',
  stdoutIsSocket: false,
};

/** One connected proxy. Keyed by `id`. */
export interface Proxy {
  /** The xDS node id, `type~ip~name.namespace~domain`. */
  readonly id: string;
  readonly type: ProxyType;
  /** The workload's own addresses, first one primary. */
  readonly addresses: readonly string[];
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  /** SPIFFE id that the caller has proven; without one (plain-text streams) it gets no secrets. */
  readonly identity?: string;
  /** Owner workload for telemetry, e.g. `reviews-v1`. */
  readonly workloadName: string;
  readonly clusterId: string;
  readonly network: string;
  /** Networks whose endpoints it wants to see (REQUESTED_NETWORK_VIEW of node metadata); empty for all. */
  readonly networkView: readonly string[];
  readonly locality: Locality;
  /** Node that it runs on, '' where there is none. */
  readonly nodeName: string;
  readonly interceptionMode: InterceptionMode;
  /** DNS domain of the proxy's namespace, `default.svc.cluster.local`. */
  readonly dnsDomain: string;
  /** True when node metadata DNS_CAPTURE is on. */
  readonly dnsCapture: boolean;
  /** GENERATOR of node metadata: `grpc` for a gRPC library that is its own proxy, '' for Envoy. */
  readonly generator: '' | 'grpc';
  /** HTTP_PROXY_PORT of node metadata; 0 when unset (then mesh config decides). */
  readonly httpProxyPort: number;
  /**
   * Where listeners that others connect to are bound under interception NONE (node metadata OUTBOUND_ADDRESS): a sidecar's
   * outbound TCP listeners, a gateway's servers. '' when unset; a gateway then uses its first address.
   */
  readonly outboundAddress: string;
  /** ISTIO_VERSION of node metadata, '' when the proxy does not say. */
  readonly istioVersion: string;
  /** The texts among node metadata, by their names: what EnvoyFilters may ask for. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly traits: NodeTraits;
  /** The proxy's own ProxyConfig (defaultConfig merged with annotation), proto JSON; {} when it did not say. */
  readonly proxyConfig: Readonly<Record<string, unknown>>;
}

/** It binds addresses that it was given, and its application listens elsewhere. */
export function isOnOneMachine({ interceptionMode, outboundAddress }: Proxy): boolean {
  return interceptionMode === 'NONE' && outboundAddress !== '';
}
