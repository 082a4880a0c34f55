/**
 * Clusters from a sidecar to its own application: `inbound|PORT||`, and the pass-through for ports that no service
 * names. With captured traffic they go on to the original destination from 127.0.0.6, which the capture rules leave
 * alone; else to where mesh config, a Sidecar object or the mesh on one machine says that the application listens.
 * Source: istio pilot/pkg/networking/core/cluster_builder.go buildInboundCluster and buildInboundPassthroughCluster.
 */
import { create } from '@bufbuild/protobuf';
import { BindConfigSchema } from '#proto/envoy/config/core/v3/address_pb.ts';
import type { Cluster } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
} from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { HttpProtocolOptionsSchema } from '#proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import type { ClusterFacts } from '#model/mesh-facts.ts';
import type { InboundDestination, InboundPort } from '#scope/inbound.ts';
import type { IpFamilies } from '#scope/listener-facts.ts';
import { durationFromMs } from '#xds/duration.ts';
import { packAny } from '#xds/encode.ts';
import type { InitOf } from '#xds/message-init.ts';
import { METADATA_NAMESPACE } from '#xds/filters/peer-labels.ts';
import { listenAddress } from '#xds/listeners/listener-address.ts';
import { INBOUND_PASSTHROUGH_CLUSTER, inboundClusterName } from '#xds/names.ts';
import { parseDuration } from '#xds/routes/duration.ts';
import { circuitBreakers, connectionOptions } from './connection-pool.ts';
import { buildHttpOptions, HTTP_PROTOCOL_OPTIONS } from './http-options.ts';
import { buildPassthroughCluster } from './special-clusters.ts';
import { type PortPolicy, withMeshDefaults } from './traffic-policy.ts';

/** What all inbound clusters of a proxy depend on. */
export interface InboundClusterFacts {
  readonly meshFacts: ClusterFacts;
  readonly preservesHeaderCase: boolean;
  readonly ipFamilies: IpFamilies;
}

/** What one inbound cluster depends on. */
export interface InboundClusterInput extends InboundClusterFacts {
  readonly port: InboundPort;
  readonly dualStack: boolean;
}

type ClusterInit = InitOf<typeof ClusterSchema>;
type FilterMetadata = NonNullable<NonNullable<ClusterInit['metadata']>['filterMetadata']>;

/** Addresses that inbound connections are made from, so that capture rules can tell them apart. Istio's convention. */
const INBOUND_SOURCE = '127.0.0.6';
const INBOUND_SOURCE_IPV6 = '::6';
const LOCALHOSTS: readonly string[] = ['127.0.0.1', '::1'];
/** The longest that Envoy's ORIGINAL_DST hosts may live unused. */
const NEVER_CLEAN_MS = 9_223_372_035_000;

/** Builds `inbound|PORT||`. A sidecar sheds no load unless told to: that is the client's circuit breaker. */
export function buildInboundCluster(input: InboundClusterInput): Cluster {
  const { port, meshFacts } = input;
  const name = inboundClusterName(port.port);
  const policy = policyOf(port, meshFacts);
  const connections = connectionOptions(policy, meshFacts);
  const options = httpOptions(input, policy);
  return create(ClusterSchema, {
    name,
    altStatName: `${port.statName || name};`,
    connectTimeout: parseDuration(policy.connectionPool?.tcp?.connectTimeout ?? meshFacts.connectTimeout),
    circuitBreakers: circuitBreakers(policy, meshFacts),
    commonLbConfig: {},
    metadata: { filterMetadata: metadata(port) },
    ...destination(name, port.destination),
    ...(isLocal(port.destination)
      ? {}
      : { upstreamBindConfig: sourceAddress(input.ipFamilies, input.dualStack) }),
    ...(connections === undefined ? {} : { upstreamConnectionOptions: connections }),
    ...(options === undefined ? {} : { typedExtensionProtocolOptions: options }),
  });
}

/** Builds `InboundPassthroughCluster`: like the outbound one, from an address that is not captured again. */
export function buildInboundPassthroughCluster({
  meshFacts,
  preservesHeaderCase,
  ipFamilies,
}: InboundClusterFacts): Cluster {
  const cluster = buildPassthroughCluster({ facts: meshFacts, preservesHeaderCase });
  cluster.name = INBOUND_PASSTHROUGH_CLUSTER;
  cluster.upstreamBindConfig = create(BindConfigSchema, sourceAddress(ipFamilies, true));
  return cluster;
}

/** Limits alone: a mesh's or rule's other settings are for clients. */
function policyOf({ connectionPool }: InboundPort, meshFacts: ClusterFacts): PortPolicy {
  const { connectionPool: chosen } = withMeshDefaults(
    connectionPool === undefined ? {} : { connectionPool },
    meshFacts,
  );
  return chosen === undefined ? {} : { connectionPool: chosen };
}

/** All services for readers of Istio's configuration; the first one alone for our metrics, whose labels cannot read lists. */
function metadata({ services }: InboundPort): FilterMetadata {
  const facts = services.map(({ host, name, namespace }) => ({ host, name, namespace }));
  const [first] = facts;
  return { istio: { services: facts }, ...(first === undefined ? {} : { [METADATA_NAMESPACE]: first }) };
}

function destination(name: string, to: InboundDestination): ClusterInit {
  if (to.kind === 'original') {
    return {
      clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
      lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
      cleanupInterval: durationFromMs(NEVER_CLEAN_MS),
    };
  }
  const address =
    to.kind === 'address' ? listenAddress(to.address, to.port) : listenAddress(`unix://${to.path}`, 0);
  const hostIdentifier = { case: 'endpoint' as const, value: { address } };
  return {
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [{ hostIdentifier }] }] },
  };
}

/** What goes over the loopback is not captured; on one machine nothing is, and the application has such an address too. */
function isLocal(to: InboundDestination): boolean {
  return to.kind === 'address' && (LOCALHOSTS.includes(to.address) || to.address.startsWith('127.'));
}

function sourceAddress(families: IpFamilies, bothFamilies: boolean): InitOf<typeof BindConfigSchema> {
  const at = (address: string) => ({ address, portSpecifier: { case: 'portValue' as const, value: 0 } });
  const first = families === 'v6' ? INBOUND_SOURCE_IPV6 : INBOUND_SOURCE;
  const hasMore = families === 'dual' && bothFamilies;
  return {
    sourceAddress: at(first),
    ...(hasMore ? { extraSourceAddresses: [{ address: at(INBOUND_SOURCE_IPV6) }] } : {}),
  };
}

/** The application is spoken to as its port says, or as the client spoke. */
function httpOptions(
  { port, meshFacts, preservesHeaderCase }: InboundClusterInput,
  policy: PortPolicy,
): ClusterInit['typedExtensionProtocolOptions'] {
  const { http, tcp } = policy.connectionPool ?? {};
  // An upgrade to HTTP/2 is between proxies; the application did not agree to it.
  const { h2UpgradePolicy: _upgrade, ...ownHttp } = http ?? {};
  const connectionPool = {
    ...(http === undefined ? {} : { http: ownHttp }),
    ...(tcp === undefined ? {} : { tcp }),
  };
  const options = buildHttpOptions({
    policy: { connectionPool },
    protocol: port.protocol,
    discovery: 'EDS',
    tls: undefined,
    followsDownstreamProtocol: true,
    preservesHeaderCase,
    facts: { ...meshFacts, upgradesToHttp2: false },
  });
  if (options === undefined) return undefined;
  return { [HTTP_PROTOCOL_OPTIONS]: packAny(HttpProtocolOptionsSchema, options) };
}
