/**
 * Clusters from a sidecar to its own application: `inbound|PORT||`, and the pass-through for ports that no service
 * names. With captured traffic they go on to the original destination from 127.0.0.6, which the capture rules leave
 * alone; where the proxy binds the workload's address they go to the application's address.
 * Source: istio pilot/pkg/networking/core/cluster_builder.go buildInboundCluster and buildInboundPassthroughCluster.
 */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Cluster } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
} from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { HttpProtocolOptionsSchema } from '#proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import type { InboundPort } from '#scope/inbound.ts';
import { socketAddress } from '#xds/address.ts';
import { durationFromMs } from '#xds/duration.ts';
import { packAny } from '#xds/encode.ts';
import { METADATA_NAMESPACE } from '#xds/filters/peer-labels.ts';
import { INBOUND_PASSTHROUGH_CLUSTER, inboundClusterName } from '#xds/names.ts';

/** What an inbound cluster depends on. */
export interface InboundClusterInput {
  readonly port: InboundPort;
  /** The application's address under interception NONE, '' when traffic is captured. */
  readonly appAddress: string;
  readonly connectTimeoutMs: number;
}

type ClusterInit = MessageInitShape<typeof ClusterSchema>;
type FilterMetadata = NonNullable<NonNullable<ClusterInit['metadata']>['filterMetadata']>;

/** Address that inbound connections are made from, so that capture rules can tell them apart. Istio's convention. */
const INBOUND_SOURCE = '127.0.0.6';
const UNLIMITED = 0xffff_ffff;
/** The longest that Envoy's ORIGINAL_DST hosts may live unused. */
const NEVER_CLEAN_MS = 9_223_372_035_000;

/** Builds `inbound|PORT||`. */
export function buildInboundCluster(input: InboundClusterInput): Cluster {
  const name = inboundClusterName(input.port.port);
  const cluster = create(ClusterSchema, {
    name,
    altStatName: `${name};`,
    connectTimeout: durationFromMs(input.connectTimeoutMs),
    circuitBreakers: unlimitedBreakers(),
    commonLbConfig: {},
    metadata: { filterMetadata: metadata(input.port) },
  });
  setDestination(cluster, input);
  const options = upstreamProtocol(input.port.protocol);
  if (options !== undefined) cluster.typedExtensionProtocolOptions = httpOptions(options);
  return cluster;
}

/** Builds `InboundPassthroughCluster`. */
export function buildInboundPassthroughCluster(connectTimeoutMs: number): Cluster {
  return create(ClusterSchema, {
    name: INBOUND_PASSTHROUGH_CLUSTER,
    altStatName: 'PassthroughCluster;',
    connectTimeout: durationFromMs(connectTimeoutMs),
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    circuitBreakers: unlimitedBreakers(),
    upstreamBindConfig: {
      sourceAddress: { address: INBOUND_SOURCE, portSpecifier: { case: 'portValue', value: 0 } },
    },
    typedExtensionProtocolOptions: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': packAny(
        HttpProtocolOptionsSchema,
        create(HttpProtocolOptionsSchema, {
          commonHttpProtocolOptions: { idleTimeout: durationFromMs(300_000) },
          upstreamProtocolOptions: AS_DOWNSTREAM,
        }),
      ),
    },
  });
}

/** All services for readers of Istio's configuration; the first one alone for our metrics, whose labels cannot read lists. */
function metadata({ services }: InboundPort): FilterMetadata {
  const facts = services.map(({ host, name, namespace }) => ({ host, name, namespace }));
  const [first] = facts;
  return { istio: { services: facts }, ...(first === undefined ? {} : { [METADATA_NAMESPACE]: first }) };
}

function setDestination(cluster: Cluster, input: InboundClusterInput): void {
  if (input.appAddress === '') {
    cluster.clusterDiscoveryType = { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST };
    cluster.lbPolicy = Cluster_LbPolicy.CLUSTER_PROVIDED;
    cluster.cleanupInterval = durationFromMs(NEVER_CLEAN_MS);
    cluster.upstreamBindConfig = create(ClusterSchema, {
      upstreamBindConfig: {
        sourceAddress: { address: INBOUND_SOURCE, portSpecifier: { case: 'portValue', value: 0 } },
      },
    }).upstreamBindConfig;
    return;
  }
  cluster.clusterDiscoveryType = { case: 'type', value: Cluster_DiscoveryType.STATIC };
  cluster.loadAssignment = create(ClusterSchema, {
    loadAssignment: {
      clusterName: cluster.name,
      endpoints: [
        {
          lbEndpoints: [
            {
              hostIdentifier: {
                case: 'endpoint',
                value: { address: socketAddress(input.appAddress, input.port.appPort) },
              },
            },
          ],
        },
      ],
    },
  }).loadAssignment;
}

/** A sidecar never sheds its own application's load: that is the client's circuit breaker. */
function unlimitedBreakers(): NonNullable<Cluster['circuitBreakers']> {
  const limits = {
    maxConnections: UNLIMITED,
    maxPendingRequests: UNLIMITED,
    maxRequests: UNLIMITED,
    maxRetries: UNLIMITED,
  };
  return create(ClusterSchema, { circuitBreakers: { thresholds: [limits] } }).circuitBreakers!;
}

type UpstreamProtocol = NonNullable<
  MessageInitShape<typeof HttpProtocolOptionsSchema>['upstreamProtocolOptions']
>;

/** The application is spoken to as the client spoke. */
const AS_DOWNSTREAM: UpstreamProtocol = {
  case: 'useDownstreamProtocolConfig',
  value: { httpProtocolOptions: {}, http2ProtocolOptions: {} },
};
const HTTP2: UpstreamProtocol = {
  case: 'explicitHttpConfig',
  value: { protocolConfig: { case: 'http2ProtocolOptions', value: {} } },
};

function upstreamProtocol(protocol: InboundPort['protocol']): UpstreamProtocol | undefined {
  if (protocol === 'Unsupported') return AS_DOWNSTREAM;
  return protocol === 'HTTP2' || protocol === 'GRPC' || protocol === 'GRPCWeb' ? HTTP2 : undefined;
}

function httpOptions(upstreamProtocolOptions: UpstreamProtocol): Cluster['typedExtensionProtocolOptions'] {
  const options = create(HttpProtocolOptionsSchema, { upstreamProtocolOptions });
  return {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': packAny(HttpProtocolOptionsSchema, options),
  };
}
