import { strictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { FilterChainMatchSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { ConnectionFacts } from './connection.ts';
import { findFilterChain } from './filter-chain.ts';

type Match = MessageInitShape<typeof FilterChainMatchSchema>;

const CONNECTION = {
  sourceAddress: '10.1.0.1',
  sourcePort: 40_000,
  address: '10.0.0.9',
  port: 80,
  protocol: 'http/1.1',
  tls: undefined,
} as const;
const PLAIN: ConnectionFacts = { transport: 'raw_buffer', serverName: '', applicationProtocols: [] };
const tls = (serverName: string, ...applicationProtocols: string[]): ConnectionFacts => ({
  transport: 'tls',
  serverName,
  applicationProtocols,
});
const range = (addressPrefix: string, prefixLen: number) => ({ addressPrefix, prefixLen });

/** Chains by name; `default` is the default chain. */
const CASES: readonly (readonly [string, Readonly<Record<string, Match>>, ConnectionFacts, string])[] = [
  ['a chain without conditions takes everything', { any: {} }, PLAIN, 'any'],
  ['none fits', { tls: { transportProtocol: 'tls' } }, PLAIN, ''],
  ['the default chain takes the rest', { tls: { transportProtocol: 'tls' }, default: {} }, PLAIN, 'default'],
  ['a port goes before any port', { any: {}, port: { destinationPort: 80 } }, PLAIN, 'port'],
  [
    'there is no way back from the port to chains without one',
    { any: {}, port: { destinationPort: 80, transportProtocol: 'tls' } },
    PLAIN,
    '',
  ],
  [
    'the longest prefix',
    {
      short: { prefixRanges: [range('10.0.0.0', 8)] },
      long: { prefixRanges: [range('10.0.0.0', 24)] },
      any: {},
    },
    PLAIN,
    'long',
  ],
  [
    'an exact server name, in any case',
    { wild: { serverNames: ['*.a.com'] }, exact: { serverNames: ['X.a.com'] } },
    tls('x.a.com'),
    'exact',
  ],
  [
    'the longest wildcard',
    { short: { serverNames: ['*.com'] }, long: { serverNames: ['*.a.com'] } },
    tls('x.y.a.com'),
    'long',
  ],
  ['a wildcard needs a name below', { wild: { serverNames: ['*.a.com'] } }, tls('a.com'), ''],
  ['no server name fits none', { named: { serverNames: ['a.com'] }, any: {} }, tls(''), 'any'],
  [
    'the first protocol that the client offers and some chain has',
    { h1: { applicationProtocols: ['http/1.1'] }, h2: { applicationProtocols: ['h2'] }, any: {} },
    tls('', 'x', 'h2', 'http/1.1'),
    'h2',
  ],
  [
    'no protocol that any chain names',
    { h1: { applicationProtocols: ['http/1.1'] }, any: {} },
    tls('', 'x'),
    'any',
  ],
  [
    'where the client is',
    { near: { directSourcePrefixRanges: [range('10.1.0.0', 16)] }, any: {} },
    PLAIN,
    'near',
  ],
  ['a source port', { port: { sourcePorts: [1, 40_000] }, any: {} }, PLAIN, 'port'],
];

for (const [name, chains, facts, expected] of CASES) {
  it(name, () => {
    const { default: fallback, ...others } = chains;
    const listener = create(ListenerSchema, {
      filterChains: Object.entries(others).map(([chain, filterChainMatch]) => ({
        name: chain,
        filterChainMatch,
      })),
      ...(fallback === undefined ? {} : { defaultFilterChain: { name: 'default' } }),
    });
    strictEqual(findFilterChain(listener, CONNECTION, facts)?.name ?? '', expected);
  });
}
