/**
 * What sets gateway proxies apart: namespace, labels, the services that lead to them, where they bind, and their own
 * ProxyConfig. Replicas of one gateway have equal views and share everything that is built from them.
 */
import { sortedBy } from '#base/bytes-order.ts';
import { canonicalJson } from '#base/canonical-json.ts';
import { hashHex } from '#base/hash.ts';
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { Proxy } from '#model/proxy.ts';
import type { ServiceTarget } from '#model/service-target.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { TopologyJson } from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';
import { ipFamiliesOf, type ListenerDialect, proxyConfigOf } from './listener-dialect.ts';
import type { IpFamilies, ListenerFacts } from './listener-facts.ts';

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
  readonly ipFamilies: IpFamilies;
  /** Ports below 1024 cannot be bound. */
  readonly unprivileged: boolean;
  readonly includesAttemptCount: boolean;
  readonly appendsForwardedHost: boolean;
  readonly topology: TopologyJson | undefined;
  /** What the proxies' own settings make of the mesh's facts; see listener-dialect.ts. */
  readonly dialect: string;
}

export interface GatewayViews {
  readonly views: Collection<GatewayView>;
  /** What listeners of a view take from mesh config and the proxies' settings; apart, since no route depends on it. */
  readonly facts: Collection<ListenerFacts>;
  /** Key of a gateway proxy's view. */
  readonly viewOf: (fetch: Fetch, proxy: Proxy) => string;
}

export interface GatewayViewDeps {
  readonly engine: Engine;
  readonly proxies: Collection<Proxy>;
  readonly meshConfig: Collection<MeshConfigJson>;
  readonly dialects: Collection<ListenerDialect>;
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
  const viewOf = (fetch: Fetch, proxy: Proxy) => gatewayView(fetch, deps, proxy).key;
  const facts = deps.engine.deriveMany('scope.gatewayFacts', deps.proxies, (fetch, proxy) => {
    const dialect = fetch.get(deps.dialects, proxy.id);
    if (proxy.type !== 'router' || dialect === undefined) return [];
    return [[viewOf(fetch, proxy), dialect.facts] as const];
  });
  return { views, facts, viewOf };
}

function gatewayView(fetch: Fetch, deps: GatewayViewDeps, proxy: Proxy): GatewayView {
  const config = proxyConfigOf(proxy, fetch.get(deps.meshConfig, MESH_KEY) ?? {});
  const targets = deps.targetsOf(fetch, proxy);
  const content = {
    namespace: proxy.namespace,
    labels: proxy.labels,
    viewer: deps.viewerOf(fetch, proxy),
    bindAddress: proxy.interceptionMode === 'NONE' ? proxy.outboundAddress || (proxy.addresses[0] ?? '') : '',
    targets: portTranslations(targets),
    udpPorts: udpPorts(targets),
    ipFamilies: ipFamiliesOf(proxy.addresses),
    unprivileged: proxy.traits.unprivileged,
    includesAttemptCount: config.proxyHeaders?.attemptCount?.disabled !== true,
    appendsForwardedHost: config.proxyHeaders?.xForwardedHost?.enabled === true,
    topology: config.gatewayTopology,
    dialect: fetch.get(deps.dialects, proxy.id)?.key ?? '',
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
