/**
 * The listeners of a gateway view, as inputs for their builder: which address and port, and which chain takes which
 * connections where. Built from the merged Gateway; VirtualServices matter for TCP and TLS pass-through only, HTTP goes
 * to a route table by name.
 * Source: istio pilot/pkg/networking/core/gateway.go buildGatewayListeners, createGatewayTCPFilterChainOpts.
 */
import type { ServerTlsSettings } from '#api/gateway.ts';
import type { L4Match, RouteDestination, TlsMatch } from '#api/virtual-service.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Cause } from '#base/cause.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import type { GatewayServer } from '#model/gateway.ts';
import type { Protocol } from '#model/service.ts';
import { doHostsOverlap, isSubsetHost } from '#model/service-hostname.ts';
import { isHttp } from '#model/service-protocol.ts';
import { type VirtualService, virtualServiceCause } from '#model/virtual-service.ts';
import type { MergedGateway, MergedPort } from './gateway-merge.ts';
import {
  isPassthrough,
  mode,
  sniHostsOf,
  terminatesHttps,
  withoutNamespace,
  routeTableName,
} from './gateway-server.ts';
import type { ClusterTarget } from './listener-facts.ts';
import type { DestinationPolicy, OutboundHost } from './outbound-host.ts';
import { type HostLookup, resolveDestination } from './route-destination.ts';
import { streamName } from './stream-name.ts';
import { type StreamSettings, streamSettings } from './stream-settings.ts';

/** One listener: all chains of one bind and port. */
export interface GatewayListener {
  /** `0.0.0.0_8080`, or with the bind of the Gateway; HTTP/3 has `udp_` before it. */
  readonly name: string;
  readonly transport: 'tcp' | 'quic';
  readonly bind: string;
  readonly port: number;
  readonly chains: readonly GatewayChain[];
  readonly causes: readonly Cause[];
  readonly diagnostics: readonly Diagnostic[];
}

/** What one filter chain takes, and what it does with it. */
export interface GatewayChain {
  /** Server names; empty for all connections. */
  readonly serverNames: readonly string[];
  /** Takes only connections that offer a mesh ALPN name. */
  readonly meshOnly: boolean;
  /** TLS is passed through by name, and looked into even where any name will do. */
  readonly passesTls?: true;
  /** Set where TLS ends here. */
  readonly tls: ServerTlsSettings | undefined;
  readonly target: GatewayHttpTarget | GatewayStreamTarget;
}

export interface GatewayHttpTarget {
  readonly kind: 'http';
  readonly routeTable: string;
  /** Name of the server, '' for the listener's own statistics. */
  readonly statPrefix: string;
  readonly protocol: Protocol;
}

export interface GatewayStreamTarget {
  readonly kind: 'stream';
  /** Name for statistics; '' for that of the first cluster. */
  readonly label: string;
  /** A rule names several destinations, also where only one of them has a weight. */
  readonly isWeighted: boolean;
  readonly destinations: readonly StreamDestination[];
  readonly settings: StreamSettings;
  readonly protocol: Protocol;
}

export interface StreamDestination {
  readonly cluster: ClusterParts;
  /** 0 where there is only one destination. */
  readonly weight: number;
}

/** `sni`: the cluster that forwards mesh TLS as it is (AUTO_PASSTHROUGH). */
export interface ClusterParts extends ClusterTarget {
  readonly form: 'plain' | 'sni';
}

/** What the chains are looked up in. */
export interface GatewayListenerScope {
  readonly lookup: HostLookup;
  /** VirtualServices of a gateway, in order of precedence. */
  readonly virtualServices: (gateway: string) => readonly VirtualService[];
  /** All hosts of the proxy; asked for only by AUTO_PASSTHROUGH servers. */
  readonly hosts: () => readonly OutboundHost[];
  /** What servers without `bind` are bound to. */
  readonly anyAddress: string;
  /** Ports below 1024 cannot be bound. */
  readonly unprivileged: boolean;
  /** Pattern for the names of byte streams in statistics; '' for those of their clusters. */
  readonly statName: string;
}

const FIRST_UNPRIVILEGED_PORT = 1_024;

/** The listeners, by name; without chains where everything was left out. */
export function gatewayListeners(
  merged: MergedGateway,
  scope: GatewayListenerScope,
): readonly GatewayListener[] {
  const drafts = new Map<string, ListenerDraft>();
  for (const port of merged.ports) {
    const bind = port.bind === '' ? scope.anyAddress : port.bind;
    const place = { bind, port: port.number };
    const tcp = draftAt(drafts, { ...place, transport: 'tcp', name: `${bind}_${port.number}` });
    if (scope.unprivileged && port.number < FIRST_UNPRIVILEGED_PORT) {
      for (const server of port.servers) tcp.refuse('LTN5013', server.cause);
      continue;
    }
    if (isHttp(port.protocol)) tcp.addPlainHttp(port);
    else for (const server of port.servers) tcp.addServer(server, port.number, scope);
    for (const server of port.quicServers) {
      const quic = draftAt(drafts, { ...place, transport: 'quic', name: `udp_${bind}_${port.number}` });
      quic.addServer(server, port.number, scope);
    }
  }
  return [...drafts.values()]
    .map((draft) => draft.result())
    .filter(({ chains, diagnostics }) => chains.length + diagnostics.length > 0)
    .sort((a, b) => compareBytes(a.name, b.name));
}

type ListenerPlace = Pick<GatewayListener, 'name' | 'transport' | 'bind' | 'port'>;

function draftAt(drafts: Map<string, ListenerDraft>, place: ListenerPlace): ListenerDraft {
  const draft = drafts.get(place.name) ?? new ListenerDraft(place);
  drafts.set(place.name, draft);
  return draft;
}

class ListenerDraft {
  readonly #place: ListenerPlace;
  readonly #chains: GatewayChain[] = [];
  readonly #causes: Cause[] = [];
  readonly #diagnostics: Diagnostic[] = [];
  /** Envoy refuses a listener in which two chains match the same. */
  readonly #taken = new Set<string>();

  constructor(place: ListenerPlace) {
    this.#place = place;
  }

  result(): GatewayListener {
    return { ...this.#place, chains: this.#chains, causes: this.#causes, diagnostics: this.#diagnostics };
  }

  /** Says what is left out, and why. */
  refuse(code: string, { path = '', ...resource }: Cause, more: Readonly<Record<string, string>> = {}): void {
    const args = { port: String(this.#place.port), ...more };
    this.#diagnostics.push({ code, severity: 'warning', resource, path, args });
  }

  addPlainHttp(port: MergedPort): void {
    const [first] = port.servers;
    if (first === undefined) return;
    const { routeTable, protocol } = port;
    const target: GatewayHttpTarget = { kind: 'http', routeTable, protocol, statPrefix: '' };
    this.#add({ serverNames: [], meshOnly: false, tls: undefined, target }, first.cause);
    for (const server of port.servers.slice(1)) this.#causes.push(server.cause);
  }

  addServer(server: GatewayServer, port: number, scope: GatewayListenerScope): void {
    if (terminatesHttps(server)) {
      const routeTable = routeTableName(server, port);
      const { name: statPrefix, protocol } = server;
      const target: GatewayHttpTarget = { kind: 'http', routeTable, protocol, statPrefix };
      this.#add({ ...terminated(server), target }, server.cause);
    } else if (mode(server) === 'AUTO_PASSTHROUGH' && server.tls !== undefined) {
      for (const chain of forwardedMeshChains(server, scope)) this.#add(chain, server.cause);
    } else if (isPassthrough(server)) {
      this.#addTlsRoutes(server, scope);
    } else {
      this.#addTcpRoute(server, scope);
    }
  }

  /** Of all TCP rules that fit the server, the first one counts. */
  #addTcpRoute(server: GatewayServer, scope: GatewayListenerScope): void {
    for (const object of scope.virtualServices(server.gateway)) {
      if (!servesHosts(server, object)) continue;
      const index = object.tcp.findIndex(
        (rule) =>
          (rule.route ?? []).length > 0 &&
          ((rule.match ?? []).length === 0 || (rule.match ?? []).some((match) => fitsServer(match, server))),
      );
      const rule = object.tcp[index];
      if (rule === undefined) continue;
      const target = streamTarget(rule.route ?? [], server, object, scope);
      if (target === undefined) return;
      this.#add(
        { ...terminated(server), target },
        server.cause,
        virtualServiceCause(object, `spec.tcp[${index}]`),
      );
      return;
    }
  }

  /** One chain for each TLS match that fits the server. */
  #addTlsRoutes(server: GatewayServer, scope: GatewayListenerScope): void {
    for (const object of scope.virtualServices(server.gateway)) {
      if (!servesHosts(server, object)) continue;
      object.tls.forEach((rule, i) => {
        (rule.match ?? []).forEach((match, j) => {
          if ((rule.route ?? []).length === 0 || !fitsServer(match, server)) return;
          const target = streamTarget(rule.route ?? [], server, object, scope);
          if (target === undefined) return;
          const cause = virtualServiceCause(object, `spec.tls[${i}].match[${j}]`);
          this.#add(
            {
              serverNames: serverNames(match.sniHosts ?? []),
              meshOnly: false,
              passesTls: true,
              tls: undefined,
              target,
            },
            cause,
          );
        });
      });
    }
  }

  #add(chain: GatewayChain, ...causes: readonly Cause[]): void {
    const names = chain.serverNames.length === 0 ? ['*'] : chain.serverNames;
    const duplicate = names.find((name) => this.#taken.has(name));
    if (duplicate !== undefined) return this.refuse('LTN5012', causes.at(-1) as Cause, { host: duplicate });
    for (const name of names) this.#taken.add(name);
    this.#chains.push(chain);
    this.#causes.push(...causes);
  }
}

function terminated(server: GatewayServer): Omit<GatewayChain, 'target'> {
  return {
    serverNames: server.tls === undefined ? [] : serverNames(sniHostsOf(server)),
    meshOnly: false,
    tls: server.tls,
  };
}

/** Sorted; a `*` among them means all connections. */
function serverNames(hosts: readonly string[]): readonly string[] {
  return hosts.includes('*') ? [] : [...new Set(hosts)].sort(compareBytes);
}

/**
 * True when a host of the VirtualService is among the server's. Source: istio gateway.go pickMatchingGatewayHosts.
 */
function servesHosts(server: GatewayServer, object: VirtualService): boolean {
  return server.hosts.some((entry) => {
    const slash = entry.indexOf('/');
    if (slash >= 0 && entry.slice(0, slash) !== object.namespace) return false;
    return object.hosts.some((host) => doHostsOverlap(withoutNamespace(entry), host));
  });
}

function fitsServer(match: L4Match | TlsMatch, server: GatewayServer): boolean {
  if (match.port !== undefined && match.port !== 0 && match.port !== server.port) return false;
  const gateways = match.gateways ?? [];
  return gateways.length === 0 || gateways.includes(server.gateway);
}

/** Of several destinations those with a weight; undefined when none has. Settings are those of the first one's host. */
function streamTarget(
  routes: readonly RouteDestination[],
  server: GatewayServer,
  object: VirtualService,
  { lookup, statName }: GatewayListenerScope,
): GatewayStreamTarget | undefined {
  const isSingle = routes.length === 1;
  const resolution = { lookup, listenerPort: server.port, inference: 'single-port' as const };
  const chosen = isSingle ? routes : routes.filter((route) => (route.weight ?? 0) > 0);
  const destinations = chosen.map((route): StreamDestination => {
    const { hostname, port, subset } = resolveDestination(route.destination ?? {}, resolution);
    const cluster = { hostname, port, subset, form: 'plain' as const };
    return { cluster, weight: isSingle ? 0 : (route.weight ?? 0) };
  });
  const [first] = routes;
  if (destinations.length === 0 || first === undefined) return undefined;
  const { host = '', subset = '' } = first.destination ?? {};
  const port = { number: server.port, name: server.portName };
  const named = { hostname: host, subset, port };
  return {
    kind: 'stream',
    label: isSingle ? streamName(statName, lookup, named) : `${object.name}.${object.namespace}`,
    isWeighted: !isSingle,
    destinations,
    settings: streamSettings(lookup(host)?.policy, isSingle ? subset : ''),
    protocol: server.protocol,
  };
}

/**
 * AUTO_PASSTHROUGH: mesh TLS for any service of the mesh among the server's hosts, told by server names that are the
 * clusters' own. Source: istio gateway.go builtAutoPassthroughFilterChains.
 */
function forwardedMeshChains(server: GatewayServer, scope: GatewayListenerScope): readonly GatewayChain[] {
  const patterns = sniHostsOf(server);
  return scope.hosts().flatMap(({ service, policy }) => {
    if (service.meshExternal || !patterns.some((pattern) => isSubsetHost(service.hostname, pattern)))
      return [];
    const subsets = ['', ...(policy?.subsets ?? []).map((subset) => subset.name ?? '')];
    return service.ports
      .filter((port) => port.protocol !== 'UDP')
      .flatMap((port) =>
        subsets.map((subset) => {
          const { hostname } = service;
          const label = streamName(scope.statName, () => ({ service, policy }), { hostname, subset, port });
          const target = { hostname, port: port.number, subset, label };
          return forwardedChain(target, port.protocol, policy);
        }),
      );
  });
}

/** The stream is TLS already, and goes to a proxy that expects just that: it is not tunnelled. */
function forwardedChain(
  { hostname, port, subset, label }: ClusterTarget & { readonly label: string },
  protocol: Protocol,
  policy: DestinationPolicy | undefined,
): GatewayChain {
  return {
    serverNames: [`outbound_.${port}_.${subset}_.${hostname}`],
    meshOnly: true,
    tls: undefined,
    target: {
      kind: 'stream',
      label,
      isWeighted: false,
      destinations: [{ cluster: { hostname, port, subset, form: 'sni' }, weight: 0 }],
      settings: { ...streamSettings(policy, subset), tunnel: undefined },
      // The Redis filter stands in the place of the one that forwards bytes, and could not read these.
      protocol: protocol === 'Redis' ? 'TCP' : protocol,
    },
  };
}
