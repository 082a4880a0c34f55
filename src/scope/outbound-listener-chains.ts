/**
 * The filter chains that one claim brings into its listener, as data: byte streams by the tcp and tls rules of VirtualServices, else to
 * the service itself, and HTTP by a route table. What can be decided for a client (labels, namespace, port) is decided here; server
 * names and destination ranges are left to Envoy.
 * Source: istio pilot/pkg/networking/core/tls.go, networkfilter.go, listener.go buildSidecarOutboundHTTPListenerOpts.
 */
import type { L4Match, RouteDestination, TlsMatch } from '#api/virtual-service.ts';
import type { Cause } from '#base/cause.ts';
import type { Protocol } from '#model/service.ts';
import { MESH_GATEWAY, type VirtualService, virtualServiceCause } from '#model/virtual-service.ts';
import type { ClusterTarget } from './listener-facts.ts';
import type { OutboundClaim } from './outbound-listener.ts';
import type { ListenerView } from './outbound-listener-view.ts';
import { type HostLookup, resolveDestination } from './route-destination.ts';
import { streamName } from './stream-name.ts';
import { type StreamSettings, streamSettings } from './stream-settings.ts';

/** One chain: what a connection must look like, and what becomes of it. */
export interface OutboundChain {
  /** Server names of the handshake; empty, or with `*` among them, for all connections. */
  readonly sniHosts: readonly string[];
  /** Destination addresses and ranges; empty for all. */
  readonly cidrs: readonly string[];
  /** Only what was seen to be HTTP in plain text. */
  readonly onlyHttp: boolean;
  readonly target: HttpTarget | StreamTarget;
}

export interface HttpTarget {
  readonly kind: 'http';
  readonly routeTable: string;
  readonly protocol: Protocol;
  /** Wildcard host whose requests are looked up by name; '' as a rule. */
  readonly dynamicHost: string;
}

export interface StreamTarget {
  readonly kind: 'stream';
  readonly destinations: readonly StreamDestination[];
  /** Name for statistics; '' for that of the first cluster. */
  readonly label: string;
  /** A rule names several destinations, also where only one of them has a weight. */
  readonly isWeighted: boolean;
  readonly settings: StreamSettings;
  readonly protocol: Protocol;
  /** Wildcard host whose connections are looked up by server name; '' as a rule. */
  readonly dynamicHost: string;
}

export interface StreamDestination extends ClusterTarget {
  /** 0 where there is only one destination. */
  readonly weight: number;
}

/** What chains of a claim are made from. */
export interface ChainScope {
  readonly view: ListenerView;
  /** VirtualServices whose hosts meet the service's, in order of precedence. */
  readonly routes: readonly VirtualService[];
  readonly lookup: HostLookup;
}

/** Chains, and the rules behind them. */
export interface ClaimedChains {
  readonly chains: readonly OutboundChain[];
  readonly causes: readonly Cause[];
}

/** The chain of a claim that is for HTTP: by the port's table, or by the service's own where a service is alone at its address. */
export function httpChain(claim: OutboundClaim, onlyHttp: boolean): OutboundChain {
  const isOwn = claim.kind === 'auto' && !claim.isAnywhere;
  const ofPort = isOwn ? `${claim.hostname}:${claim.port}` : String(claim.port);
  return {
    sniHosts: [],
    cidrs: [],
    onlyHttp,
    target: {
      kind: 'http',
      routeTable: claim.port === 0 ? claim.address : ofPort,
      protocol: claim.protocol,
      dynamicHost: claim.isDynamic ? claim.hostname : '',
    },
  };
}

/** The chains of a claim for bytes. */
export function streamChains(claim: OutboundClaim, scope: ChainScope): ClaimedChains {
  return claim.kind === 'tls' ? tlsChains(claim, scope) : tcpChains(claim, scope);
}

/** By server name. Two matches that look for the same are told apart by the client alone, so the first that fits counts. */
function tlsChains(claim: OutboundClaim, scope: ChainScope): ClaimedChains {
  const chains: OutboundChain[] = [];
  const causes: Cause[] = [];
  const seen = new Set<string>();
  for (const object of scope.routes) {
    object.tls.forEach(({ route: routes = [], match: matches = [] }, i) => {
      for (const match of routes.length === 0 ? [] : matches) {
        if (!appliesTo(match, claim, scope.view)) continue;
        const sniHosts = match.sniHosts ?? [];
        const key = JSON.stringify([sniHosts, match.destinationSubnets ?? []]);
        if (seen.has(key)) continue;
        seen.add(key);
        const cidrs = subnetsOf(match, claim);
        const target = routedTarget(routes, object, claim, scope);
        if (target === undefined) continue;
        chains.push({ sniHosts, cidrs: cidrs.length > 0 ? cidrs : ownCidrs(claim), onlyHttp: false, target });
        causes.push(virtualServiceCause(object, `spec.tls[${i}]`));
      }
    });
  }
  if (chains.length > 0) return { chains, causes };
  return {
    chains: [
      { ...plainChain(claim, scope), sniHosts: needsServerName(claim, scope.view) ? [claim.hostname] : [] },
    ],
    causes,
  };
}

/**
 * In the order of the rules, down to the first that takes all connections. A service of which no rule takes all keeps the rest
 * for itself.
 */
function tcpChains(claim: OutboundClaim, scope: ChainScope): ClaimedChains {
  const chains: OutboundChain[] = [];
  const causes: Cause[] = [];
  const own = ownCidrs(claim);
  let isComplete = false;
  for (const { object, index, routes, matches } of tcpRules(scope.routes)) {
    const fitting = matches.filter((match) => appliesTo(match, claim, scope.view));
    if (matches.length > 0 && fitting.length === 0) continue;
    const target = routedTarget(routes, object, claim, scope);
    if (target === undefined) continue;
    const takesAll = fitting.length === 0 || fitting.some((match) => subnetsOf(match, claim).length === 0);
    const subnets = takesAll ? own : fitting.flatMap((match) => subnetsOf(match, claim));
    chains.push({ sniHosts: [], cidrs: subnets, onlyHttp: false, target });
    causes.push(virtualServiceCause(object, `spec.tcp[${index}]`));
    if (takesAll || sameSet(subnets, own)) isComplete = true;
    if (takesAll) break;
  }
  return { chains: isComplete ? chains : [...chains, plainChain(claim, scope)], causes };
}

interface TcpRule {
  readonly object: VirtualService;
  readonly index: number;
  readonly routes: readonly RouteDestination[];
  readonly matches: readonly L4Match[];
}

function tcpRules(objects: readonly VirtualService[]): readonly TcpRule[] {
  return objects.flatMap((object) =>
    object.tcp.flatMap(({ route: routes = [], match: matches = [] }, index) =>
      routes.length === 0 ? [] : [{ object, index, routes, matches }],
    ),
  );
}

/** Gateways, labels, namespace and port: what is known of the client and the listener. Source: istio tls.go matchTLS, matchTCP. */
function appliesTo(
  match: L4Match | TlsMatch,
  claim: OutboundClaim,
  { namespace, labels }: ListenerView,
): boolean {
  const gateways = match.gateways ?? [];
  if (gateways.length > 0 && !gateways.includes(MESH_GATEWAY)) return false;
  if (match.port !== undefined && match.port !== 0 && match.port !== claim.port) return false;
  if (match.sourceNamespace && match.sourceNamespace !== namespace) return false;
  return Object.entries(match.sourceLabels ?? {}).every(
    ([key, value]) => Object.hasOwn(labels, key) && labels[key] === value,
  );
}

/** A Unix socket has no destination address. */
function subnetsOf(match: L4Match | TlsMatch, claim: OutboundClaim): readonly string[] {
  return claim.port === 0 ? [] : (match.destinationSubnets ?? []);
}

function ownCidrs(claim: OutboundClaim): readonly string[] {
  return claim.cidr === '' ? [] : [claim.cidr];
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one) => b.includes(one));
}

/** To the service itself. */
function plainChain(claim: OutboundClaim, { view, lookup }: ChainScope): OutboundChain {
  const { hostname, clusterPort, protocol, stream, isDynamic } = claim;
  const port = { number: clusterPort, name: '' };
  return {
    sniHosts: [],
    cidrs: ownCidrs(claim),
    onlyHttp: false,
    target: {
      kind: 'stream',
      destinations: [{ hostname, port: clusterPort, subset: '', weight: 0 }],
      label: streamName(view.facts.outboundStatName, lookup, { hostname, subset: '', port }),
      isWeighted: false,
      settings: stream,
      protocol,
      dynamicHost: isDynamic ? hostname : '',
    },
  };
}

/**
 * Where several services share a listener, or a wildcard stands for many, the server name must tell. On one machine services share
 * what is listened on at the proxy's own address.
 */
function needsServerName(
  { cidr, hasAddress, isAnywhere, isLocal, isDynamic }: OutboundClaim,
  { facts }: ListenerView,
): boolean {
  return cidr !== '' || (!hasAddress && isAnywhere) || (isLocal && facts.onOneMachine) || isDynamic;
}

/** Of several destinations those with a weight; undefined when none has. Settings are those of the first one's host. */
function routedTarget(
  routes: readonly RouteDestination[],
  object: VirtualService,
  claim: OutboundClaim,
  { view, lookup }: ChainScope,
): StreamTarget | undefined {
  const isSingle = routes.length === 1;
  const scope = { lookup, listenerPort: claim.port, inference: 'single-port' as const };
  const chosen = isSingle ? routes : routes.filter((route) => (route.weight ?? 0) > 0);
  const destinations = chosen.map((route): StreamDestination => {
    const { hostname, port, subset } = resolveDestination(route.destination ?? {}, scope);
    return { hostname, port, subset, weight: isSingle ? 0 : (route.weight ?? 0) };
  });
  const [first] = routes;
  if (destinations.length === 0 || first === undefined) return undefined;
  const { host = '', subset = '' } = first.destination ?? {};
  const pattern = view.facts.outboundStatName;
  const port = { number: claim.port, name: pattern === '' ? '' : portName(claim, lookup) };
  return {
    kind: 'stream',
    destinations,
    label: isSingle
      ? streamName(pattern, lookup, { hostname: host, subset, port })
      : `${object.name}.${object.namespace}`,
    isWeighted: !isSingle,
    settings: streamSettings(lookup(host)?.policy, isSingle ? subset : ''),
    protocol: claim.protocol,
    dynamicHost: '',
  };
}

/** Of the service's port that the listener is for. */
function portName({ hostname, clusterPort }: OutboundClaim, lookup: HostLookup): string {
  const ports = lookup(hostname)?.service.ports ?? [];
  return ports.find(({ number }) => number === clusterPort)?.name ?? '';
}
