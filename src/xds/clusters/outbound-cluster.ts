/**
 * One outbound cluster: for a service port, or a subset of it. A pure function of its input.
 * Source: Istio pilot/pkg/networking/core/cluster_builder.go buildCluster, applyDestinationRule, buildSubsetCluster.
 */
import { create } from '@bufbuild/protobuf';
import { statName } from '#model/stat-name.ts';
import {
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_DnsLookupFamily as DnsLookupFamily,
  type Cluster,
  ClusterSchema,
} from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterConfigSchema } from '#proto/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts';
import { HttpProtocolOptionsSchema } from '#proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import { ALPN_METADATA_KEY, MESH_HTTP_ALPN_VALUES } from '#xds/filters/alpn.ts';
import { adsConfigSource } from '#xds/config-source.ts';
import { durationFromMs } from '#xds/duration.ts';
import { encodeResource, packAny } from '#xds/encode.ts';
import { type Resource, TYPE_CLUSTER } from '#xds/resource.ts';
import { buildLoadAssignment } from '#xds/endpoints/load-assignment.ts';
import { parseDuration } from '#xds/routes/duration.ts';
import {
  behindProxyProtocol,
  buildUpstreamTls,
  meshOrPlain,
  plainSocket,
  upstreamSecrets,
} from '#xds/tls/upstream-tls.ts';
import type { ClusterInput } from './cluster-input.ts';
import { circuitBreakers, connectionOptions, outlierDetection } from './connection-pool.ts';
import { dnsLookupFamily, dynamicCluster, wildcardDnsCache } from './dns-cache.ts';
import { buildHttpOptions, HTTP_PROTOCOL_OPTIONS, httpVersion, requestNames } from './http-options.ts';
import { commonLoadBalancing, loadBalancer } from './load-balancer.ts';
import type { InitOf } from '#xds/message-init.ts';

type ClusterInit = InitOf<typeof ClusterSchema>;

/** Builds and encodes the cluster, and notes which secrets it asks the control plane for. */
export function encodeCluster(input: ClusterInput): Resource {
  const resource = encodeResource(ClusterSchema, buildOutboundCluster(input), TYPE_CLUSTER, input.name);
  const secrets = upstreamSecrets(input.tls);
  return secrets.length === 0 ? resource : { ...resource, secrets };
}

/** Builds the cluster. */
export function buildOutboundCluster(input: ClusterInput): Cluster {
  const { policy, facts } = input;
  const httpOptions = buildHttpOptions(input);
  const outliers = outlierDetection(policy.outlierDetection);
  const connections = connectionOptions(policy, facts);
  const commonLb = commonLoadBalancing(input);
  const cluster = create(ClusterSchema, {
    name: input.name,
    // The ';' ends the name in statistics: Istio's tag extraction looks for it.
    altStatName: `${altStatName(input)};`,
    ...discovery(input),
    connectTimeout: parseDuration(policy.connectionPool?.tcp?.connectTimeout ?? facts.connectTimeout),
    ...loadBalancer(input),
    circuitBreakers: circuitBreakers(policy, facts),
    ...(commonLb === undefined ? {} : { commonLbConfig: commonLb }),
    ...(outliers === undefined ? {} : { outlierDetection: outliers }),
    ...(connections === undefined ? {} : { upstreamConnectionOptions: connections }),
    metadata: { filterMetadata: metadata(input) },
  });
  if (httpOptions !== undefined) {
    cluster.typedExtensionProtocolOptions[HTTP_PROTOCOL_OPTIONS] = packAny(
      HttpProtocolOptionsSchema,
      httpOptions,
    );
  }
  setTransport(cluster, input);
  return cluster;
}

/** The name in statistics, after the mesh's pattern if there is one. */
function altStatName({ name, service, subset, port, facts, discovery: kind }: ClusterInput): string {
  if (facts.statName === '' || kind === 'DYNAMIC') return name;
  return statName(facts.statName, { service, subset, port, targetPort: 0 });
}

function discovery(input: ClusterInput): ClusterInit {
  switch (input.discovery) {
    case 'EDS':
      return {
        clusterDiscoveryType: { case: 'type', value: DiscoveryType.EDS },
        edsClusterConfig: { serviceName: input.name, edsConfig: adsConfigSource() },
      };
    case 'ORIGINAL_DST':
      return { clusterDiscoveryType: { case: 'type', value: DiscoveryType.ORIGINAL_DST } };
    case 'DYNAMIC':
      return dynamicDiscovery(input);
    default:
      return dnsDiscovery(input);
  }
}

function dnsDiscovery(input: ClusterInput): ClusterInit {
  return {
    clusterDiscoveryType: {
      case: 'type',
      value: DiscoveryType[input.discovery as 'STRICT_DNS' | 'LOGICAL_DNS'],
    },
    dnsLookupFamily: input.racesConnections ? DnsLookupFamily.ALL : dnsLookupFamily(input.ipFamilies),
    dnsRefreshRate: parseDuration(input.facts.dnsRefreshRate),
    dnsJitter: durationFromMs(input.facts.flags.dnsJitterMs),
    respectDnsTtl: true,
    loadAssignment: buildLoadAssignment({ clusterName: input.name, groups: input.endpoints }),
  };
}

/** Resolves the host of each request; the cache is shared by name with the filter that starts the look-up. */
function dynamicDiscovery(input: ClusterInput): ClusterInit {
  const names = requestNames(input);
  const config = create(ClusterConfigSchema, {
    clusterImplementationSpecifier: {
      case: 'dnsCacheConfig',
      value: wildcardDnsCache(input.service.host, input.ipFamilies),
    },
    // Envoy wants both names to follow the request, unless it is told that the user wants otherwise.
    allowInsecureClusterOptions: names !== undefined && !(names.autoSni && names.autoSanValidation),
  });
  return { clusterDiscoveryType: dynamicCluster(config) };
}

/** TLS for all endpoints, or for those that accept mesh mTLS; PROXY protocol goes outermost. */
function setTransport(cluster: Cluster, input: ClusterInput): void {
  const { tls, facts } = input;
  if (tls !== undefined) {
    const isHttp2 = httpVersion(input) === 'http2';
    const socket = buildUpstreamTls({
      tls,
      isHttp2,
      cipherSuites: facts.tlsCipherSuites,
      ecdhCurves: facts.tlsEcdhCurves,
      compliance: facts.flags.compliance,
    });
    // With ORIGINAL_DST there is no endpoint metadata to choose by: auto mTLS was decided for all endpoints together.
    const isPerEndpoint = tls.kind === 'mesh' && tls.isAuto && input.discovery !== 'ORIGINAL_DST';
    if (isPerEndpoint) cluster.transportSocketMatches = meshOrPlain(socket);
    else cluster.transportSocket = socket;
  }
  const { proxyProtocol } = input.policy;
  if (proxyProtocol === undefined) return;
  const version = proxyProtocol.version ?? 'V1';
  for (const match of cluster.transportSocketMatches) {
    match.transportSocket = behindProxyProtocol(match.transportSocket ?? plainSocket(), version);
  }
  if (cluster.transportSocketMatches.length > 0) return;
  cluster.transportSocket = behindProxyProtocol(cluster.transportSocket ?? plainSocket(), version);
}

type FilterMetadata = NonNullable<NonNullable<ClusterInit['metadata']>['filterMetadata']>;

/** What telemetry and tools read: `istio` as Istio has it, `lateen` with one key per label. */
function metadata(input: ClusterInput): FilterMetadata {
  const { host, name, namespace } = input.service;
  const isUserTls = input.tls?.kind === 'user' && !input.tls.isMesh;
  return {
    istio: {
      services: [{ host, name, namespace }],
      ...(input.subset === '' ? {} : { subset: input.subset }),
      ...(input.meshExternal ? { external: true } : {}),
      ...(isUserTls ? { alpn_override: 'false' } : {}),
    },
    lateen: { host, name, namespace, ...meshAlpn(input) },
  };
}

/** The names by which the called sidecar knows what mesh mTLS carries; said only where mesh mTLS may be spoken. */
function meshAlpn(input: ClusterInput): Record<string, string> {
  if (input.tls === undefined || (input.tls.kind === 'user' && !input.tls.isMesh)) return {};
  const version = httpVersion(input);
  return { [ALPN_METADATA_KEY]: MESH_HTTP_ALPN_VALUES[version === 'none' ? 'http1' : version] };
}
