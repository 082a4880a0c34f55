/**
 * What sets gateway proxies apart: namespace, labels, the services that lead to them, where they bind, and their own
 * ProxyConfig. Replicas of one gateway have equal views and share everything that is built from them.
 */
import { sortedBy } from '#base/bytes-order.ts';
import { canonicalJson } from '#base/canonical-json.ts';
import { hashHex } from '#base/hash.ts';
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import type { Proxy } from '#model/proxy.ts';
import type { ServiceTarget } from '#model/service-target.ts';
import type { ProxyConfigJson, TopologyJson } from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';

/** A service port that leads to the proxy, and the port that the proxy must listen on for it. */
export interface GatewayTarget {
  readonly port: number;
  readonly targetPort: number;
}

/** Keyed by `key`; exists while a proxy has it. */
export interface GatewayView {
  /** The namespace and a hash of the rest. */
  readonly key: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Key of the outbound viewer whose hosts it routes to. */
  readonly viewer: string;
  /** Address to bind instead of all, '' for all: the proxy's own on one machine. */
  readonly bindAddress: string;
  readonly targets: readonly GatewayTarget[];
  /** Service ports that lead to the proxy over UDP: HTTP/3 is offered there. */
  readonly udpPorts: readonly number[];
  /** The address that stands for all, by the proxy's family. */
  readonly anyAddress: '0.0.0.0' | '::';
  readonly includesAttemptCount: boolean;
  readonly appendsForwardedHost: boolean;
  readonly topology: TopologyJson | undefined;
}

export interface GatewayViews {
  readonly views: Collection<GatewayView>;
  /** Key of a gateway proxy's view. */
  readonly viewOf: (fetch: Fetch, proxy: Proxy) => string;
}

export interface GatewayViewDeps {
  readonly engine: Engine;
  readonly proxies: Collection<Proxy>;
  readonly viewerOf: (fetch: Fetch, proxy: Proxy) => string;
  readonly targetsOf: (fetch: Fetch, proxy: Proxy) => readonly ServiceTarget[];
}

/** A Service that opts out of port translation for the Gateways that reach it by labels. */
const NO_TRANSLATION_LABEL = 'experimental.istio.io/disable-gateway-port-translation';

/** Derives the views of all connected gateway proxies. */
export function createGatewayViews(deps: GatewayViewDeps): GatewayViews {
  const views = deps.engine.deriveMany('scope.gatewayViews', deps.proxies, (fetch, proxy) => {
    if (proxy.type !== 'router') return [];
    const view = gatewayView(fetch, deps, proxy);
    return [[view.key, view] as const];
  });
  return { views, viewOf: (fetch, proxy) => gatewayView(fetch, deps, proxy).key };
}

function gatewayView(fetch: Fetch, deps: GatewayViewDeps, proxy: Proxy): GatewayView {
  const config = proxy.proxyConfig as ProxyConfigJson;
  const targets = deps.targetsOf(fetch, proxy);
  const content = {
    namespace: proxy.namespace,
    labels: proxy.labels,
    viewer: deps.viewerOf(fetch, proxy),
    bindAddress: proxy.interceptionMode === 'NONE' ? proxy.outboundAddress || (proxy.addresses[0] ?? '') : '',
    targets: portTranslations(targets),
    udpPorts: udpPorts(targets),
    anyAddress: proxy.addresses.every((address) => address.includes(':'))
      ? ('::' as const)
      : ('0.0.0.0' as const),
    includesAttemptCount: config.proxyHeaders?.attemptCount?.disabled !== true,
    appendsForwardedHost: config.proxyHeaders?.xForwardedHost?.enabled === true,
    topology: config.gatewayTopology,
  };
  return { key: `${proxy.namespace}~${hashHex(canonicalJson(content))}`, ...content };
}

/** Older services first; each port once. */
function portTranslations(targets: readonly ServiceTarget[]): readonly GatewayTarget[] {
  const ordered = sortedBy(targets, (target) => target.service.hostname)
    .filter((target) => !Object.hasOwn(target.service.labels, NO_TRANSLATION_LABEL))
    .sort((a, b) => a.service.createdAtMs - b.service.createdAtMs);
  const byPort = new Map<number, GatewayTarget>();
  for (const { port, targetPort } of ordered) {
    if (!byPort.has(port.number)) byPort.set(port.number, { port: port.number, targetPort });
  }
  return [...byPort.values()].sort((a, b) => a.port - b.port);
}

function udpPorts(targets: readonly ServiceTarget[]): readonly number[] {
  const ports = targets.filter(({ port }) => port.protocol === 'UDP').map(({ port }) => port.number);
  return [...new Set(ports)].sort((a, b) => a - b);
}

/**
 * The port that is listened on for a Gateway's port: the targetPort of the proxy's Service where that has such a port,
 * else the port itself. Source: istio gateway.go resolvePorts.
 */
export function boundPort(view: GatewayView, port: number): number {
  return view.targets.find((target) => target.port === port)?.targetPort ?? port;
}
