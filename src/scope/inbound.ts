/**
 * What a sidecar takes in: the service ports that reach its workload, and the mutual TLS mode of each. One plain record
 * per proxy; proxies with equal records share everything built from them.
 * Costs per proxy a read of its services and of two policy buckets; computed again only when one of those changed.
 */
import type { Cause } from '#base/cause.ts';
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import {
  type MutualTlsMode,
  type MutualTlsSettings,
  mutualTlsFor,
  type PeerAuthenticationModel,
  portMode,
} from '#model/peer-authentication.ts';
import type { InterceptionMode, Proxy } from '#model/proxy.ts';
import type { Protocol } from '#model/service.ts';
import { telemetryName } from '#model/service.ts';
import type { ProxyWorkload, ServiceTarget } from '#model/service-target.ts';
import type { ListenerFacts } from './listener-facts.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';

/** One workload port as the sidecar serves it. */
export interface InboundPort {
  /** Port that connections arrive on: the workload's own. */
  readonly port: number;
  /** Port that the application listens on; differs from `port` only where the proxy binds the workload's address. */
  readonly appPort: number;
  /** The first service's port that leads here: what virtual hosts and spans are named after. */
  readonly servicePort: number;
  readonly protocol: Protocol;
  readonly mode: MutualTlsMode;
  /** Services that lead here, sorted by host name; the first one names the port in telemetry. */
  readonly services: readonly { readonly host: string; readonly name: string; readonly namespace: string }[];
}

/** Everything inbound of one proxy, as plain data. */
export interface Inbound {
  readonly interception: InterceptionMode;
  /** Address to bind under interception NONE, '' otherwise. */
  readonly bindAddress: string;
  /** Where the application listens under interception NONE, '' otherwise. */
  readonly appAddress: string;
  /** Mode for ports that no service names. */
  readonly mode: MutualTlsMode;
  readonly ports: readonly InboundPort[];
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The facet and why it is so; keyed by proxy id. */
export interface InboundScope {
  readonly inbound: Inbound;
  readonly causes: readonly Cause[];
}

export interface InboundDeps {
  readonly proxies: Collection<Proxy>;
  readonly facts: Collection<ListenerFacts>;
  readonly peerAuthentication: PeerAuthenticationModel;
  readonly workloadOf: (fetch: Fetch, proxy: Proxy) => ProxyWorkload;
}

/** Derives the inbound facet of every connected sidecar. */
export function createInboundScope(engine: Engine, deps: InboundDeps): Collection<InboundScope> {
  return engine.derive('scope.inbound', deps.proxies, (fetch, proxy) => {
    if (proxy.type !== 'sidecar') return undefined;
    const facts = fetch.get(deps.facts, MESH_KEY);
    if (facts === undefined) return undefined;
    const workload = deps.workloadOf(fetch, proxy);
    const tls = mutualTlsFor(fetch, deps.peerAuthentication, facts.rootNamespace, proxy);
    const bound = proxy.interceptionMode === 'NONE';
    return {
      inbound: {
        interception: proxy.interceptionMode,
        bindAddress: bound ? (proxy.addresses[0] ?? '') : '',
        appAddress: bound ? workload.appAddress : '',
        mode: tls.settings.mode,
        ports: inboundPorts(workload, tls.settings),
        namespace: proxy.namespace,
        labels: proxy.labels,
      },
      causes: [...workload.targets.map((target) => target.service.cause), ...tls.causes],
    };
  });
}

/** One entry per workload port; where services disagree on the protocol the oldest service wins, then the first by name. */
function inboundPorts(workload: ProxyWorkload, settings: MutualTlsSettings): InboundPort[] {
  const ordered = workload.targets.toSorted((a, b) => a.service.createdAtMs - b.service.createdAtMs);
  const byPort = new Map<number, ServiceTarget[]>();
  for (const target of ordered) {
    if (target.port.protocol === 'UDP') continue;
    const list = byPort.get(target.targetPort);
    if (list === undefined) byPort.set(target.targetPort, [target]);
    else list.push(target);
  }
  const ports = [...byPort].sort((a, b) => a[0] - b[0]);
  return ports.flatMap(([port, targets]) => {
    const [first] = targets;
    if (first === undefined) return [];
    return [
      {
        port,
        appPort: workload.appPorts[String(port)] ?? port,
        servicePort: first.port.number,
        protocol: first.port.protocol,
        mode: portMode(settings, port),
        services: targets.map(({ service }) => ({
          host: service.hostname,
          name: telemetryName(service),
          namespace: service.namespace,
        })),
      },
    ];
  });
}
