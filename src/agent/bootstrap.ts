/**
 * Builds the bootstrap that Envoy starts with: who it is, where its configuration and secrets come from, and the few
 * listeners and clusters that must be there before any of it arrives. Names, flags and order follow Istio's bootstrap, since
 * istioctl, Kiali and users' EnvoyFilters know them. Pure: the same settings give the same JSON.
 * Differs from Istio: no listener on 15090 (the agent serves it itself, to print Istio's metric names).
 */
import { buildStaticClusters, discoversItself, LOCAL_CLUSTER } from './bootstrap-clusters.ts';
import type { BootstrapSettings, SocketAddress } from './bootstrap-settings.ts';
import { buildStatsConfig } from './bootstrap-stats.ts';
import type { JsonObject, JsonValue } from './json-value.ts';
import type { ProxyNode } from './proxy-node.ts';

/**
 * Builds the whole bootstrap as plain data.
 * Source: Envoy config.bootstrap.v3.Bootstrap; Istio 1.32-dev tools/packaging/common/envoy_bootstrap.json.
 */
export function buildBootstrap(settings: BootstrapSettings): JsonObject {
  return {
    application_log_config: {
      log_format: { text_format: '%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t' },
    },
    node: buildNode(settings.node),
    layered_runtime: {
      layers: [
        { name: 'global config', static_layer: buildRuntimeFlags(settings.runtimeValues) },
        { name: 'admin', admin_layer: {} },
      ],
    },
    bootstrap_extensions: [
      {
        name: 'envoy.bootstrap.internal_listener',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener',
          buffer_size_kb: 64,
        },
      },
    ],
    stats_config: buildStatsConfig(settings.stats),
    stats_flush_interval: seconds(settings.stats.flushIntervalMs),
    stats_eviction_interval: seconds(settings.stats.evictionIntervalMs),
    ...(settings.statsSinks.length === 0 ? {} : { stats_sinks: settings.statsSinks }),
    admin: buildAdmin(settings.admin),
    dynamic_resources: buildDynamicResources(),
    static_resources: {
      clusters: buildStaticClusters(settings),
      listeners: [buildReadinessListener(settings)],
    },
    ...settings.tracing,
    ...buildClusterManager(settings),
  };
}

function buildNode(node: ProxyNode): JsonObject {
  return {
    id: node.id,
    cluster: node.cluster,
    ...(node.locality === undefined ? {} : { locality: { ...node.locality } }),
    metadata: node.metadata,
  };
}

/** Istio's flags, then the user's `runtimeValues`; an empty value takes a flag away, as in Istio. */
function buildRuntimeFlags(userValues: ReadonlyMap<string, string>): JsonObject {
  const flags = new Map<string, JsonValue>([
    ['overload.global_downstream_max_connections', '2147483647'],
    ['re2.max_program_size.error_level', '32768'],
    ['envoy.reloadable_features.http_reject_path_with_fragment', false],
  ]);
  for (const [name, value] of userValues) {
    if (value === '') flags.delete(name);
    else flags.set(name, value === 'true' ? true : value === 'false' ? false : value);
  }
  return Object.fromEntries(flags);
}

function buildAdmin(admin: SocketAddress): JsonObject {
  return {
    access_log: [
      {
        name: 'envoy.access_loggers.file',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog',
          path: '/dev/null',
        },
      },
    ],
    address: buildSocketAddress(admin),
  };
}

/**
 * One delta ADS stream for everything. Envoy's own back-off for a lost stream goes up to 30 s; the other end is the agent beside
 * it, which waits and spreads retries itself, so Envoy may come back at once.
 */
function buildDynamicResources(): JsonObject {
  const overAds = { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' };
  return {
    lds_config: overAds,
    cds_config: overAds,
    ads_config: {
      api_type: 'DELTA_GRPC',
      set_node_on_first_message_only: true,
      transport_api_version: 'V3',
      grpc_services: [
        {
          envoy_grpc: {
            cluster_name: 'xds-grpc',
            retry_policy: { retry_back_off: { base_interval: '0.1s', max_interval: '1s' } },
          },
        },
      ],
    },
  };
}

function buildReadinessListener({
  readiness: address,
  readinessTakesProxyProtocol,
}: BootstrapSettings): JsonObject {
  const route = { match: { prefix: '/healthz/ready' }, route: { cluster: 'agent' } };
  return {
    address: buildSocketAddress(address),
    ...(readinessTakesProxyProtocol ? { listener_filters: [buildProxyProtocolFilter()] } : {}),
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type':
                'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              codec_type: 'AUTO',
              stat_prefix: 'agent',
              route_config: { virtual_hosts: [{ name: 'backend', domains: ['*'], routes: [route] }] },
              http_filters: [
                {
                  name: 'envoy.filters.http.router',
                  typed_config: {
                    '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router',
                  },
                },
              ],
            },
          },
        ],
      },
    ],
  };
}

function buildProxyProtocolFilter(): JsonObject {
  return {
    name: 'envoy.filters.listener.proxy_protocol',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol',
      allow_requests_without_proxy_protocol: true,
    },
  };
}

function buildClusterManager(settings: BootstrapSettings): JsonObject {
  const source = settings.upstreamSourceAddress;
  const manager = {
    ...(discoversItself(settings.node) ? { local_cluster_name: LOCAL_CLUSTER } : {}),
    ...(source === undefined
      ? {}
      : { upstream_bind_config: { source_address: { address: source, port_value: 0 } } }),
    ...(settings.outlierLogPath === undefined
      ? {}
      : { outlier_detection: { event_log_path: settings.outlierLogPath } }),
  };
  return Object.keys(manager).length === 0 ? {} : { cluster_manager: manager };
}

function buildSocketAddress(address: SocketAddress): JsonObject {
  return { socket_address: { protocol: 'TCP', address: address.address, port_value: address.port } };
}

function seconds(ms: number): string {
  return `${ms / 1000}s`;
}
