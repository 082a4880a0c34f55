/**
 * Mesh config: Istio's settings for the whole mesh, with Istio's defaults filled in, and the proxies' default config in
 * it. A user writes a part; it is laid over the defaults as istiod does. Rules are in mesh-config-rules.ts.
 * Source: istio 1.32-dev pkg/config/mesh/mesh.go (DefaultMeshConfig, ApplyMeshConfig, MergeProxyConfig).
 */
import { sortedBy } from '#base/bytes-order.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { type MeshConfigJson, MeshConfigSchema } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { type ProxyConfigJson, ProxyConfigSchema } from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';
import { Findings } from './findings.ts';
import { checkMeshConfig } from './mesh-config-rules.ts';
import { messageDecoder } from './schema-decode.ts';

/** A part of a mesh config, as users write it: proto3 JSON, normalised. */
export type MeshConfigPart = MeshConfigJson;
/** A part of the proxies' config: of mesh config's defaultConfig, or of the annotation proxy.istio.io/config. */
export type MeshProxyConfigPart = ProxyConfigJson;

/** The proxies' config with defaults; the listed fields are always there. */
export type MeshProxyConfig = MeshProxyConfigPart &
  Required<
    Pick<
      MeshProxyConfigPart,
      | 'configPath'
      | 'binaryPath'
      | 'drainDuration'
      | 'terminationDrainDuration'
      | 'discoveryAddress'
      | 'proxyAdminPort'
      | 'controlPlaneAuthPolicy'
      | 'statNameLength'
      | 'statusPort'
    >
  >;

/** A whole mesh config; the listed fields are always there. */
export type MeshConfig = Omit<MeshConfigPart, 'defaultConfig'> & {
  readonly defaultConfig: MeshProxyConfig;
} & Required<
    Pick<
      MeshConfigPart,
      | 'proxyListenPort'
      | 'proxyInboundListenPort'
      | 'connectTimeout'
      | 'protocolDetectionTimeout'
      | 'ingressClass'
      | 'ingressService'
      | 'ingressControllerMode'
      | 'enableTracing'
      | 'accessLogFile'
      | 'accessLogFormat'
      | 'accessLogEncoding'
      | 'outboundTrafficPolicy'
      | 'inboundTrafficPolicy'
      | 'enableAutoMtls'
      | 'trustDomain'
      | 'trustDomainAliases'
      | 'defaultServiceExportTo'
      | 'defaultVirtualServiceExportTo'
      | 'defaultDestinationRuleExportTo'
      | 'rootNamespace'
      | 'localityLbSetting'
      | 'dnsRefreshRate'
      | 'enablePrometheusMerge'
      | 'extensionProviders'
      | 'defaultProviders'
    >
  >;

const decodeMeshConfig = messageDecoder(MeshConfigSchema);
const decodeProxyConfig = messageDecoder(ProxyConfigSchema);

/** The proxies' config before anybody changed it. Source: DefaultProxyConfig. */
export function defaultMeshProxyConfig(): MeshProxyConfig {
  return {
    configPath: './etc/istio/proxy',
    binaryPath: '/usr/local/bin/envoy',
    serviceCluster: 'istio-proxy',
    drainDuration: '45s',
    terminationDrainDuration: '5s',
    discoveryAddress: 'istiod.istio-system.svc:15012',
    proxyAdminPort: 15000,
    controlPlaneAuthPolicy: 'MUTUAL_TLS',
    statNameLength: 189,
    statusPort: 15020,
  };
}

/** Mesh config before anybody changed it. Source: DefaultMeshConfig. */
export function defaultMeshConfig(): MeshConfig {
  return {
    proxyListenPort: 15001,
    proxyInboundListenPort: 15006,
    connectTimeout: '10s',
    protocolDetectionTimeout: '0s',
    ingressClass: 'istio',
    ingressService: 'istio-ingressgateway',
    ingressControllerMode: 'STRICT',
    enableTracing: true,
    accessLogFile: '',
    accessLogFormat: '',
    accessLogEncoding: 'TEXT',
    outboundTrafficPolicy: { mode: 'ALLOW_ANY' },
    inboundTrafficPolicy: { mode: 'PASSTHROUGH' },
    enableAutoMtls: true,
    trustDomain: 'cluster.local',
    trustDomainAliases: [],
    defaultServiceExportTo: ['*'],
    defaultVirtualServiceExportTo: ['*'],
    defaultDestinationRuleExportTo: ['*'],
    rootNamespace: 'istio-system',
    localityLbSetting: { enabled: true },
    // Used where a DNS query failed; where it succeeded, the answer's time to live decides.
    dnsRefreshRate: '60s',
    enablePrometheusMerge: true,
    extensionProviders: [
      { name: 'prometheus', prometheus: {} },
      { name: 'stackdriver', stackdriver: {} },
      { name: 'envoy', envoyFileAccessLog: { path: '/dev/stdout' } },
    ],
    defaultProviders: {},
    defaultConfig: defaultMeshProxyConfig(),
  };
}

/**
 * Reads a user's part of mesh config (a plain value from YAML) and lays it over `base`. Fields with errors are left
 * out of the result, so that the rest works; whether to use it at all is the caller's choice.
 */
export function parseMeshConfig(
  value: unknown,
  base: MeshConfig = defaultMeshConfig(),
): { readonly config: MeshConfig; readonly diagnostics: readonly Diagnostic[] } {
  const findings = new Findings();
  const part = value === undefined || value === null ? {} : decodeMeshConfig(value, '', findings);
  const config = mergeMeshConfig(base, (part ?? {}) as MeshConfigPart);
  checkMeshConfig(config, '', findings);
  return { config, diagnostics: findings.all };
}

/** Reads a part of the proxies' config, for example from the annotation proxy.istio.io/config. */
export function parseMeshProxyConfig(
  value: unknown,
  path: string,
  findings: Findings,
): MeshProxyConfigPart | undefined {
  return decodeProxyConfig(value, path, findings) as MeshProxyConfigPart | undefined;
}

/** Findings about a whole mesh config as it stands, without defaults laid under it. */
export function validateMeshConfig(value: unknown): readonly Diagnostic[] {
  const findings = new Findings();
  const config = decodeMeshConfig(value, '', findings);
  if (config !== undefined) checkMeshConfig(config as MeshConfigPart, '', findings);
  return findings.all;
}

/**
 * Lays a part over a mesh config: its fields replace those of `base` whole, but defaultConfig and defaultProviders are
 * merged field by field, extensionProviders by name, and trustDomainAliases are united.
 */
export function mergeMeshConfig(base: MeshConfig, part: MeshConfigPart): MeshConfig {
  const {
    defaultConfig = {},
    defaultProviders = {},
    extensionProviders = [],
    trustDomainAliases = [],
    ...rest
  } = part;
  const aliases = new Set([...base.trustDomainAliases, ...trustDomainAliases]);
  const providers = new Map(
    base.extensionProviders.map((provider) => [provider.name ?? '', provider] as const),
  );
  for (const provider of extensionProviders) providers.set(provider.name ?? '', provider);
  return {
    ...base,
    ...rest,
    defaultConfig: mergeMeshProxyConfig(base.defaultConfig, defaultConfig),
    defaultProviders: { ...base.defaultProviders, ...defaultProviders },
    extensionProviders: [...providers.values()],
    trustDomainAliases: sortedBy(aliases, (alias) => alias),
  };
}

/** Entries of proxyHeaders that stay where a part has others; the rest is replaced. Source: correctProxyHeaders. */
const KEPT_HEADERS = [
  'forwardedClientCert',
  'requestId',
  'attemptCount',
  'server',
  'envoyDebugHeaders',
] as const;

/**
 * Lays a part over the proxies' config: its fields replace those of `base` whole, but proxyMetadata and most of proxyHeaders
 * are merged entry by entry. serviceCluster and tracingServiceName exclude each other. Source: MergeProxyConfig.
 */
export function mergeMeshProxyConfig<T extends MeshProxyConfigPart>(base: T, part: MeshProxyConfigPart): T {
  const merged: MeshProxyConfigPart = { ...base, ...part };
  if (part.tracingServiceName !== undefined) delete merged.serviceCluster;
  if (part.serviceCluster !== undefined) delete merged.tracingServiceName;
  if (base.proxyMetadata !== undefined && part.proxyMetadata !== undefined) {
    merged.proxyMetadata = { ...base.proxyMetadata, ...part.proxyMetadata };
  }
  if (base.proxyHeaders !== undefined && part.proxyHeaders !== undefined) {
    const kept = KEPT_HEADERS.filter((name) => base.proxyHeaders?.[name] !== undefined);
    merged.proxyHeaders = {
      ...Object.fromEntries(kept.map((name) => [name, base.proxyHeaders?.[name]])),
      ...part.proxyHeaders,
    };
  }
  return merged as T;
}
