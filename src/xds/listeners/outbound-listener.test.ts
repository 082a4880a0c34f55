import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import type { FilterChain } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { type ListenerFacts, meshListenerFacts } from '#scope/listener-facts.ts';
import type { HttpTarget, OutboundChain, StreamTarget } from '#scope/outbound-listener-chains.ts';
import { NO_EXTENSIONS } from '#xds/extensions/listener-extensions.ts';
import { PLAIN_STREAM } from '#scope/stream-settings.ts';
import {
  buildOutboundListener,
  type OutboundListenerInput,
  outboundListenerReferences,
} from './outbound-listener.ts';

const FACTS = meshListenerFacts({}, DEFAULT_MESH_FLAGS);

function build(overrides: Partial<OutboundListenerInput>) {
  const input: OutboundListenerInput = {
    name: '0.0.0.0_80',
    address: '0.0.0.0',
    extraAddresses: ['::'],
    port: 80,
    bound: false,
    chains: [],
    facts: FACTS,
    extensions: NO_EXTENSIONS,
  };
  const listener = buildOutboundListener({ ...input, ...overrides });
  return {
    chains: listener.filterChains.map(match),
    fallback: listener.defaultFilterChain === undefined ? '' : match(listener.defaultFilterChain),
    filters: listener.listenerFilters.map(({ name }) => name.split('.').at(-1)),
    bindToPort: listener.bindToPort,
    address: listener.address?.address.case,
    moreAddresses: listener.additionalAddresses.length,
    atOnce: listener.maxConnectionsToAcceptPerSocketEvent,
    balanced: listener.connectionBalanceConfig !== undefined,
    inspectsForMs: Number(listener.listenerFiltersTimeout?.seconds ?? -1n) * 1000,
  };
}

/** What a chain matches on, and the kinds of its filters. */
function match({ filterChainMatch: m, filters }: FilterChain): string {
  const ranges = m?.prefixRanges.map(({ addressPrefix, prefixLen }) => `${addressPrefix}/${prefixLen}`) ?? [];
  const words = [
    m?.transportProtocol,
    ...(m?.serverNames ?? []),
    ...(m?.applicationProtocols ?? []),
    ...ranges,
  ];
  const kinds = filters.map(({ name }) => name.split('.').at(-1) ?? '').join('+');
  return `${words.filter((word) => word !== undefined && word !== '').join(' ')} -> ${kinds}`;
}

const HTTP_TARGET: HttpTarget = { kind: 'http', routeTable: '80', protocol: 'HTTP', dynamicHost: '' };
const STREAM_TARGET: StreamTarget = {
  kind: 'stream',
  destinations: [{ hostname: 'db.example.com', port: 80, subset: '', weight: 0 }],
  label: '',
  isWeighted: false,
  settings: PLAIN_STREAM,
  protocol: 'TCP',
  dynamicHost: '',
};
const http: OutboundChain = { sniHosts: [], cidrs: [], onlyHttp: true, target: HTTP_TARGET };
const db: OutboundChain = { sniHosts: [], cidrs: [], onlyHttp: false, target: STREAM_TARGET };
const web: OutboundChain = { ...db, sniHosts: ['web.example.com', 'a.example.com'] };
const range: OutboundChain = { ...db, cidrs: ['10.2.0.0/16'] };
const of = (change: Partial<StreamTarget>): OutboundChain => ({
  ...db,
  target: { ...STREAM_TARGET, ...change },
});
const HTTP = 'raw_buffer http/1.1 h2c -> http_connection_manager';
const TCP = ' -> tcp_proxy';

const CASES: readonly (readonly [
  string,
  Partial<OutboundListenerInput>,
  Partial<ReturnType<typeof build>>,
])[] = [
  [
    'HTTP lets other bytes fall through',
    { chains: [http] },
    { chains: [HTTP], fallback: TCP, filters: ['http_inspector'], bindToPort: false, moreAddresses: 0 },
  ],
  ['bytes alone are a chain like any other', { chains: [db] }, { chains: [TCP], fallback: '', filters: [] }],
  [
    'bytes beside HTTP are the default',
    { chains: [db, http] },
    { chains: [HTTP], fallback: TCP, filters: ['http_inspector'] },
  ],
  [
    'TLS is told apart by server name',
    { chains: [web] },
    { chains: ['a.example.com web.example.com -> tcp_proxy'], fallback: TCP, filters: ['tls_inspector'] },
  ],
  [
    'a star among the server names takes all, and the names must still be read',
    { chains: [{ ...db, sniHosts: ['*', 'a.example.com'] }] },
    { chains: [TCP], fallback: '', filters: ['tls_inspector'] },
  ],
  [
    'all in one listener, in the order of the chains',
    { chains: [web, range, http, db] },
    {
      chains: ['a.example.com web.example.com -> tcp_proxy', '10.2.0.0/16 -> tcp_proxy', HTTP],
      fallback: TCP,
      filters: ['tls_inspector', 'http_inspector'],
    },
  ],
  [
    'all of IPv4 is no condition, nor is what is no address',
    { chains: [{ ...db, cidrs: ['0.0.0.0/0', 'x'] }] },
    { chains: [TCP], fallback: TCP },
  ],
  [
    'a bound listener has a socket, and takes one connection at a time',
    { chains: [db], bound: true },
    { chains: [TCP], bindToPort: undefined, atOnce: 1 },
  ],
  [
    'a Unix socket is one',
    { chains: [db], bound: true, address: 'unix:///run/db', port: 0 },
    { address: 'pipe' },
  ],
  [
    'a proxy with both families listens on both',
    { chains: [db], facts: { ...FACTS, ipFamilies: 'dual' } },
    { moreAddresses: 1 },
  ],
  [
    'connections are spread where the proxy asks for it, and inspection ends where the mesh says so',
    { chains: [http], facts: { ...FACTS, exactBalanceOutbound: true, detectionTimeoutMs: 3_000 } },
    { balanced: true, inspectsForMs: 3_000 },
  ],
  [
    'HTTP/1.0 is HTTP where the mesh takes it',
    { chains: [http], facts: { ...FACTS, flags: { ...FACTS.flags, http10: true } } },
    { chains: ['raw_buffer http/1.0 http/1.1 h2c -> http_connection_manager'] },
  ],
  [
    'MongoDB is understood',
    { chains: [of({ protocol: 'Mongo' })] },
    { chains: [' -> mongo_proxy+tcp_proxy'] },
  ],
  ['Redis is bytes', { chains: [of({ protocol: 'Redis' })] }, { chains: [TCP] }],
  [
    'Redis has its own filter where the mesh asks for it',
    {
      chains: [of({ protocol: 'Redis' })],
      facts: { ...FACTS, flags: { ...FACTS.flags, redisFilter: true } },
    },
    { chains: [' -> redis_proxy'] },
  ],
  [
    'a wildcard is looked up by server name',
    { chains: [{ ...of({ dynamicHost: '*.example.com' }), sniHosts: ['*.example.com'] }] },
    { chains: ['*.example.com -> sni_dynamic_forward_proxy+tcp_proxy'], filters: ['tls_inspector'] },
  ],
];

for (const [name, input, expected] of CASES) {
  it(name, () => {
    const actual = build(input);
    deepStrictEqual(
      Object.fromEntries(Object.keys(expected).map((key) => [key, actual[key as keyof typeof actual]])),
      expected,
    );
  });
}

const EGRESS = { hostname: 'egress.example.com', port: 443, subset: 'v1' };
const UNKNOWN: readonly (readonly [Partial<ListenerFacts>, string])[] = [
  [{ outboundPolicy: 'ALLOW_ANY' }, 'PassthroughCluster'],
  [{ outboundPolicy: 'REGISTRY_ONLY' }, 'BlackHoleCluster'],
  [{ outboundPolicy: 'ALLOW_ANY', egressProxy: EGRESS }, 'outbound|443|v1|egress.example.com'],
];

for (const [policy, cluster] of UNKNOWN) {
  it(`under ${JSON.stringify(policy)} what no chain takes goes to ${cluster}`, () => {
    const input = {
      name: 'l',
      address: '0.0.0.0',
      extraAddresses: [],
      port: 80,
      bound: false,
      chains: [http],
      extensions: NO_EXTENSIONS,
    };
    const listener = buildOutboundListener({ ...input, facts: { ...FACTS, ...policy } });
    const filter = listener.defaultFilterChain?.filters[0]?.configType;
    const bytes = filter?.case === 'typedConfig' ? Buffer.from(filter.value.value).toString('latin1') : '';
    deepStrictEqual(
      [bytes.includes(cluster), listener.defaultFilterChain?.name],
      [true, 'PassthroughFilterChain'],
    );
  });
}

it('names the tables and clusters of its chains once, and where unknown destinations go', () => {
  const input = { name: 'l', address: '0.0.0.0', extraAddresses: [], port: 80, bound: false };
  const names = (chains: readonly OutboundChain[], facts: ListenerFacts) =>
    outboundListenerReferences({ ...input, chains, facts, extensions: NO_EXTENSIONS });
  const byProxy = { ...FACTS, egressProxy: EGRESS };
  deepStrictEqual(names([http, db, web], FACTS), ['80', 'outbound|80||db.example.com']);
  deepStrictEqual(names([http, web], byProxy).at(-1), 'outbound|443|v1|egress.example.com');
  // Nothing is left for unknown destinations where one chain takes all.
  deepStrictEqual(names([http, db, web], byProxy), names([http, db, web], FACTS));
});
