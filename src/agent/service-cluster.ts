/**
 * What clusters of services that a ProxyConfig names have in common: how their addresses are written, and TLS towards them. They are
 * in the bootstrap, so Envoy reads files itself; the workload's own certificate comes over the agent's socket.
 * Source: Istio pkg/bootstrap/option/convert.go addressConverter, tlsContextConvert.
 */
import type { SocketAddress } from './bootstrap-settings.ts';
import type { JsonObject } from './json-value.ts';
import { isObject } from './proxy-config.ts';

/** Reads `host:port`, `[v6]:port`; `$(HOST_IP)` is the node's address where that is known. Undefined for anything else. */
export function readServiceAddress(text: string, hostIp: string): SocketAddress | undefined {
  const [, v6, name, port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = v6 ?? name;
  if (host === undefined || Number(port) > 65_535) return undefined;
  return { address: host === '$(HOST_IP)' && hostIp !== '' ? hostIp : host, port: Number(port) };
}

/** What a service is called by mesh TLS unless its settings say, and whether it speaks HTTP/2. */
export interface TlsPeer {
  readonly meshName: string;
  readonly speaksHttp2: boolean;
}

/** The field `transport_socket` of a cluster, from `tlsSettings`; nothing without TLS. */
export function tlsSocket(settings: JsonObject, { meshName, speaksHttp2 }: TlsPeer): JsonObject {
  const mode = textAt(settings, 'mode');
  if (mode === '' || mode === 'DISABLE') return {};
  const isMesh = mode === 'ISTIO_MUTUAL';
  const sni = textAt(settings, 'sni') || (isMesh ? meshName : '');
  const context = {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
    ...(sni === '' ? {} : { sni }),
    common_tls_context: {
      ...(speaksHttp2 ? { alpn_protocols: isMesh ? ['istio', 'h2'] : ['h2'] } : {}),
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

/** The object in a field; an empty one for anything else. */
export function objectAt(object: JsonObject, name: string): JsonObject {
  const value = object[name];
  return isObject(value) ? value : {};
}

/** The text in a field; '' for anything else. */
export function textAt(object: JsonObject, name: string): string {
  const value = object[name];
  return typeof value === 'string' ? value : '';
}
