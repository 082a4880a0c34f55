/**
 * Clusters for gRPC libraries: endpoints over EDS, and of a DestinationRule what the libraries know: load balancing, the
 * limit on requests, mTLS where a rule asks for it.
 * Source: Istio pilot/pkg/networking/grpcgen/cds.go; gRFC A27, A32, A42, A52.
 */
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { LoadBalancerSettings } from '#api/destination-rule.ts';
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy as LbPolicy,
  ClusterSchema,
} from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { LeastRequestSchema } from '#proto/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.ts';
import { RoundRobinSchema } from '#proto/envoy/extensions/load_balancing_policies/round_robin/v3/round_robin_pb.ts';
import { WrrLocalitySchema } from '#proto/envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality_pb.ts';
import { adsConfigSource } from '#xds/config-source.ts';
import { encodeResource, packAny } from '#xds/encode.ts';
import type { InitOf } from '#xds/message-init.ts';
import { type Resource, TYPE_CLUSTER } from '#xds/resource.ts';
import { clientTransportSocket } from './grpc-tls.ts';

export interface GrpcClusterInput {
  readonly name: string;
  readonly loadBalancer: LoadBalancerSettings | undefined;
  /** 0 where no rule limits them. */
  readonly maxRequests: number;
  /** SPIFFE ids of the servers; undefined where no rule asks for mTLS. */
  readonly identities: readonly string[] | undefined;
}

type ClusterInit = InitOf<typeof ClusterSchema>;

const DEFAULT_RING_SIZE = 1_024;

/** Builds and encodes the cluster. */
export function encodeGrpcCluster(input: GrpcClusterInput): Resource {
  const { name, maxRequests, identities } = input;
  const cluster = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { serviceName: name, edsConfig: adsConfigSource() },
    ...balancing(input.loadBalancer),
    ...(maxRequests === 0 ? {} : { circuitBreakers: { thresholds: [{ maxRequests }] } }),
    ...(identities === undefined ? {} : { transportSocket: clientTransportSocket(identities) }),
  });
  return encodeResource(ClusterSchema, cluster, TYPE_CLUSTER, name);
}

/**
 * Round robin unless a rule says otherwise. A library refuses a whole cluster for a policy that it does not know, so
 * least-request is offered in the list from which each takes the first it knows, and maglev becomes a ring.
 */
function balancing(settings: LoadBalancerSettings | undefined): ClusterInit {
  const hash = settings?.consistentHash;
  if (hash !== undefined) {
    const ringSize = Number((hash.ringHash ?? hash).minimumRingSize ?? 0);
    const minimumRingSize = BigInt(ringSize === 0 ? DEFAULT_RING_SIZE : ringSize);
    return {
      lbPolicy: LbPolicy.RING_HASH,
      lbConfig: { case: 'ringHashLbConfig', value: { minimumRingSize } },
    };
  }
  if (settings?.simple !== 'LEAST_REQUEST' && settings?.simple !== 'LEAST_CONN') return {};
  const endpointPickingPolicy = { policies: [policy(LeastRequestSchema), policy(RoundRobinSchema)] };
  return {
    lbPolicy: LbPolicy.LEAST_REQUEST,
    loadBalancingPolicy: {
      policies: [policy(WrrLocalitySchema, create(WrrLocalitySchema, { endpointPickingPolicy }))],
    },
  };
}

function policy<D extends DescMessage>(schema: D, config?: MessageShape<D>) {
  const typedConfig = packAny(schema, config ?? create(schema));
  return { typedExtensionConfig: { name: schema.typeName, typedConfig } };
}
