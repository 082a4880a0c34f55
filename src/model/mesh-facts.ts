/**
 * The few facts of the mesh configuration that services and clusters depend on, taken out of it so that a change of
 * anything else (access logs, providers …) stops here. One value per concern, each under the key 'mesh'.
 */
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import type {
  ConnectionPoolSettingsJson,
  ConnectionPoolSettings_TCPSettings_TcpKeepaliveJson as TcpKeepalive,
  LocalityLoadBalancerSettingJson,
  OutlierDetectionJson,
  ZoneAwareLoadBalancerSettingJson,
} from '#proto/istio/networking/v1alpha3/destination_rule_pb.ts';
import type { MeshConfigJson, ServiceEntryVisibilityJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';

import { type ClusterLocalHosts, clusterLocalHosts } from './cluster-local.ts';
import { DEFAULT_MESH_FLAGS, type MeshFlags } from './mesh-flags.ts';

/** Key of the one value of a mesh-wide collection. */
export const MESH_KEY = 'mesh';

/** What services take from the mesh configuration. */
export interface ServiceFacts {
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  readonly defaultServiceExportTo: readonly string[];
  readonly entryVisibility: ServiceEntryVisibilityJson | undefined;
}

/** What the choice of DestinationRules takes from it. */
export interface PolicyFacts {
  readonly rootNamespace: string;
  readonly defaultDestinationRuleExportTo: readonly string[];
  /** Rules for one host are merged only as far as they are exported alike. */
  readonly mergesByExportTo: boolean;
}

/** What outbound clusters and endpoints take from it. Durations as in the API, "10s". */
export interface ClusterFacts {
  readonly connectTimeout: string;
  readonly dnsRefreshRate: string;
  readonly autoMtls: boolean;
  readonly upgradesToHttp2: boolean;
  readonly tcpKeepalive: TcpKeepalive | undefined;
  /** Undefined when locality load balancing is off for the mesh. */
  readonly localityLb: LocalityLoadBalancerSettingJson | undefined;
  readonly zoneAwareLb: ZoneAwareLoadBalancerSettingJson | undefined;
  readonly defaultConnectionPool: ConnectionPoolSettingsJson | undefined;
  readonly defaultOutlierDetection: OutlierDetectionJson | undefined;
  readonly tlsCipherSuites: readonly string[];
  readonly tlsEcdhCurves: readonly string[];
  /** Of proxies that do not say themselves. */
  readonly preserveHeaderCase: boolean;
  /** Pattern for the names of clusters in statistics; '' for their own names. */
  readonly statName: string;
  readonly clusterLocal: ClusterLocalHosts;
  readonly flags: ClusterFlags;
}

/** Those flags of the control plane that shape clusters and endpoints. */
export type ClusterFlags = Pick<
  MeshFlags,
  | 'autoSendUnhealthyEndpoints'
  | 'sendUnhealthyEndpoints'
  | 'edsForHeadlessServices'
  | 'localityWeightedLb'
  | 'dualStack'
  | 'dnsJitterMs'
  | 'redisFilter'
  | 'noRemainingMetrics'
  | 'ruleTlsForExternal'
  | 'compliance'
>;

/** The facts as collections, each with one value under MESH_KEY. */
export interface MeshFacts {
  readonly services: Collection<ServiceFacts>;
  readonly policies: Collection<PolicyFacts>;
  readonly clusters: Collection<ClusterFacts>;
}

const DEFAULT_ROOT_NAMESPACE = 'istio-system';
const DEFAULT_TRUST_DOMAIN = 'cluster.local';
const DEFAULT_CLUSTER_DOMAIN = 'cluster.local';
const EVERYBODY: readonly string[] = ['*'];

/** Takes the facts out of the mesh configuration. Source of the defaults: Istio pkg/config/mesh DefaultMeshConfig. */
export function createMeshFacts(
  engine: Engine,
  meshConfig: Collection<MeshConfigJson>,
  flags: MeshFlags,
  clusterDomain: string = DEFAULT_CLUSTER_DOMAIN,
): MeshFacts {
  return {
    services: engine.derive('mesh.services', meshConfig, (_fetch, mesh) => serviceFacts(mesh)),
    policies: engine.derive('mesh.policies', meshConfig, (_fetch, mesh) => policyFacts(mesh, flags)),
    clusters: engine.derive('mesh.clusters', meshConfig, (_fetch, mesh) =>
      clusterFacts(mesh, flags, clusterDomain),
    ),
  };
}

/** The one value of a mesh-wide collection, or what `fallback` makes of an empty mesh configuration. */
export function meshFact<T>(fetch: Fetch, facts: Collection<T>, fallback: (mesh: MeshConfigJson) => T): T {
  return fetch.get(facts, MESH_KEY) ?? fallback({});
}

/** The facts for services. */
export function serviceFacts(mesh: MeshConfigJson): ServiceFacts {
  return {
    trustDomain: mesh.trustDomain || DEFAULT_TRUST_DOMAIN,
    trustDomainAliases: mesh.trustDomainAliases ?? [],
    defaultServiceExportTo: orEverybody(mesh.defaultServiceExportTo),
    entryVisibility: mesh.serviceEntryVisibility,
  };
}

/** The facts for DestinationRules. */
export function policyFacts(mesh: MeshConfigJson, flags: MeshFlags = DEFAULT_MESH_FLAGS): PolicyFacts {
  return {
    rootNamespace: mesh.rootNamespace || DEFAULT_ROOT_NAMESPACE,
    defaultDestinationRuleExportTo: orEverybody(mesh.defaultDestinationRuleExportTo),
    mergesByExportTo: flags.enhancedDestinationRuleMerge,
  };
}

/** The facts for clusters. */
export function clusterFacts(
  mesh: MeshConfigJson,
  flags: MeshFlags = DEFAULT_MESH_FLAGS,
  clusterDomain: string = DEFAULT_CLUSTER_DOMAIN,
): ClusterFacts {
  const locality = mesh.localityLbSetting;
  return {
    connectTimeout: mesh.connectTimeout ?? '10s',
    dnsRefreshRate: mesh.dnsRefreshRate ?? '60s',
    autoMtls: mesh.enableAutoMtls ?? true,
    upgradesToHttp2: mesh.h2UpgradePolicy === 'UPGRADE',
    tcpKeepalive: mesh.tcpKeepalive,
    localityLb: locality?.enabled === false ? undefined : (locality ?? { enabled: true }),
    zoneAwareLb: mesh.zoneAwareLbSetting,
    defaultConnectionPool: mesh.defaultTrafficPolicy?.connectionPool,
    defaultOutlierDetection: mesh.defaultTrafficPolicy?.outlierDetection,
    tlsCipherSuites: mesh.tlsDefaults?.cipherSuites ?? [],
    tlsEcdhCurves: mesh.tlsDefaults?.ecdhCurves ?? [],
    preserveHeaderCase: mesh.defaultConfig?.proxyHeaders?.preserveHttp1HeaderCase ?? false,
    statName: mesh.outboundClusterStatName ?? '',
    clusterLocal: clusterLocalHosts(mesh, clusterDomain),
    flags: clusterFlags(flags),
  };
}

function clusterFlags(flags: MeshFlags): ClusterFlags {
  const { autoSendUnhealthyEndpoints, sendUnhealthyEndpoints, edsForHeadlessServices } = flags;
  const { localityWeightedLb, dualStack, dnsJitterMs, redisFilter, noRemainingMetrics } = flags;
  const { ruleTlsForExternal, compliance } = flags;
  return {
    autoSendUnhealthyEndpoints,
    sendUnhealthyEndpoints,
    edsForHeadlessServices,
    localityWeightedLb,
    dualStack,
    dnsJitterMs,
    redisFilter,
    noRemainingMetrics,
    ruleTlsForExternal,
    compliance,
  };
}

function orEverybody(exportTo: readonly string[] | undefined): readonly string[] {
  return exportTo === undefined || exportTo.length === 0 ? EVERYBODY : exportTo;
}
