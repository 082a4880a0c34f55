/**
 * The static cluster of the service that Envoy sends access logs to: ProxyConfig envoyAccessLogService, which names it, and the
 * control plane, whose listeners refer to it, both know it by the bootstrap only. A service that cannot be used is named as a problem,
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
export interface AccessLogClusters {
  readonly clusters: readonly JsonObject[];
  /** Fields that could not be used. */
  readonly problems: readonly string[];
}

/** Reads envoyAccessLogService. `hostIp` stands for `$(HOST_IP)`. */
export function readAccessLogClusters(proxyConfig: JsonObject, hostIp: string): AccessLogClusters {
  const service = objectAt(proxyConfig, 'envoyAccessLogService');
  const text = textAt(service, 'address');
  if (text === '') return { clusters: [], problems: [] };
  const address = readServiceAddress(text, hostIp);
  if (address === undefined) return { clusters: [], problems: ['envoyAccessLogService.address'] };
  return { clusters: [buildCluster(address, service)], problems: [] };
}

function buildCluster({ address, port }: SocketAddress, service: JsonObject): JsonObject {
  const endpoint = { address: { socket_address: { address, port_value: port } } };
  return {
    name: NAME,
    alt_stat_name: `${NAME};`,
    type: 'STRICT_DNS',
    connect_timeout: '1s',
    lb_policy: 'ROUND_ROBIN',
    ...tlsSocket(objectAt(service, 'tlsSettings'), { meshName: NAME, speaksHttp2: true }),
    ...keepalive(objectAt(service, 'tcpKeepalive')),
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: {
        '@type': `type.googleapis.com/${HTTP_OPTIONS}`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: { cluster_name: NAME, endpoints: [{ lb_endpoints: [{ endpoint }] }] },
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
