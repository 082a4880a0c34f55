/**
 * The static clusters of the bootstrap: Envoy's own admin, the agent's status server, and the two Unix sockets of the
 * agent (configuration and secrets), and the cluster of the proxy's own service where it is asked for. Their names are Istio's: `istioctl proxy-config cluster` lists them, and
 * generated secrets refer to `sds-grpc`.
 */
import type { BootstrapSettings, SocketAddress } from './bootstrap-settings.ts';
import type { JsonObject } from './json-value.ts';
import type { ProxyNode } from './proxy-node.ts';

/** Builds the static clusters, in Istio's order. Source: Istio tools/packaging/common/envoy_bootstrap.json. */
export function buildStaticClusters(settings: BootstrapSettings): readonly JsonObject[] {
  const { filesSocketPath } = settings;
  return [
    buildTcpCluster('prometheus_stats', settings.admin),
    buildTcpCluster('agent', settings.agentStatus),
    { ...buildPipeCluster('sds-grpc', settings.sdsSocketPath), ...speakHttp2({}) },
    ...(filesSocketPath === undefined
      ? []
      : [{ ...buildPipeCluster('sds-files-grpc', filesSocketPath), ...speakHttp2({}) }]),
    {
      ...buildPipeCluster('xds-grpc', settings.xdsSocketPath),
      circuit_breakers: { thresholds: [unlimited('DEFAULT'), unlimited('HIGH')] },
      ...speakHttp2({ common_http_protocol_options: { max_requests_per_connection: 1 } }),
    },
    ...settings.serviceClusters,
    ...(discoversItself(settings.node) ? [buildLocalCluster()] : []),
  ];
}

/** Name of the cluster that the proxy is itself a part of. */
export const LOCAL_CLUSTER = 'local_cluster';

/** Node metadata ENABLE_SELF_DISCOVERY. Source: Istio pkg/model/proxy.go EnableSelfDiscovery. */
export function discoversItself({ metadata }: ProxyNode): boolean {
  const asked = metadata['ENABLE_SELF_DISCOVERY'];
  return asked === 'true' || asked === '1';
}

/** Nothing is sent to it: Envoy counts its zones, to know how much of a service its own zone may keep. */
export function buildLocalCluster(): JsonObject {
  return {
    name: LOCAL_CLUSTER,
    alt_stat_name: `${LOCAL_CLUSTER};`,
    type: 'EDS',
    connect_timeout: '1s',
    load_balancing_policy: {
      policies: [
        {
          typed_extension_config: {
            name: 'envoy.load_balancing_policies.least_request',
            typed_config: {
              '@type':
                'type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest',
              locality_lb_config: { zone_aware_lb_config: { min_cluster_size: '1' } },
            },
          },
        },
      ],
    },
    eds_cluster_config: {
      eds_config: { ads: {}, resource_api_version: 'V3' },
      service_name: LOCAL_CLUSTER,
    },
  };
}

function speakHttp2(options: JsonObject): JsonObject {
  const name = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  return {
    typed_extension_protocol_options: {
      [name]: {
        '@type': `type.googleapis.com/${name}`,
        explicit_http_config: { http2_protocol_options: {} },
        ...options,
      },
    },
  };
}

function buildTcpCluster(name: string, address: SocketAddress): JsonObject {
  const endpoint = {
    socket_address: { protocol: 'TCP', address: address.address, port_value: address.port },
  };
  return { ...buildCluster(name, endpoint), connect_timeout: '0.250s' };
}

/** A Unix socket; the bootstrap's source address does not touch it (tried). */
function buildPipeCluster(name: string, path: string): JsonObject {
  return { ...buildCluster(name, { pipe: { path } }), connect_timeout: '1s' };
}

function buildCluster(name: string, address: JsonObject): JsonObject {
  return {
    name,
    type: 'STATIC',
    lb_policy: 'ROUND_ROBIN',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}

function unlimited(priority: string): JsonObject {
  return { priority, max_connections: 100000, max_pending_requests: 100000, max_requests: 100000 };
}
