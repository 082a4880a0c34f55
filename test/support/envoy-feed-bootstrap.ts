/** What the Envoy of an EnvoyFeed begins with. */
import { buildLocalCluster, LOCAL_CLUSTER } from '#agent/bootstrap-clusters.ts';

export const NODE_ID = 'sidecar~127.0.0.1~app.default~default.svc.cluster.local';
/** The flags of the agent's bootstrap that requests can tell. */
const RUNTIME = {
  're2.max_program_size.error_level': 32768,
  'envoy.reloadable_features.http_reject_path_with_fragment': false,
};

/** Nobody answers there: host names of cases must not leave the machine. */
export const NO_DNS_PORT = 1;

/** Where to ask for everything: ADS and the agent's secrets on one port. With a zone Envoy discovers its own cluster. */
export function feedBootstrap(
  port: number,
  dnsPort: number,
  zone?: { readonly region: string; readonly zone: string },
): unknown {
  const loopback = { socket_address: { address: '127.0.0.1', port_value: port } };
  const ads = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' };
  const cluster = (name: string) => ({
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback } }] }],
    },
  });
  return {
    node: { id: NODE_ID, cluster: 'app.default', ...(zone && { locality: zone }) },
    ...(zone && { cluster_manager: { local_cluster_name: LOCAL_CLUSTER } }),
    layered_runtime: { layers: [{ name: 'static', static_layer: RUNTIME }] },
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
    typed_dns_resolver_config: {
      name: 'envoy.network.dns_resolver.cares',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig',
        resolvers: [{ socket_address: { address: '127.0.0.1', port_value: dnsPort } }],
        query_timeout_seconds: 1,
        query_tries: 1,
      },
    },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds-grpc' } }],
      },
      cds_config: ads,
      lds_config: ads,
    },
    static_resources: {
      clusters: [cluster('xds-grpc'), cluster('sds-grpc'), ...(zone ? [buildLocalCluster()] : [])],
    },
  };
}
