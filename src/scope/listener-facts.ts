/**
 * What listeners take from mesh config, flags and the proxy's own settings, as one frozen record: another part of mesh config may
 * change without touching a listener. Most proxies have the mesh's own record; those that differ have one that says how.
 */
import { durationMs } from '#api/duration.ts';
import { type MeshNetworks, NO_NETWORKS } from '#api/mesh-networks.ts';
import type { Collection, Engine } from '#collections/collection.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { MeshFlags } from '#model/mesh-flags.ts';
import { networkBlocks } from '#model/network.ts';
import type { MountedCertificates } from '#model/mounted-certificates.ts';
import type { UnknownHosts } from '#model/route-facts.ts';
import { type NodeTraits, PLAIN_TRAITS } from '#model/proxy.ts';
import type { TracerResolution } from '#model/tracing.ts';
import { AGENT_ONLY, type SecretServers } from '#model/secret-servers.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { HTTPRetryJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import type { ProxyConfigJson } from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';
import { type HttpSettings, httpSettings } from './http-settings.ts';
import { meshTracer, type TracerChoice, type Tracing, tracingOf } from './tracing.ts';

/** The flags that listeners know. */
export type ListenerFlags = Pick<
  MeshFlags,
  | 'http10'
  | 'mongoFilter'
  | 'redisFilter'
  | 'tlsOnSidecarIngress'
  | 'mergeSidecarIngress'
  | 'dualStack'
  | 'connectionsPerSocketEvent'
  | 'unknownHostsLimit'
  | 'compliance'
>;

/** Which addresses a proxy has; with both, IPv4 comes first. */
export type IpFamilies = 'v4' | 'v6' | 'dual';

/** One service port and subset, as a cluster is named after them. */
export interface ClusterTarget {
  readonly hostname: string;
  readonly port: number;
  readonly subset: string;
}

/** Where connections and requests are written down. */
export interface AccessLogFacts {
  /** The proxy's Envoy cannot open /dev/stdout by name. */
  readonly stdoutIsSocket: boolean;
  /** Loggers hear of connections while they are open; false for agents of others, whose loggers are as Istio has them. */
  readonly hearsOpen: boolean;
  /** Path to write to, `/dev/stdout` as a rule; '' for none. */
  readonly file: string;
  /** The user's format; '' for Istio's. With encoding JSON it is a JSON object as text. */
  readonly format: string;
  readonly encoding: 'TEXT' | 'JSON';
  /** Also to the service that the proxy's bootstrap names. */
  readonly toService: boolean;
  /** Listeners log the connections that no chain took. */
  readonly onListeners: boolean;
}

export interface ListenerFacts {
  /** The mesh's own and its aliases: one identity under several names. */
  readonly trustDomains: readonly string[];
  /** A client's id must lie in one of them; empty: in any. */
  readonly peerTrustDomains: readonly string[];
  readonly rootNamespace: string;
  readonly outboundPort: number;
  readonly inboundPort: number;
  /** Port of the HTTP proxy listener; 0 none, unless the proxy's own node metadata names one. */
  readonly httpProxyPort: number;
  /** Pattern for the names of inbound clusters in statistics; '' for their own names. */
  readonly inboundStatName: string;
  /** Pattern for the names of byte streams to others in statistics; '' for those of their clusters. */
  readonly outboundStatName: string;
  /** What becomes of a destination that the mesh does not know. */
  readonly outboundPolicy: UnknownHosts;
  /** Resolver `address:port` that is asked for such destinations by name; '' for the machine's own. */
  readonly unknownHostsResolver: string;
  /** Where unknown destinations are sent instead of where they were going; undefined as a rule. */
  readonly egressProxy: ClusterTarget | undefined;
  /** The application is reached at localhost instead of where the connection was going. */
  readonly inboundLocalhost: boolean;
  /** Retries towards the application; undefined: Istio's default. */
  readonly inboundRetries: HTTPRetryJson | undefined;
  readonly accessLog: AccessLogFacts;
  /** Server side of mesh mTLS; no cipher suites: ours. */
  readonly minimumTlsVersion: 'TLSv1_2' | 'TLSv1_3';
  readonly cipherSuites: readonly string[];
  /** Files of the proxy that stand in for its own certificate towards clients; undefined as a rule. */
  readonly serverCertificates: MountedCertificates | undefined;
  /** How long a listener looks at the first bytes; 0 for ever. */
  readonly detectionTimeoutMs: number;
  readonly http: HttpSettings;
  /** Undefined: requests are not traced. */
  readonly tracing: Tracing | undefined;
  readonly ipFamilies: IpFamilies;
  readonly exactBalanceInbound: boolean;
  readonly exactBalanceOutbound: boolean;
  /** Ports below 1024 cannot be bound. */
  readonly unprivileged: boolean;
  /** Ports of the proxy's own doors. */
  readonly reservedPorts: readonly number[];
  /** On one machine the proxy has addresses of its own instead of a pod's network. */
  readonly onOneMachine: boolean;
  /** Who hands out secrets beside the proxy. */
  readonly secretServers: SecretServers;
  readonly flags: ListenerFlags;
}

/** What a mesh's words are understood by. */
interface MeshChoices {
  readonly networks?: MeshNetworks | undefined;
  readonly choice?: TracerChoice;
}

export interface ListenerFactsDeps {
  readonly meshConfig: Collection<MeshConfigJson>;
  readonly meshNetworks?: Collection<MeshNetworks> | undefined;
  /** By `tracerKey`. */
  readonly tracers: Collection<TracerResolution>;
  readonly flags: MeshFlags;
}

/** Derives the facts of the mesh, keyed 'mesh'; equal facts keep their identity. */
export function createListenerFacts(
  engine: Engine,
  { meshConfig, meshNetworks, tracers, flags }: ListenerFactsDeps,
): Collection<ListenerFacts> {
  return engine.derive('scope.listenerFacts', meshConfig, (fetch, config) =>
    meshListenerFacts(config, flags, {
      networks: meshNetworks && fetch.get(meshNetworks, MESH_KEY),
      choice: meshTracer(config, (key) => fetch.get(tracers, key)),
    }),
  );
}

/** The facts of a sidecar that says nothing of its own. */
export function meshListenerFacts(
  mesh: MeshConfigJson,
  flags: MeshFlags,
  { networks = NO_NETWORKS, choice = 'none' }: MeshChoices = {},
): ListenerFacts {
  const config = mesh.defaultConfig ?? {};
  return {
    trustDomains: [mesh.trustDomain ?? 'cluster.local', ...(mesh.trustDomainAliases ?? [])],
    peerTrustDomains: flags.anyTrustDomain ? [] : peerTrustDomains(mesh),
    rootNamespace: mesh.rootNamespace ?? 'istio-system',
    outboundPort: mesh.proxyListenPort ?? 15001,
    inboundPort: mesh.proxyInboundListenPort ?? 15006,
    httpProxyPort: mesh.proxyHttpPort ?? 0,
    inboundStatName: mesh.inboundClusterStatName ?? '',
    outboundStatName: mesh.outboundClusterStatName ?? '',
    outboundPolicy: mesh.outboundTrafficPolicy?.mode ?? 'ALLOW_ANY',
    unknownHostsResolver: '',
    egressProxy: undefined,
    inboundLocalhost: mesh.inboundTrafficPolicy?.mode === 'LOCALHOST',
    inboundRetries: mesh.defaultInboundHttpRetryPolicy,
    accessLog: accessLogFacts(mesh, config, PLAIN_TRAITS),
    minimumTlsVersion: mesh.meshMTLS?.minProtocolVersion === 'TLSV1_3' ? 'TLSv1_3' : 'TLSv1_2',
    cipherSuites: mesh.meshMTLS?.cipherSuites ?? [],
    serverCertificates: undefined,
    detectionTimeoutMs: durationMs(mesh.protocolDetectionTimeout, 0),
    http: httpSettings({
      mesh,
      internalBlocks: networkBlocks(networks),
      flags,
      traits: PLAIN_TRAITS,
      type: 'sidecar',
      config,
    }),
    tracing: tracingOf({ choice, flags, config, proxy: undefined }),
    ipFamilies: 'v4',
    exactBalanceInbound: false,
    exactBalanceOutbound: false,
    unprivileged: false,
    reservedPorts: [],
    onOneMachine: false,
    secretServers: AGENT_ONLY,
    flags: listenerFlags(flags),
  };
}

/** The mesh's own, its aliases, and those that its CA certificates are for. Source: istio plugin/authn TrustDomainsForValidation. */
function peerTrustDomains({
  trustDomain,
  trustDomainAliases,
  caCertificates,
}: MeshConfigJson): readonly string[] {
  const ofRoots = (caCertificates ?? []).flatMap((root) => root.trustDomains ?? []);
  const all = [trustDomain ?? 'cluster.local', ...(trustDomainAliases ?? []), ...ofRoots];
  return [...new Set(all)].filter((domain) => domain !== '');
}

/** The access log of a proxy with this config. The service is left out where the proxy's bootstrap does not know it. */
export function accessLogFacts(
  mesh: MeshConfigJson,
  config: ProxyConfigJson,
  { stdoutIsSocket, foreign }: NodeTraits,
): AccessLogFacts {
  const hasService = (config.envoyAccessLogService?.address ?? '') !== '';
  return {
    stdoutIsSocket,
    hearsOpen: !foreign,
    file: mesh.accessLogFile ?? '',
    format: mesh.accessLogFormat ?? '',
    encoding: mesh.accessLogEncoding === 'JSON' ? 'JSON' : 'TEXT',
    toService: mesh.enableEnvoyAccessLogService === true && hasService,
    onListeners: mesh.disableEnvoyListenerLog !== true,
  };
}

function listenerFlags(flags: MeshFlags): ListenerFlags {
  const { http10, mongoFilter, redisFilter, tlsOnSidecarIngress, mergeSidecarIngress } = flags;
  const { dualStack, connectionsPerSocketEvent, unknownHostsLimit, compliance } = flags;
  return {
    http10,
    mongoFilter,
    redisFilter,
    tlsOnSidecarIngress,
    mergeSidecarIngress,
    dualStack,
    connectionsPerSocketEvent,
    unknownHostsLimit,
    compliance,
  };
}
