/**
 * Which protocol a port speaks: by appProtocol, else by the prefix of the port's name, else sniffed (`Unsupported`).
 * Source: Istio pkg/config/kube/conversion.go ConvertProtocol and pkg/config/protocol.
 */
import type { ServicePortSpec } from '#api/service.ts';
import type { Protocol } from './service.ts';

const BY_NAME: ReadonlyMap<string, Protocol> = new Map([
  ['tcp', 'TCP'],
  ['udp', 'UDP'],
  ['grpc', 'GRPC'],
  ['grpc-web', 'GRPCWeb'],
  ['http', 'HTTP'],
  ['http_proxy', 'HTTP_PROXY'],
  ['http2', 'HTTP2'],
  ['https', 'HTTPS'],
  ['tls', 'TLS'],
  ['mongo', 'Mongo'],
  ['redis', 'Redis'],
  ['mysql', 'MySQL'],
]);

/** Values that Kubernetes reserves for appProtocol: h2c, and WebSocket with and without TLS. */
const BY_KUBERNETES_APP_PROTOCOL: ReadonlyMap<string, Protocol> = new Map([
  ['kubernetes.io/h2c', 'HTTP2'],
  ['kubernetes.io/ws', 'HTTP'],
  ['kubernetes.io/wss', 'HTTPS'],
]);

/** SMTP, DNS, MySQL, MongoDB: the server speaks first or the bytes mislead, so sniffing would break them. */
const NEVER_SNIFFED: ReadonlySet<number> = new Set([25, 53, 3306, 27017]);

const HTTP2_PROTOCOLS: ReadonlySet<Protocol> = new Set(['HTTP2', 'GRPC', 'GRPCWeb']);
const HTTP_PROTOCOLS: ReadonlySet<Protocol> = new Set(['HTTP', 'HTTP2', 'HTTP_PROXY', 'GRPC', 'GRPCWeb']);

/** A protocol by its name in a ServiceEntry, Gateway or Sidecar, without regard to case; unknown names are `Unsupported`. */
export function parseProtocol(name: string): Protocol {
  return BY_NAME.get(name.toLowerCase()) ?? 'Unsupported';
}

/** Protocol of a Kubernetes service port. */
export function kubernetesProtocol(port: ServicePortSpec): Protocol {
  if (port.protocol === 'UDP') return 'UDP';
  const reserved = BY_KUBERNETES_APP_PROTOCOL.get(port.appProtocol);
  if (reserved !== undefined) return reserved;
  const name = (port.appProtocol === '' ? port.name : port.appProtocol).toLowerCase();
  if (name.startsWith('grpc-web')) return 'GRPCWeb';
  const protocol = parseProtocol(name.split('-', 1)[0] ?? '');
  return protocol === 'Unsupported' && NEVER_SNIFFED.has(port.port) ? 'TCP' : protocol;
}

/** True when the protocol is HTTP/2 on the wire. */
export function isHttp2(protocol: Protocol): boolean {
  return HTTP2_PROTOCOLS.has(protocol);
}

/** True for every protocol that is HTTP of some version. */
export function isHttp(protocol: Protocol): boolean {
  return HTTP_PROTOCOLS.has(protocol);
}
