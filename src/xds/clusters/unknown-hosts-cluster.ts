/**
 * The cluster behind outbound policy ALLOW_ANY_DYNAMIC_DNS: requests for hosts that no service has go to the address that DNS has
 * for them, whatever address the application dialled. Source: istio cluster_builder.go buildAllowAnyDFPCluster.
 */
import { create } from '@bufbuild/protobuf';
import type { ClientTlsSettings } from '#api/destination-rule.ts';
import type { Interner } from '#collections/interner.ts';
import { type ClusterFacts, MESH_KEY } from '#model/mesh-facts.ts';
import type { SecretServers } from '#model/secret-servers.ts';
import {
  type Cluster,
  Cluster_LbPolicy as LbPolicy,
  ClusterSchema,
} from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterConfigSchema } from '#proto/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts';
import { HttpProtocolOptionsSchema } from '#proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import { durationFromMs } from '#xds/duration.ts';
import { encodeResource, packAny } from '#xds/encode.ts';
import { UNKNOWN_HOSTS_CLUSTER } from '#xds/names.ts';
import { type Resource, type ResourceEntry, TYPE_CLUSTER } from '#xds/resource.ts';
import { parseDuration } from '#xds/routes/duration.ts';
import { upstreamTls } from '#xds/tls/upstream-settings.ts';
import { buildUpstreamTls } from '#xds/tls/upstream-tls.ts';
import { circuitBreakers } from './connection-pool.ts';
import { dynamicCluster, unknownHostsCache, type UnknownHostsLookup } from './dns-cache.ts';
import { HTTP_PROTOCOL_OPTIONS } from './http-options.ts';

export interface UnknownHostsInput {
  readonly meshFacts: ClusterFacts;
  readonly lookup: UnknownHostsLookup;
  /** TLS towards these hosts, outboundTrafficPolicy.tls of mesh config. */
  readonly tls: ClientTlsSettings | undefined;
  readonly secretServers: SecretServers;
}

const IDLE_TIMEOUT_MS = 300_000;

/** The cluster as a resource. */
export function unknownHostsCluster(interner: Interner, input: UnknownHostsInput): ResourceEntry {
  const resource = interner.intern('unknownHostsCluster', input, encode);
  return {
    resource,
    causes: [{ kind: 'MeshConfig', namespace: '', name: MESH_KEY, path: 'outboundTrafficPolicy' }],
  };
}

function encode(input: UnknownHostsInput): Resource {
  return encodeResource(ClusterSchema, buildUnknownHostsCluster(input), TYPE_CLUSTER, UNKNOWN_HOSTS_CLUSTER);
}

/** Builds `AllowAnyDynamicDNSCluster`. */
export function buildUnknownHostsCluster({
  meshFacts,
  lookup,
  tls: settings,
  secretServers,
}: UnknownHostsInput): Cluster {
  const tls = upstreamTls({
    settings,
    autoMtls: false,
    meshExternal: true,
    serverMode: 'UNKNOWN',
    sni: '',
    identities: [],
    defaultSubjectAltNames: [],
    mounted: undefined,
    prefersRule: true,
    mayUseCredentials: false,
    secretServers,
  });
  const config = create(ClusterConfigSchema, {
    clusterImplementationSpecifier: { case: 'dnsCacheConfig', value: unknownHostsCache(lookup) },
    // Without TLS there is no certificate whose name could be checked.
    allowInsecureClusterOptions: tls === undefined,
  });
  const options = create(HttpProtocolOptionsSchema, {
    commonHttpProtocolOptions: { idleTimeout: durationFromMs(IDLE_TIMEOUT_MS) },
    ...(tls === undefined ? {} : { upstreamHttpProtocolOptions: { autoSni: true, autoSanValidation: true } }),
    upstreamProtocolOptions: {
      case: 'useDownstreamProtocolConfig',
      value: { httpProtocolOptions: {}, http2ProtocolOptions: {} },
    },
  });
  const { tlsCipherSuites: cipherSuites, tlsEcdhCurves: ecdhCurves, flags } = meshFacts;
  const { compliance } = flags;
  return create(ClusterSchema, {
    name: UNKNOWN_HOSTS_CLUSTER,
    altStatName: `${UNKNOWN_HOSTS_CLUSTER};`,
    lbPolicy: LbPolicy.CLUSTER_PROVIDED,
    clusterDiscoveryType: dynamicCluster(config),
    connectTimeout: parseDuration(meshFacts.connectTimeout),
    circuitBreakers: circuitBreakers({}),
    typedExtensionProtocolOptions: { [HTTP_PROTOCOL_OPTIONS]: packAny(HttpProtocolOptionsSchema, options) },
    ...(tls === undefined
      ? {}
      : { transportSocket: buildUpstreamTls({ tls, isHttp2: false, cipherSuites, ecdhCurves, compliance }) }),
  });
}
