/**
 * Where Envoy sends its statistics by itself: a statsd listener (ProxyConfig statsdUdpAddress) and a metrics service over gRPC
 * (envoyMetricsService), with the cluster that the second needs. What cannot be used is named as a problem, and nothing is made of it.
 * Source: Istio tools/packaging/common/envoy_bootstrap.json, pkg/bootstrap/config.go getProxyConfigOptions.
 */
import { isIP } from 'node:net';
import { readServiceCluster } from './access-log-service.ts';
import type { JsonObject } from './json-value.ts';
import { readServiceAddress } from './service-cluster.ts';

/** The parts of the bootstrap that a ProxyConfig asks for. */
export interface StatsSinks {
  readonly clusters: readonly JsonObject[];
  readonly sinks: readonly JsonObject[];
  /** Fields that could not be used. */
  readonly problems: readonly string[];
}

const METRICS_SERVICE = 'envoy_metrics_service';

/** Finds the address of a host name; undefined when there is none. */
export type Resolver = (host: string) => Promise<string | undefined>;

/** Reads both. `hostIp` stands for `$(HOST_IP)`; Envoy wants an IP address of a statsd listener, so a name is resolved once. */
export async function readStatsSinks(
  proxyConfig: JsonObject,
  hostIp: string,
  resolve: Resolver,
): Promise<StatsSinks> {
  const { clusters, problems } = readServiceCluster(
    proxyConfig,
    { field: 'envoyMetricsService', name: METRICS_SERVICE },
    hostIp,
  );
  const service = clusters.map(() => metricsServiceSink());
  const text = proxyConfig['statsdUdpAddress'];
  if (typeof text !== 'string' || text === '') return { clusters, sinks: service, problems };
  const target = readServiceAddress(text, hostIp);
  const address =
    target === undefined || isIP(target.address) !== 0 ? target?.address : await resolve(target.address);
  if (target === undefined || address === undefined)
    return { clusters, sinks: service, problems: [...problems, 'statsdUdpAddress'] };
  return { clusters, sinks: [...service, statsdSink(address, target.port)], problems };
}

function metricsServiceSink(): JsonObject {
  return {
    name: 'envoy.stat_sinks.metrics_service',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.config.metrics.v3.MetricsServiceConfig',
      transport_api_version: 'V3',
      grpc_service: { envoy_grpc: { cluster_name: METRICS_SERVICE } },
    },
  };
}

function statsdSink(address: string, port: number): JsonObject {
  return {
    name: 'envoy.stat_sinks.statsd',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.config.metrics.v3.StatsdSink',
      address: { socket_address: { protocol: 'UDP', address, port_value: port } },
    },
  };
}
