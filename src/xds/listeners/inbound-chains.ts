/**
 * Which filter chains take the connections of one workload port: a table over what the port speaks (HTTP, TCP, not
 * known) and the mutual TLS mode. Mesh clients are known by their ALPN names.
 * Source: istio pilot/pkg/networking/core/listener_inbound.go getFilterChainsByServicePort and the match tables there.
 */
import type { MutualTlsMode } from '#model/peer-authentication.ts';
import type { Protocol } from '#model/service.ts';
import { MESH_ALPN, MESH_HTTP_ALPN, MESH_TCP_ALPN } from '#xds/tls/downstream-tls.ts';

/** What a chain matches on, and what it leads to. */
export interface InboundChain {
  readonly transport: 'tls' | 'raw_buffer' | '';
  readonly alpn: readonly string[];
  /** TLS ends here: the mesh's, or the user's own. */
  readonly terminate: boolean;
  readonly carries: 'http' | 'tcp';
}

export type ProtocolClass = 'http' | 'tcp' | 'auto';

const PLAIN_HTTP_ALPN: readonly string[] = ['http/1.1', 'h2c'];

const mesh = (carries: 'http' | 'tcp', alpn: readonly string[]): InboundChain => ({
  transport: 'tls',
  alpn,
  terminate: true,
  carries,
});
const plain = (
  carries: 'http' | 'tcp',
  transport: InboundChain['transport'],
  alpn: readonly string[] = [],
): InboundChain => ({
  transport,
  alpn,
  terminate: false,
  carries,
});

const CHAINS: Readonly<Record<MutualTlsMode, Readonly<Record<ProtocolClass, readonly InboundChain[]>>>> = {
  PERMISSIVE: {
    http: [mesh('http', MESH_ALPN), plain('http', 'raw_buffer')],
    tcp: [mesh('tcp', MESH_ALPN), plain('tcp', 'tls'), plain('tcp', 'raw_buffer')],
    auto: [
      mesh('http', MESH_HTTP_ALPN),
      plain('http', 'raw_buffer', PLAIN_HTTP_ALPN),
      mesh('tcp', MESH_TCP_ALPN),
      plain('tcp', 'raw_buffer'),
      plain('tcp', 'tls'),
    ],
  },
  STRICT: {
    http: [mesh('http', [])],
    tcp: [mesh('tcp', [])],
    auto: [mesh('http', MESH_HTTP_ALPN), mesh('tcp', [])],
  },
  DISABLE: {
    http: [plain('http', 'raw_buffer')],
    tcp: [plain('tcp', 'raw_buffer')],
    auto: [plain('http', 'raw_buffer', PLAIN_HTTP_ALPN), plain('tcp', 'raw_buffer')],
  },
};

/** The chains of one port, in the order in which they are written (Envoy matches by specificity, not by order). */
export function inboundChains(protocol: Protocol, mode: MutualTlsMode): readonly InboundChain[] {
  return CHAINS[mode][protocolClass(protocol)];
}

/** TLS that the user has end at the port: nothing else is taken. */
export function ownTlsChains(protocol: Protocol): readonly InboundChain[] {
  return [{ ...mesh(protocolClass(protocol) === 'http' ? 'http' : 'tcp', []) }];
}

/** True for a chain of what the HTTP inspector sees to be HTTP; what that is depends on the mesh's flags. */
export function isPlainHttp({ alpn }: InboundChain): boolean {
  return alpn === PLAIN_HTTP_ALPN;
}

/** How a protocol is served: with routes, as bytes, or by looking at the first bytes. */
export function protocolClass(protocol: Protocol): ProtocolClass {
  switch (protocol) {
    case 'HTTP':
    case 'HTTP2':
    case 'GRPC':
    case 'GRPCWeb':
    case 'HTTP_PROXY':
      return 'http';
    case 'Unsupported':
      return 'auto';
    default:
      return 'tcp';
  }
}
