/**
 * Protocol names of ports as Istio parses them (any case). Source: istio pkg/config/protocol/instance.go.
 */

/** A protocol that a port can be declared with. */
export type ProtocolName =
  | 'TCP'
  | 'UDP'
  | 'GRPC'
  | 'GRPC-Web'
  | 'HTTP'
  | 'HTTP_PROXY'
  | 'HTTP2'
  | 'HTTPS'
  | 'TLS'
  | 'Mongo'
  | 'Redis'
  | 'MySQL';

/** All protocol names, as they are shown to users. */
export const PROTOCOL_NAMES: readonly ProtocolName[] = [
  'HTTP',
  'HTTP2',
  'GRPC',
  'GRPC-Web',
  'HTTPS',
  'TLS',
  'TCP',
  'UDP',
  'Mongo',
  'Redis',
  'MySQL',
  'HTTP_PROXY',
];

const BY_LOWER_NAME: ReadonlyMap<string, ProtocolName> = new Map(
  PROTOCOL_NAMES.map((name) => [name.toLowerCase(), name] as const),
);

const HTTP_FAMILY: ReadonlySet<ProtocolName | undefined> = new Set([
  'HTTP',
  'HTTP2',
  'HTTP_PROXY',
  'GRPC',
  'GRPC-Web',
]);
const TCP_FAMILY: ReadonlySet<ProtocolName | undefined> = new Set([
  'TCP',
  'HTTPS',
  'TLS',
  'Mongo',
  'Redis',
  'MySQL',
]);

/** The protocol of that name, ignoring case; undefined for none. */
export function parseProtocol(name: string | undefined): ProtocolName | undefined {
  return BY_LOWER_NAME.get((name ?? '').toLowerCase());
}

/** HTTP in any version, gRPC included. */
export function isHttp(protocol: ProtocolName | undefined): boolean {
  return HTTP_FAMILY.has(protocol);
}

/** TLS with or without HTTP inside. */
export function isTls(protocol: ProtocolName | undefined): boolean {
  return protocol === 'HTTPS' || protocol === 'TLS';
}

/** Everything that Istio forwards as a TCP stream, TLS included. */
export function isTcp(protocol: ProtocolName | undefined): boolean {
  return TCP_FAMILY.has(protocol);
}
