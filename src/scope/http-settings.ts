/**
 * How a proxy's HTTP connection managers are set up, as one plain record: out of mesh config, the proxy's own ProxyConfig, its node
 * metadata and the flags. Nearly all proxies of a mesh have the same. Pure; costs a walk over the settings.
 * Source: istio pilot/pkg/networking/util/proxy_headers.go, core/connection_settings.go, core/listener_builder.go.
 */
import type { MeshFlags } from '#model/mesh-flags.ts';
import type { AddressBlock } from '#model/network.ts';
import type { NodeTraits, ProxyType } from '#model/proxy.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type {
  ForwardClientCertDetailsJson,
  ProxyConfig_ConnectionSettingsJson,
  ProxyConfig_ProxyHeadersJson,
  ProxyConfigJson,
} from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';

/** Path normalisation of MeshConfig. Source: istio MeshConfig.ProxyPathNormalization. */
export type PathNormalization = 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES';

/** What becomes of x-forwarded-client-cert; the names are Envoy's too. */
export type ClientCertForwarding = Exclude<ForwardClientCertDetailsJson, 'UNDEFINED'>;

/** Limits and timeouts of client connections, ProxyConfig.connectionSettings with the profile's defaults in it. */
export type ConnectionSettings = Omit<ProxyConfig_ConnectionSettingsJson, 'profile'>;

export interface HttpSettings {
  readonly pathNormalization: PathNormalization;
  readonly acceptHttp10: boolean;
  readonly preserveHeaderCase: boolean;
  readonly proxy100Continue: boolean;
  /** Outbound sidecar listeners only. */
  readonly useRemoteAddress: boolean;
  /** Node metadata IDLE_TIMEOUT; 0 when unset. */
  readonly idleTimeoutMs: number;
  /** Name in the `server` header of answers; '' for Istio's. */
  readonly serverName: string;
  /** The application's own `server` header stays. */
  readonly keepServerHeader: boolean;
  readonly generateRequestId: boolean;
  readonly suppressDebugHeaders: boolean;
  readonly appendForwardedPort: boolean;
  /** Facts about the caller go along within the mesh only. */
  readonly peerFactsInMeshOnly: boolean;
  /** Routes may keep a session with one endpoint; outbound and gateway listeners only. */
  readonly persistentSessions: boolean;
  /** Sidecars' inbound listeners only. */
  readonly clientCertForwarding: ClientCertForwarding;
  /** What of the certificate goes into the header. */
  readonly clientCertParts: {
    readonly subject: boolean;
    readonly uri: boolean;
    readonly dns: boolean;
    readonly cert: boolean;
    readonly chain: boolean;
  };
  readonly connections: ConnectionSettings;
  /** Callers from there are internal, where the connection manager looks at their address. */
  readonly internalBlocks: readonly AddressBlock[];
  /** They are in all connection managers. */
  readonly alwaysInternal: boolean;
}

/** What the settings come from. */
export interface HttpSettingsSources {
  readonly mesh: MeshConfigJson;
  /** Blocks of the mesh's networks. */
  readonly internalBlocks: readonly AddressBlock[];
  readonly flags: MeshFlags;
  readonly traits: NodeTraits;
  readonly type: ProxyType;
  /** The config that the proxy was started with. */
  readonly config: ProxyConfigJson;
}

/** The settings of one proxy. */
export function httpSettings(sources: HttpSettingsSources): HttpSettings {
  const { mesh, flags, traits, config } = sources;
  const headers = config.proxyHeaders ?? {};
  const normalization = mesh.pathNormalization?.normalization ?? 'DEFAULT';
  const forwarding = headers.forwardedClientCert ?? 'UNDEFINED';
  const { subject, uri, dns, cert, chain } = headers.setCurrentClientCertDetails ?? {};
  return {
    pathNormalization: normalization === 'DEFAULT' ? 'BASE' : normalization,
    acceptHttp10: flags.http10 || traits.http10,
    preserveHeaderCase: headers.preserveHttp1HeaderCase ?? false,
    proxy100Continue: flags.continueHeaders,
    useRemoteAddress: flags.sidecarUsesRemoteAddress,
    idleTimeoutMs: traits.idleTimeoutMs,
    ...serverHeader(headers),
    generateRequestId: headers.requestId?.disabled !== true,
    suppressDebugHeaders: headers.envoyDebugHeaders?.disabled === true,
    appendForwardedPort: headers.xForwardedPort?.enabled === true,
    peerFactsInMeshOnly: headers.metadataExchangeHeaders?.mode === 'IN_MESH',
    persistentSessions: flags.persistentSessions,
    clientCertForwarding: forwarding === 'UNDEFINED' ? 'APPEND_FORWARD' : forwarding,
    clientCertParts: {
      subject: subject ?? true,
      uri: uri ?? true,
      dns: dns ?? true,
      cert: cert ?? false,
      chain: chain ?? false,
    },
    internalBlocks: sources.internalBlocks,
    alwaysInternal: flags.internalNetworks,
    connections: connectionSettings(
      config.connectionSettings ?? mesh.defaultConfig?.connectionSettings,
      sources.type,
    ),
  };
}

function serverHeader(
  headers: ProxyConfig_ProxyHeadersJson,
): Pick<HttpSettings, 'serverName' | 'keepServerHeader'> {
  const { server } = headers;
  if (server?.disabled === true) return { serverName: '', keepServerHeader: true };
  return { serverName: server?.value ?? '', keepServerHeader: false };
}

/** Envoy's advice for proxies at the edge of the mesh, for what a user left open. Source: istio applyEdgeProfileDefaults. */
const EDGE_DEFAULTS: ConnectionSettings = {
  listenerPerConnectionBufferLimitBytes: 32_768,
  httpIdleTimeout: '3600s',
  httpStreamIdleTimeout: '300s',
  httpRequestTimeout: '300s',
  httpRequestHeadersTimeout: '60s',
  httpMaxConcurrentStreams: 100,
  http2InitialStreamWindowSize: 65_536,
  http2InitialConnectionWindowSize: 1_048_576,
  httpHeadersWithUnderscoresAction: 'HEADERS_WITH_UNDERSCORES_REJECT_REQUEST',
  httpMergeSlashes: true,
  httpPathWithEscapedSlashesAction: 'UNESCAPE_AND_REDIRECT',
};

function connectionSettings(
  settings: ProxyConfig_ConnectionSettingsJson | undefined,
  type: ProxyType,
): ConnectionSettings {
  if (settings === undefined) return {};
  const { profile, ...own } = settings;
  const written = Object.fromEntries(
    Object.entries(own).filter(([, value]) => !String(value).endsWith('_UNSPECIFIED')),
  );
  return profile === 'EDGE' && type === 'router' ? { ...EDGE_DEFAULTS, ...written } : written;
}
