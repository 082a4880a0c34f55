/**
 * Clusters that proxies have whatever the mesh holds: one that sends connections on to where they were going, one that sends
 * them nowhere, and the server of secrets beside the proxy where there is one. Source: Istio pilot/pkg/networking/core/cluster_builder.go.
 */
import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { ClusterFacts } from '#model/mesh-facts.ts';
import {
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_LbPolicy as LbPolicy,
  type Cluster,
  ClusterSchema,
} from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { HttpProtocolOptionsSchema } from '#proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import { durationFromMs } from '#xds/duration.ts';
import { packAny } from '#xds/encode.ts';
import { BLACK_HOLE_CLUSTER, PASSTHROUGH_CLUSTER } from '#xds/names.ts';
import { parseDuration } from '#xds/routes/duration.ts';
import { EXTERNAL_SDS_CLUSTER } from '#xds/secrets/sds-secret.ts';
import { circuitBreakers, connectionOptions } from './connection-pool.ts';
import { HTTP_PROTOCOL_OPTIONS, preserveCase } from './http-options.ts';

const IDLE_TIMEOUT_MS = 300_000;
/** Source: Istio pkg/security CredentialNameSocketPath. */
const CREDENTIAL_SOCKET = './var/run/secrets/credential-uds/socket';

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

/** Builds `sds-external`: the server of secrets in the proxy's own pod, at a path relative to Envoy's working directory. */
export function buildExternalSecretsCluster(facts: ClusterFacts): Cluster {
  const options = create(HttpProtocolOptionsSchema, {
    upstreamProtocolOptions: {
      case: 'explicitHttpConfig',
      value: { protocolConfig: { case: 'http2ProtocolOptions', value: {} } },
    },
  });
  const address = { address: { case: 'pipe' as const, value: { path: CREDENTIAL_SOCKET } } };
  const hostIdentifier = { case: 'endpoint' as const, value: { address } };
  return create(ClusterSchema, {
    name: EXTERNAL_SDS_CLUSTER,
    altStatName: `${EXTERNAL_SDS_CLUSTER};`,
    clusterDiscoveryType: { case: 'type', value: DiscoveryType.STATIC },
    connectTimeout: parseDuration(facts.connectTimeout),
    loadAssignment: {
      clusterName: EXTERNAL_SDS_CLUSTER,
      endpoints: [{ lbEndpoints: [{ hostIdentifier }] }],
    },
    typedExtensionProtocolOptions: {
      [HTTP_PROTOCOL_OPTIONS]: packAny(HttpProtocolOptionsSchema, options),
    },
  });
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
