/**
 * The static cluster of the service that Envoy sends access logs to: ProxyConfig envoyAccessLogService, which names it, and the
 * control plane, whose listeners refer to it, both know it by the bootstrap only. A service that cannot be used is named as a problem,
 * and no cluster is made of it.
 * Source: Istio tools/packaging/common/envoy_bootstrap.json, pkg/bootstrap/option/convert.go tlsContextConvert.
 */
import { isObject } from './proxy-config.ts';
import type { JsonObject, JsonValue } from './json-value.ts';

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
  const [, v6, name, port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = v6 ?? name;
  if (host === undefined || Number(port) > 65_535)
    return { clusters: [], problems: ['envoyAccessLogService.address'] };
  const address = host === '$(HOST_IP)' && hostIp !== '' ? hostIp : host;
  return { clusters: [buildCluster(address, Number(port), service)], problems: [] };
}

function buildCluster(address: string, port: number, service: JsonObject): JsonObject {
  const endpoint = { address: { socket_address: { address, port_value: port } } };
  return {
    name: NAME,
    alt_stat_name: `${NAME};`,
    type: 'STRICT_DNS',
    connect_timeout: '1s',
    lb_policy: 'ROUND_ROBIN',
    ...transportSocket(objectAt(service, 'tlsSettings')),
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

/** Files are read by Envoy itself; the workload's own certificate comes over the agent's socket. */
function transportSocket(settings: JsonObject): JsonObject {
  const mode = textAt(settings, 'mode');
  if (mode === '' || mode === 'DISABLE') return {};
  const isMesh = mode === 'ISTIO_MUTUAL';
  const sni = textAt(settings, 'sni') || (isMesh ? NAME : '');
  const context = {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
    ...(sni === '' ? {} : { sni }),
    common_tls_context: {
      alpn_protocols: isMesh ? ['istio', 'h2'] : ['h2'],
      ...clientCertificate(mode, settings),
      ...validation(isMesh, settings),
    },
  };
  return { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: context } };
}

function clientCertificate(mode: string, settings: JsonObject): JsonObject {
  if (mode === 'ISTIO_MUTUAL') return { tls_certificate_sds_secret_configs: [overSds('default')] };
  const [chain, key] = [textAt(settings, 'clientCertificate'), textAt(settings, 'privateKey')];
  if (mode !== 'MUTUAL' || chain === '' || key === '') return {};
  return {
    tls_certificates: [{ certificate_chain: { filename: chain }, private_key: { filename: key } }],
  };
}

function validation(isMesh: boolean, settings: JsonObject): JsonObject {
  const names = settings['subjectAltNames'];
  const known = {
    match_typed_subject_alt_names: (Array.isArray(names) ? names.map(String) : []).flatMap((exact) =>
      ['URI', 'DNS'].map((type) => ({ san_type: type, matcher: { exact } })),
    ),
  };
  if (isMesh) {
    const secret = overSds('ROOTCA');
    return {
      combined_validation_context: {
        default_validation_context: known,
        validation_context_sds_secret_config: secret,
      },
    };
  }
  const roots = textAt(settings, 'caCertificates');
  return roots === '' ? {} : { validation_context: { ...known, trusted_ca: { filename: roots } } };
}

function overSds(name: string): JsonObject {
  const service = { envoy_grpc: { cluster_name: 'sds-grpc' } };
  return {
    name,
    sds_config: {
      api_config_source: { api_type: 'GRPC', transport_api_version: 'V3', grpc_services: [service] },
      initial_fetch_timeout: '0s',
      resource_api_version: 'V3',
    },
  };
}

function objectAt(object: JsonObject, name: string): JsonObject {
  const value = object[name];
  return isObject(value) ? value : {};
}

function textAt(object: JsonObject, name: string): string {
  const value = object[name];
  return typeof value === 'string' ? value : '';
}
