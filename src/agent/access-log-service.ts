/**
 * The static clusters of services that Envoy sends things to by gRPC and that a ProxyConfig names. envoyAccessLogService: the control
 * plane, whose listeners refer to it, knows it by its name only. A service that cannot be used is named as a problem,
 * and no cluster is made of it.
 * Source: Istio tools/packaging/common/envoy_bootstrap.json.
 */
import type { SocketAddress } from './bootstrap-settings.ts';
import type { JsonObject, JsonValue } from './json-value.ts';
import { objectAt, readServiceAddress, textAt, tlsSocket } from './service-cluster.ts';

/** Its name; listeners of the control plane refer to it. */
const NAME = 'envoy_accesslog_service';

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** The clusters of a ProxyConfig as it was given: one or none. */
export interface ServiceClusters {
  readonly clusters: readonly JsonObject[];
  /** Fields that could not be used. */
  readonly problems: readonly string[];
}

/** Which service of a ProxyConfig, and what its cluster is called. */
interface ServiceField {
  readonly field: string;
  readonly name: string;
}

/** Reads envoyAccessLogService. `hostIp` stands for `$(HOST_IP)`. */
export function readAccessLogClusters(proxyConfig: JsonObject, hostIp: string): ServiceClusters {
  return readServiceCluster(proxyConfig, { field: 'envoyAccessLogService', name: NAME }, hostIp);
}

/** Reads a service that Envoy calls by gRPC: its address, TLS and keep-alive. */
export function readServiceCluster(
  proxyConfig: JsonObject,
  { field, name }: ServiceField,
  hostIp: string,
): ServiceClusters {
  const service = objectAt(proxyConfig, field);
  const text = textAt(service, 'address');
  if (text === '') return { clusters: [], problems: [] };
  const address = readServiceAddress(text, hostIp);
  if (address === undefined) return { clusters: [], problems: [`${field}.address`] };
  return { clusters: [buildCluster(name, address, service)], problems: [] };
}

function buildCluster(name: string, { address, port }: SocketAddress, service: JsonObject): JsonObject {
  const endpoint = { address: { socket_address: { address, port_value: port } } };
  return {
    name,
    alt_stat_name: `${name};`,
    type: 'STRICT_DNS',
    connect_timeout: '1s',
    lb_policy: 'ROUND_ROBIN',
    ...tlsSocket(objectAt(service, 'tlsSettings'), { meshName: name, speaksHttp2: true }),
    ...keepalive(objectAt(service, 'tcpKeepalive')),
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: {
        '@type': `type.googleapis.com/${HTTP_OPTIONS}`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint }] }] },
  };
}

function keepalive(settings: JsonObject): JsonObject {
  const keepaliveOf = {
    ...positive('keepalive_probes', settings['probes']),
    ...positive('keepalive_time', seconds(settings['time'])),
    ...positive('keepalive_interval', seconds(settings['interval'])),
  };
  return Object.keys(keepaliveOf).length === 0
    ? {}
    : { upstream_connection_options: { tcp_keepalive: keepaliveOf } };
}

function positive(name: string, value: JsonValue | undefined): JsonObject {
  return typeof value === 'number' && value > 0 ? { [name]: value } : {};
}

function seconds(value: JsonValue | undefined): number {
  const [, whole] = /^(\d{1,9})(?:\.\d+)?s$/.exec(typeof value === 'string' ? value : '') ?? [];
  return Number(whole ?? 0);
}
