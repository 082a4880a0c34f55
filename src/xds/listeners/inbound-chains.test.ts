import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import type { MutualTlsMode } from '#model/peer-authentication.ts';
import type { Protocol } from '#model/service.ts';
import { inboundChains, protocolClass } from './inbound-chains.ts';

const MESH_HTTP = 'istio-http/1.0,istio-http/1.1,istio-h2';
const MESH_TCP = 'istio-peer-exchange,istio';
const MESH = 'istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2';

/** Each chain as `transport [alpn] -> what it carries, and whether mesh mTLS ends in it`. Source: Istio's match tables. */
const CHAINS: readonly (readonly [MutualTlsMode, Protocol, readonly string[]])[] = [
  ['PERMISSIVE', 'HTTP', [`tls [${MESH}] -> http mesh`, 'raw_buffer [] -> http']],
  ['PERMISSIVE', 'TCP', [`tls [${MESH}] -> tcp mesh`, 'tls [] -> tcp', 'raw_buffer [] -> tcp']],
  [
    'PERMISSIVE',
    'Unsupported',
    [
      `tls [${MESH_HTTP}] -> http mesh`,
      'raw_buffer [http/1.1,h2c] -> http',
      `tls [${MESH_TCP}] -> tcp mesh`,
      'raw_buffer [] -> tcp',
      'tls [] -> tcp',
    ],
  ],
  ['STRICT', 'GRPC', ['tls [] -> http mesh']],
  ['STRICT', 'MySQL', ['tls [] -> tcp mesh']],
  ['STRICT', 'Unsupported', [`tls [${MESH_HTTP}] -> http mesh`, 'tls [] -> tcp mesh']],
  ['DISABLE', 'HTTP2', ['raw_buffer [] -> http']],
  ['DISABLE', 'TLS', ['raw_buffer [] -> tcp']],
  ['DISABLE', 'Unsupported', ['raw_buffer [http/1.1,h2c] -> http', 'raw_buffer [] -> tcp']],
];

for (const [mode, protocol, expected] of CHAINS) {
  it(`${mode} ${protocol}: ${expected.length} chains`, () => {
    const chains = inboundChains(protocol, mode).map(
      ({ transport, alpn, carries, terminate }) =>
        `${transport} [${alpn}] -> ${carries}${terminate ? ' mesh' : ''}`,
    );
    deepStrictEqual(chains, expected);
  });
}

it('STRICT never has a chain that takes plain text', () => {
  const protocols: readonly Protocol[] = ['HTTP', 'TCP', 'Unsupported'];
  deepStrictEqual(
    protocols.flatMap((protocol) => inboundChains(protocol, 'STRICT').filter(({ terminate }) => !terminate)),
    [],
  );
});

it('protocols are served as HTTP, as bytes, or looked into', () => {
  const protocols: readonly Protocol[] = [
    'HTTP',
    'HTTP2',
    'GRPC',
    'GRPCWeb',
    'HTTPS',
    'TLS',
    'Mongo',
    'Redis',
    'Unsupported',
  ];
  deepStrictEqual(protocols.map(protocolClass), [
    'http',
    'http',
    'http',
    'http',
    'tcp',
    'tcp',
    'tcp',
    'tcp',
    'auto',
  ]);
});
