/**
 * The tracer of the bootstrap and the static cluster that it sends spans to: ProxyConfig `tracing`. Connection managers that the control
 * plane gives no tracer take this one. What cannot be used is named as a problem, and there is no tracer.
 * Source: Istio tools/packaging/common/envoy_bootstrap.json, pkg/bootstrap/config.go getProxyConfigOptions.
 */
import { isIPv6 } from 'node:net';
import type { SocketAddress } from './bootstrap-settings.ts';
import type { JsonObject } from './json-value.ts';
import { objectAt, readServiceAddress, textAt, tlsSocket } from './service-cluster.ts';

/** What the bootstrap gets: one cluster or none, and the field `tracing`. */
export interface BootstrapTracing {
  readonly clusters: readonly JsonObject[];
  readonly tracing: JsonObject;
  /** Fields that could not be used. */
  readonly problems: readonly string[];
}

/** What is not in the ProxyConfig. */
export interface TracingSurroundings {
  /** Stands for `$(HOST_IP)`. */
  readonly hostIp: string;
  /** Addresses of the workload: they say which addresses of a name are of use. */
  readonly addresses: readonly string[];
  /** The node's cluster. */
  readonly serviceName: string;
}

/** Tracers that Envoy had once, or that only have a meaning elsewhere. */
const GONE = ['lightstep', 'stackdriver', 'openCensusAgent'] as const;

/** Reads `tracing` of a ProxyConfig as it was given. */
export function readBootstrapTracing(proxyConfig: JsonObject, around: TracingSurroundings): BootstrapTracing {
  const settings = objectAt(proxyConfig, 'tracing');
  const kind = (['zipkin', 'datadog'] as const).find((one) => settings[one] !== undefined);
  if (kind === undefined) {
    const problems = GONE.filter((one) => settings[one] !== undefined).map((one) => `tracing.${one}`);
    return { clusters: [], tracing: {}, problems };
  }
  const address = readServiceAddress(textAt(objectAt(settings, kind), 'address'), around.hostIp);
  if (address === undefined) return { clusters: [], tracing: {}, problems: [`tracing.${kind}.address`] };
  const http = kind === 'zipkin' ? zipkinTracer() : datadogTracer(around.serviceName);
  const cluster = {
    ...collectorCluster(kind === 'zipkin' ? ZIPKIN_CLUSTER : DATADOG_CLUSTER, address, around.addresses),
    ...tlsSocket(objectAt(settings, 'tlsSettings'), { meshName: 'tracer', speaksHttp2: false }),
  };
  return { clusters: [cluster], tracing: { tracing: { http } }, problems: [] };
}

const ZIPKIN_CLUSTER = 'zipkin';
const DATADOG_CLUSTER = 'datadog_agent';

function zipkinTracer(): JsonObject {
  return {
    name: 'envoy.tracers.zipkin',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.config.trace.v3.ZipkinConfig',
      collector_cluster: ZIPKIN_CLUSTER,
      collector_endpoint: '/api/v2/spans',
      collector_endpoint_version: 'HTTP_JSON',
      trace_id_128bit: true,
      shared_span_context: false,
    },
  };
}

function datadogTracer(serviceName: string): JsonObject {
  return {
    name: 'envoy.tracers.datadog',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.config.trace.v3.DatadogConfig',
      collector_cluster: DATADOG_CLUSTER,
      service_name: serviceName,
    },
  };
}

function collectorCluster(
  name: string,
  { address, port }: SocketAddress,
  addresses: readonly string[],
): JsonObject {
  const endpoint = { address: { socket_address: { address, port_value: port } } };
  return {
    name,
    alt_stat_name: `${name};`,
    cluster_type: {
      name: 'envoy.cluster.dns',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster',
        respect_dns_ttl: true,
        dns_lookup_family: lookupFamily(addresses),
        ...(name === ZIPKIN_CLUSTER ? { dns_refresh_rate: '30s' } : {}),
      },
    },
    connect_timeout: '1s',
    lb_policy: 'ROUND_ROBIN',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint }] }] },
  };
}

function lookupFamily(addresses: readonly string[]): string {
  const count = addresses.filter((address) => isIPv6(address)).length;
  if (count === 0) return 'V4_ONLY';
  return count === addresses.length ? 'V6_ONLY' : 'ALL';
}
