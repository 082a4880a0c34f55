/**
 * What a sidecar takes in: the service ports that reach its workload or the ingress listeners of its Sidecar object, and the mutual
 * TLS mode of each. One plain record per proxy; proxies with equal records share everything built from them.
 * Costs per proxy a read of its services and of two policy buckets; computed again only when one of those changed.
 * Source: istio pilot/pkg/networking/core/listener_inbound.go buildInboundChainConfigs, cluster.go buildInboundClusters.
 */
import type { ConnectionPoolSettings } from '#api/destination-rule.ts';
import type { ServerTlsSettings } from '#api/gateway.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarSpec } from '#api/sidecar.ts';
import type { Cause } from '#base/cause.ts';
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import {
  type MutualTlsMode,
  type MutualTlsSettings,
  mutualTlsFor,
  type PeerAuthenticationModel,
} from '#model/peer-authentication.ts';
import type { InterceptionMode, Proxy } from '#model/proxy.ts';
import type { Protocol } from '#model/service.ts';
import type { ProxyWorkload } from '#model/service-target.ts';
import { type InboundRequest, servicePorts } from './inbound-service-ports.ts';
import { ingressPorts } from './inbound-sidecar-ports.ts';
import type { ListenerDialect } from './listener-dialect.ts';
import type { ListenerFacts } from './listener-facts.ts';
import type { OutboundHost } from './outbound-host.ts';
import { tracedFacts } from './tracing.ts';
import { type Viewer, viewerKey } from './viewer.ts';

/** Where the connections of a port go. */
export type InboundDestination =
  /** To where they were going. */
  | { readonly kind: 'original' }
  | { readonly kind: 'address'; readonly address: string; readonly port: number }
  | { readonly kind: 'socket'; readonly path: string };

/** A service that leads to a port. */
export interface InboundService {
  readonly host: string;
  readonly name: string;
  readonly namespace: string;
}

/** One workload port as the sidecar serves it. */
export interface InboundPort {
  /** Port that connections arrive on: the workload's own. */
  readonly port: number;
  readonly destination: InboundDestination;
  /** The first service's port that leads here: what virtual hosts and spans are named after. */
  readonly servicePort: number;
  /** Name in statistics after the mesh's pattern; '' without one. */
  readonly statName: string;
  readonly protocol: Protocol;
  readonly mode: MutualTlsMode;
  /** Address in the names of the chains, and of the listener where the port has a socket of its own. */
  readonly bind: string;
  readonly isBound: boolean;
  /** Host in the names of spans: the first service's, or that of the Sidecar object. */
  readonly hostname: string;
  /** Services that lead here, sorted by host name; the first one names the port in telemetry. */
  readonly services: readonly InboundService[];
  /** TLS that the user has end here instead of the mesh's. */
  readonly tls: ServerTlsSettings | undefined;
  /** Limits towards the application, from the Sidecar object or the service's DestinationRule. */
  readonly connectionPool: ConnectionPoolSettings | undefined;
}

/** Everything inbound of one proxy, as plain data. */
export interface Inbound {
  readonly interception: InterceptionMode;
  /** Mode for ports that no service names. */
  readonly mode: MutualTlsMode;
  /** Ports that no service names and a policy does, with their modes; sorted. */
  readonly passthroughPorts: readonly { readonly port: number; readonly mode: MutualTlsMode }[];
  readonly ports: readonly InboundPort[];
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The facet and why it is so; keyed by proxy id. */
export interface InboundScope {
  readonly inbound: Inbound;
  /** The mesh's facts as this proxy has them. */
  readonly facts: ListenerFacts;
  readonly causes: readonly Cause[];
}

export interface InboundDeps {
  readonly proxies: Collection<Proxy>;
  readonly dialects: Collection<ListenerDialect>;
  readonly viewers: Collection<Viewer>;
  readonly viewerOf: (fetch: Fetch, proxy: Proxy) => string;
  readonly hosts: Collection<OutboundHost>;
  readonly sidecars: Collection<MeshObject<SidecarSpec>>;
  readonly peerAuthentication: PeerAuthenticationModel;
  readonly workloadOf: (fetch: Fetch, proxy: Proxy) => ProxyWorkload;
}

/** Derives the inbound facet of every connected sidecar. */
export function createInboundScope(engine: Engine, deps: InboundDeps): Collection<InboundScope> {
  return engine.derive('scope.inbound', deps.proxies, (fetch, proxy) => {
    if (proxy.type !== 'sidecar') return undefined;
    const own = fetch.get(deps.dialects, proxy.id)?.facts;
    if (own === undefined) return undefined;
    const viewer = fetch.get(deps.viewers, deps.viewerOf(fetch, proxy));
    const facts = tracedFacts(fetch, deps.hosts, viewer?.key ?? '', own);
    const object =
      viewer === undefined || viewer.sidecar === '' ? undefined : fetch.get(deps.sidecars, viewer.sidecar);
    const tls = mutualTlsFor(fetch, deps.peerAuthentication, facts.rootNamespace, proxy);
    const request: InboundRequest = {
      proxy,
      facts,
      settings: tls.settings,
      workload: workloadBehind(proxy, deps.workloadOf(fetch, proxy)),
      sidecar: object,
      policyOf: (hostname) =>
        viewer === undefined ? undefined : fetch.get(deps.hosts, viewerKey(viewer.key, hostname))?.policy,
    };
    const { ports, causes } = inboundPorts(request);
    return {
      inbound: {
        interception: proxy.interceptionMode,
        mode: tls.settings.mode,
        passthroughPorts: passthroughPorts(tls.settings, ports),
        ports,
        namespace: proxy.namespace,
        labels: proxy.labels,
      },
      facts,
      causes: [...causes, ...tls.causes],
    };
  });
}

/** Captured connections reach the application where it is; it is elsewhere only where the proxy binds its ports. */
function workloadBehind({ interceptionMode }: Proxy, workload: ProxyWorkload): ProxyWorkload {
  return interceptionMode === 'NONE' ? workload : { ...workload, appAddress: '', appPorts: {} };
}

/** Ports in the order of their numbers. */
export interface ServedPorts {
  readonly ports: readonly InboundPort[];
  readonly causes: readonly Cause[];
}

/**
 * Ingress listeners of a Sidecar take the place of services' ports. Where nothing is captured, the application itself listens on
 * those, so without ingress listeners there is nothing to take in, except on one machine, where the application is elsewhere.
 */
function inboundPorts(request: InboundRequest): ServedPorts {
  const { proxy, facts, workload, sidecar } = request;
  const ingress = sidecar?.spec.ingress ?? [];
  if (sidecar !== undefined && ingress.length > 0) {
    const own = ingressPorts(request, sidecar);
    if (!facts.flags.mergeSidecarIngress) return own;
    const declared = new Set(ingress.map(({ port }) => port?.number ?? 0));
    const others = servicePorts(request, (port) => !declared.has(port));
    return { ports: sortPorts([...own.ports, ...others.ports]), causes: [...own.causes, ...others.causes] };
  }
  const isElsewhere = workload.appAddress !== '';
  if (proxy.interceptionMode === 'NONE' && !isElsewhere) return { ports: [], causes: [] };
  return servicePorts(request, () => true);
}

function sortPorts(ports: readonly InboundPort[]): readonly InboundPort[] {
  return [...ports].sort((a, b) => a.port - b.port);
}

/** Source: istio pilot/pkg/networking/plugin/authn ForPassthrough. */
function passthroughPorts(
  settings: MutualTlsSettings,
  ports: readonly InboundPort[],
): Inbound['passthroughPorts'] {
  const served = new Set(ports.map(({ port }) => port));
  return Object.entries(settings.ports)
    .map(([port, mode]) => ({ port: Number(port), mode }))
    .filter(({ port }) => !served.has(port))
    .sort((a, b) => a.port - b.port);
}
