/**
 * How the listeners of one proxy differ from the mesh's: its own ProxyConfig, node metadata and addresses laid over the mesh's facts.
 * A proxy that differs in nothing has the mesh's own record, by identity; equal records of others are one object too.
 */
import { canonicalJson } from '#base/canonical-json.ts';
import { isIp, isIpv6 } from '#base/cidr.ts';
import { deepEqual } from '#base/deep-equal.ts';
import { hashHex } from '#base/hash.ts';
import type { Collection, Engine } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { MeshFlags } from '#model/mesh-flags.ts';
import { serverCertificatesOf } from '#model/mounted-certificates.ts';
import { isOnOneMachine, type Proxy } from '#model/proxy.ts';
import type { TracerResolution } from '#model/tracing.ts';
import { secretServersOf } from '#model/secret-servers.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { ProxyConfigJson } from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';
import { type HttpSettings, httpSettings } from './http-settings.ts';
import { meshTracer, type TracerChoice, tracingOf } from './tracing.ts';
import { accessLogFacts, type IpFamilies, type ListenerFacts } from './listener-facts.ts';

/** Keyed by proxy id. */
export interface ListenerDialect {
  /** '' for the mesh's own, else what tells dialects apart; a change of the mesh's facts alone leaves it. */
  readonly key: string;
  readonly facts: ListenerFacts;
}

export interface ListenerDialectDeps {
  readonly proxies: Collection<Proxy>;
  readonly meshConfig: Collection<MeshConfigJson>;
  readonly facts: Collection<ListenerFacts>;
  /** By `tracerKey`. */
  readonly tracers: Collection<TracerResolution>;
  readonly flags: MeshFlags;
  readonly interner: Interner;
}

/** Derives the dialect of every connected proxy. */
export function createListenerDialects(
  engine: Engine,
  deps: ListenerDialectDeps,
): Collection<ListenerDialect> {
  return engine.derive('scope.listenerDialects', deps.proxies, (fetch, proxy) => {
    const facts = fetch.get(deps.facts, MESH_KEY);
    if (facts === undefined) return undefined;
    const mesh = fetch.get(deps.meshConfig, MESH_KEY) ?? {};
    const own = ownFacts(proxy, {
      mesh,
      flags: deps.flags,
      internalBlocks: facts.http.internalBlocks,
      choice: meshTracer(mesh, (key) => fetch.get(deps.tracers, key)),
    });
    const differs = (Object.keys(own) as (keyof OwnFacts)[]).filter(
      (name) => !deepEqual(own[name], facts[name]),
    );
    if (differs.length === 0) return { key: '', facts };
    const merged = { ...facts, ...own };
    return {
      key: hashHex(canonicalJson(own)),
      facts: deps.interner.intern('listenerFacts', merged, (one) => one),
    };
  });
}

/** The facts that a proxy may have of its own. */
type OwnFacts = Pick<
  ListenerFacts,
  | 'http'
  | 'tracing'
  | 'accessLog'
  | 'ipFamilies'
  | 'unknownHostsResolver'
  | 'exactBalanceInbound'
  | 'exactBalanceOutbound'
  | 'unprivileged'
  | 'reservedPorts'
  | 'onOneMachine'
  | 'secretServers'
  | 'serverCertificates'
>;

interface MeshWords {
  readonly mesh: MeshConfigJson;
  readonly flags: MeshFlags;
  readonly internalBlocks: HttpSettings['internalBlocks'];
  readonly choice: TracerChoice;
}

function ownFacts(proxy: Proxy, { mesh, flags, internalBlocks, choice }: MeshWords): OwnFacts {
  const { traits, type } = proxy;
  const config = proxyConfigOf(proxy, mesh);
  return {
    http: httpSettings({ mesh, internalBlocks, flags, traits, type, config }),
    tracing: tracingOf({ choice, flags, config, proxy }),
    accessLog: accessLogFacts(mesh, config, traits),
    ipFamilies: ipFamiliesOf(proxy.addresses),
    unknownHostsResolver: proxy.dnsCapture ? agentResolver(proxy.metadata['DNS_PROXY_ADDR'] ?? '') : '',
    exactBalanceInbound: traits.exactBalanceInbound,
    exactBalanceOutbound: traits.exactBalanceOutbound,
    unprivileged: traits.unprivileged,
    reservedPorts: traits.reservedPorts,
    onOneMachine: isOnOneMachine(proxy),
    secretServers: secretServersOf(proxy),
    serverCertificates: serverCertificatesOf(proxy),
  };
}

const AGENT_RESOLVER = '127.0.0.1:15053';

/**
 * Where the agent answers DNS: it knows names of the mesh that the machine's resolver does not. Envoy wants an address, not a name.
 * Source: istio core/networkfilter.go buildAllowAnyDynamicDNSDNSCacheConfig.
 */
function agentResolver(text: string): string {
  const [, v6, v4 = v6 ?? '', port = ''] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  if (!isIp(v4) || Number(port) < 1 || Number(port) > 65_535) return AGENT_RESOLVER;
  return text;
}

/** The config that the proxy says it was started with, else the mesh's. Source: istio NodeMetadata.ProxyConfigOrDefault. */
export function proxyConfigOf(proxy: Proxy, mesh: MeshConfigJson): ProxyConfigJson {
  const own = proxy.proxyConfig as ProxyConfigJson;
  return Object.keys(own).length > 0 ? own : (mesh.defaultConfig ?? {});
}

/** Source: istio pkg/model DiscoverIPMode. */
export function ipFamiliesOf(addresses: readonly string[]): IpFamilies {
  const count = addresses.filter(isIpv6).length;
  if (count === 0) return 'v4';
  return count === addresses.length ? 'v6' : 'dual';
}
