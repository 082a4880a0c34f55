/**
 * The switches of the control plane that change generated configuration, by the names that Istio gives its environment variables.
 * They stand for the life of the process: main reads them once and hands the record to the graph, and facts carry single flags
 * on into builders' inputs. docs/flags.md lists them with all others.
 */
import { type CompliancePolicy, readCompliancePolicy } from '#base/compliance.ts';
import { parseDurationMs } from '#base/duration.ts';

/** One flag: its variable, and the value without one. Durations are in milliseconds. */
interface FlagDefinition<T> {
  readonly variable: string;
  readonly fallback: T;
  /** Errors: undefined for a text that is no such value. */
  readonly parse: (text: string) => T | undefined;
}

const DEFINITIONS = {
  /** HTTP/1.0 requests are served by outbound and gateway listeners. */
  http10: truth('PILOT_HTTP10', false),
  /** A gateway workload takes only Gateways of its own namespace. */
  scopeGatewayToNamespace: truth('PILOT_SCOPE_GATEWAY_TO_NAMESPACE', false),
  /** Gateways get the clusters only that they route to. */
  filtersGatewayClusters: truth('PILOT_FILTER_GATEWAY_CLUSTER_CONFIG', false),
  quicListeners: truth('PILOT_ENABLE_QUIC_LISTENERS', false),
  persistentSessions: truth('PILOT_ENABLE_PERSISTENT_SESSION_FILTER', false),
  persistentSessionLabel: word('PILOT_PERSISTENT_SESSION_LABEL', 'istio.io/persistent-session'),
  persistentSessionHeaderLabel: word(
    'PILOT_PERSISTENT_SESSION_HEADER_LABEL',
    'istio.io/persistent-session-header',
  ),
  drainingLabel: word('PILOT_DRAINING_LABEL', 'istio.io/draining'),
  /** Endpoints that are not ready are sent too, for every service. */
  sendUnhealthyEndpoints: truth('PILOT_SEND_UNHEALTHY_ENDPOINTS', false),
  /** They are sent unless outlier detection has a panic threshold. */
  autoSendUnhealthyEndpoints: truth('PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS', true),
  ipAutoallocate: truth('PILOT_ENABLE_IP_AUTOALLOCATE', true),
  ipAutoallocateV4Prefix: word('PILOT_IP_AUTOALLOCATE_IPV4_PREFIX', '240.240.0.0/16'),
  ipAutoallocateV6Prefix: word('PILOT_IP_AUTOALLOCATE_IPV6_PREFIX', '2001:2::/48'),
  serviceEntrySelectsPods: truth('PILOT_ENABLE_SERVICEENTRY_SELECT_PODS', true),
  serviceSelectsWorkloadEntries: truth('PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES', true),
  /** A WorkloadEntry whose proxy reports health is no endpoint while it is not healthy. */
  workloadEntryHealthChecks: truth('PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS', true),
  redisFilter: truth('PILOT_ENABLE_REDIS_FILTER', false),
  mongoFilter: truth('PILOT_ENABLE_MONGO_FILTER', true),
  sidecarUsesRemoteAddress: truth('PILOT_SIDECAR_USE_REMOTE_ADDRESS', false),
  continueHeaders: truth('ENABLE_100_CONTINUE_HEADERS', true),
  /** Names also match with the dot of the root at their end. */
  absoluteDomains: truth('PILOT_ENABLE_ABSOLUTE_FQDN_VHOST_DOMAIN', true),
  edsForHeadlessServices: truth('PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES', false),
  tlsOnSidecarIngress: truth('ENABLE_TLS_ON_SIDECAR_INGRESS', false),
  /** A Sidecar's ingress listeners stand beside those of services instead of in their place. */
  mergeSidecarIngress: truth('PILOT_ALLOW_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE', false),
  /** Peers of any trust domain are let in whose certificates the mesh's roots vouch for. */
  anyTrustDomain: truth('PILOT_SKIP_VALIDATE_TRUST_DOMAIN', false),
  /** One workload's CUSTOM policies may name several providers. */
  severalAuthorizers: truth('PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS', false),
  dualStack: truth('ISTIO_DUAL_STACK', false),
  /** The files of a proxy (TLS_CLIENT_*) do not stand in where a rule says TLS for a service outside of the mesh. */
  ruleTlsForExternal: truth('PREFER_DESTINATIONRULE_TLS_FOR_EXTERNAL_SERVICES', true),
  localityWeightedLb: truth('ENABLE_LOCALITY_WEIGHTED_LB_CONFIG', false),
  enhancedDestinationRuleMerge: truth('ENABLE_ENHANCED_DESTINATIONRULE_MERGE', true),
  noShadowHostSuffix: truth('DISABLE_SHADOW_HOST_SUFFIX', true),
  noRemainingMetrics: truth('DISABLE_TRACK_REMAINING_CB_METRICS', true),
  /** Limits of TLS that nobody may leave. */
  compliance: policy('COMPLIANCE_POLICY'),
  connectionsPerSocketEvent: count('MAX_CONNECTIONS_PER_SOCKET_EVENT_LOOP', 1),
  gatewayHandshakeTimeoutMs: duration('PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT', 15_000),
  /** How many names the cache of outbound policy ALLOW_ANY_DYNAMIC_DNS holds. */
  unknownHostsLimit: count('PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS', 1_024),
  /** Gateways of networks that are named by host are looked up; else they are left out. */
  resolvesGatewayNames: truth('RESOLVE_HOSTNAME_GATEWAYS', true),
  /** All connection managers count the mesh's networks as internal, not only those that look at the caller's address. */
  internalNetworks: truth('ENABLE_HCM_INTERNAL_NETWORKS', false),
  dnsJitterMs: duration('PILOT_DNS_JITTER_DURATION', 100),
  /** Percent of the requests that are traced where nobody says how many. */
  traceSampling: percentage('PILOT_TRACE_SAMPLING', 1),
};

/** The value of every flag. Source of names and defaults: istio pilot/pkg/features. */
export type MeshFlags = {
  readonly [K in keyof typeof DEFINITIONS]: (typeof DEFINITIONS)[K]['fallback'];
};

/** What all flags are when nobody sets one. */
export const DEFAULT_MESH_FLAGS: MeshFlags = readMeshFlags({}).flags;

/** Reads the flags; a value that cannot be read leaves the default, and its variable is named in `unreadable`. */
export function readMeshFlags(environment: Readonly<Record<string, string | undefined>>): {
  readonly flags: MeshFlags;
  readonly unreadable: readonly string[];
} {
  const unreadable: string[] = [];
  const read = <T>({ variable, fallback, parse }: FlagDefinition<T>): T => {
    const text = environment[variable];
    const value = text === undefined ? undefined : parse(text);
    if (value === undefined && text !== undefined && text !== '') unreadable.push(variable);
    return value ?? fallback;
  };
  const flags = Object.entries(DEFINITIONS).map(([name, definition]) => [
    name,
    read<unknown>(definition as FlagDefinition<unknown>),
  ]);
  return { flags: Object.fromEntries(flags) as MeshFlags, unreadable };
}

function policy(variable: string): FlagDefinition<CompliancePolicy> {
  return { variable, fallback: '', parse: readCompliancePolicy };
}

/** Source of the words: Go strconv.ParseBool. */
function truth(variable: string, fallback: boolean): FlagDefinition<boolean> {
  const parse = (text: string): boolean | undefined => {
    if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
    return ['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text) ? false : undefined;
  };
  return { variable, fallback, parse };
}

function word(variable: string, fallback: string): FlagDefinition<string> {
  return { variable, fallback, parse: (text) => text };
}

function count(variable: string, fallback: number): FlagDefinition<number> {
  return { variable, fallback, parse: (text) => (/^\d{1,9}$/.test(text) ? Number(text) : undefined) };
}

/** Source of the form: Go strconv.ParseFloat, without its hexadecimal numbers. */
function percentage(variable: string, fallback: number): FlagDefinition<number> {
  const parse = (text: string): number | undefined => {
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
    return value >= 0 && value <= 100 ? value : undefined;
  };
  return { variable, fallback, parse };
}

function duration(variable: string, fallback: number): FlagDefinition<number> {
  const parse = (text: string): number | undefined => {
    const read = parseDurationMs(text);
    return read.ok && read.value >= 0 ? read.value : undefined;
  };
  return { variable, fallback, parse };
}
