/**
 * Clusters that sidecars have whatever the mesh holds: one that sends connections on to where they were going, one that sends
 * them nowhere, and one that looks up unknown hosts by name where mesh config says so. Source: Istio pilot/pkg/networking/core/cluster_builder.go.
 */
import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { ClusterFacts } from '#model/mesh-facts.ts';
import type { Viewer } from '#scope/viewer.ts';
import { ClusterConfigSchema } from '#proto/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts';
import {
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_LbPolicy as LbPolicy,
  type Cluster,
  ClusterSchema,
} from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { HttpProtocolOptionsSchema } from '#proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import { durationFromMs } from '#xds/duration.ts';
import { packAny } from '#xds/encode.ts';
import { ANY_HOST_CLUSTER, BLACK_HOLE_CLUSTER, PASSTHROUGH_CLUSTER } from '#xds/names.ts';
import { parseDuration } from '#xds/routes/duration.ts';
import { circuitBreakers, connectionOptions } from './connection-pool.ts';
import { upstreamTls } from '#xds/tls/upstream-settings.ts';
import { buildUpstreamTls } from '#xds/tls/upstream-tls.ts';
import { anyHostDnsCache, dynamicCluster } from './dns-cache.ts';
import { HTTP_PROTOCOL_OPTIONS, preserveCase, type RequestNames, requestNames } from './http-options.ts';

const IDLE_TIMEOUT_MS = 300_000;
/** Names that a proxy remembers. Source: PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS. */
const MAX_HOSTS = 1024;

/** What `PassthroughCluster` is made from. */
export interface PassthroughInput {
  readonly facts: ClusterFacts;
  readonly preservesHeaderCase: boolean;
}

/** Builds `PassthroughCluster`: to the original destination, in the protocol that came. */
export function buildPassthroughCluster({ facts, preservesHeaderCase }: PassthroughInput): Cluster {
  const pool = facts.defaultConnectionPool;
  const policy = pool === undefined ? {} : { connectionPool: pool };
  const connections = connectionOptions(policy, facts);
  return create(ClusterSchema, {
    name: PASSTHROUGH_CLUSTER,
    altStatName: `${PASSTHROUGH_CLUSTER};`,
    clusterDiscoveryType: { case: 'type', value: DiscoveryType.ORIGINAL_DST },
    connectTimeout: parseDuration(pool?.tcp?.connectTimeout ?? facts.connectTimeout),
    lbPolicy: LbPolicy.CLUSTER_PROVIDED,
    circuitBreakers: circuitBreakers(policy, facts),
    ...(connections === undefined ? {} : { upstreamConnectionOptions: connections }),
    typedExtensionProtocolOptions: { [HTTP_PROTOCOL_OPTIONS]: passthroughOptions(preservesHeaderCase) },
  });
}

/** What the cluster for hosts that nobody declared is made from. */
export interface AnyHostInput extends PassthroughInput {
  readonly ipFamilies: Viewer['ipFamilies'];
  readonly capturesDns: boolean;
}

/** Builds `AllowAnyDynamicDNSCluster`: to whatever host the request names, with TLS where the mesh config asks for it. */
export function buildAnyHostCluster(input: AnyHostInput): Cluster {
  const { facts } = input;
  const tls = upstreamTls({
    settings: facts.dynamicDns?.tls,
    autoMtls: false,
    meshExternal: true,
    serverMode: 'UNKNOWN',
    sni: '',
    identities: [],
    defaultSubjectAltNames: [],
    mayUseCredentials: false,
  });
  const names = tls && requestNames({ tls, discovery: 'DYNAMIC' });
  const config = create(ClusterConfigSchema, {
    clusterImplementationSpecifier: {
      case: 'dnsCacheConfig',
      value: anyHostDnsCache(input.ipFamilies, MAX_HOSTS, input.capturesDns),
    },
    allowInsecureClusterOptions: !(names?.autoSni && names.autoSanValidation),
  });
  const connections = connectionOptions({}, facts);
  return create(ClusterSchema, {
    name: ANY_HOST_CLUSTER,
    altStatName: `${ANY_HOST_CLUSTER};`,
    clusterDiscoveryType: dynamicCluster(config),
    connectTimeout: parseDuration(facts.connectTimeout),
    lbPolicy: LbPolicy.CLUSTER_PROVIDED,
    circuitBreakers: circuitBreakers({}, facts),
    ...(connections === undefined ? {} : { upstreamConnectionOptions: connections }),
    typedExtensionProtocolOptions: {
      [HTTP_PROTOCOL_OPTIONS]:
        names === undefined ? passthroughOptions(input.preservesHeaderCase) : tlsOptions(names),
    },
    ...(tls === undefined
      ? {}
      : {
          transportSocket: buildUpstreamTls({
            tls,
            isHttp2: false,
            cipherSuites: facts.tlsCipherSuites,
            ecdhCurves: facts.tlsEcdhCurves,
          }),
        }),
  });
}

/** The protocol that came, whichever it was. */
function passthroughOptions(preservesHeaderCase: boolean): Any {
  const options = create(HttpProtocolOptionsSchema, {
    commonHttpProtocolOptions: { idleTimeout: durationFromMs(IDLE_TIMEOUT_MS) },
    upstreamProtocolOptions: {
      case: 'useDownstreamProtocolConfig',
      value: { httpProtocolOptions: preservesHeaderCase ? preserveCase() : {}, http2ProtocolOptions: {} },
    },
  });
  return packAny(HttpProtocolOptionsSchema, options);
}

/** With TLS of its own, a cluster speaks HTTP/1.1 to whatever host there is. */
function tlsOptions(names: RequestNames): Any {
  const options = create(HttpProtocolOptionsSchema, {
    upstreamHttpProtocolOptions: { ...names },
    upstreamProtocolOptions: {
      case: 'explicitHttpConfig',
      value: { protocolConfig: { case: 'httpProtocolOptions', value: {} } },
    },
  });
  return packAny(HttpProtocolOptionsSchema, options);
}

/** Builds `BlackHoleCluster`: no endpoints, so whatever is sent there fails. */
export function buildBlackHoleCluster(facts: ClusterFacts): Cluster {
  return create(ClusterSchema, {
    name: BLACK_HOLE_CLUSTER,
    altStatName: `${BLACK_HOLE_CLUSTER};`,
    clusterDiscoveryType: { case: 'type', value: DiscoveryType.STATIC },
    connectTimeout: parseDuration(facts.connectTimeout),
  });
}
