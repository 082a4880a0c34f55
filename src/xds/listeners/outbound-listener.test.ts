import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import type { FilterChain } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { NO_EXTENSIONS } from '#xds/extensions/listener-extensions.ts';
import { buildOutboundListener, type OutboundListenerInput, serviceStream } from './outbound-listener.ts';

const FACTS: ListenerFacts = {
  trustDomains: ['cluster.local'],
  rootNamespace: 'istio-system',
  outboundPort: 15001,
  inboundPort: 15006,
  httpProxyPort: 0,
  outboundPolicy: 'ALLOW_ANY',
  pathNormalization: 'BASE',
  accessLog: { file: '', format: '', encoding: 'TEXT' },
  minimumTlsVersion: 'TLSv1_2',
  connectTimeoutMs: 10_000,
};

function build(overrides: Partial<OutboundListenerInput>) {
  const input = {
    name: '0.0.0.0_80',
    address: '0.0.0.0',
    port: 80,
    bound: false,
    routeName: '',
    streams: [],
    sniff: false,
    facts: FACTS,
    extensions: NO_EXTENSIONS,
  };
  const listener = buildOutboundListener({ ...input, ...overrides });
  return {
    chains: listener.filterChains.map(match),
    fallback: listener.defaultFilterChain === undefined ? '' : match(listener.defaultFilterChain),
    filters: listener.listenerFilters.map(({ name }) => name.split('.').at(-1)),
    bindToPort: listener.bindToPort,
  };
}

/** What a chain matches on, and the kind of its last filter. */
function match({ filterChainMatch: m, filters }: FilterChain): string {
  const ranges = m?.prefixRanges.map(({ addressPrefix, prefixLen }) => `${addressPrefix}/${prefixLen}`) ?? [];
  const words = [
    m?.transportProtocol,
    ...(m?.serverNames ?? []),
    ...(m?.applicationProtocols ?? []),
    ...ranges,
  ];
  const last = filters.at(-1)?.name.split('.').at(-1) ?? '';
  return `${words.filter((word) => word !== undefined && word !== '').join(' ')} -> ${last}`;
}

const db = serviceStream('db.example.com', 80);
const web = serviceStream('web.example.com', 80, ['web.example.com']);
const range = serviceStream('range.example.com', 80, [], ['10.2.0.0/16']);
const HTTP = 'raw_buffer http/1.1 h2c -> http_connection_manager';
const TCP = ' -> tcp_proxy';

const CASES: readonly (readonly [
  string,
  Partial<OutboundListenerInput>,
  Partial<ReturnType<typeof build>>,
])[] = [
  [
    'HTTP lets other bytes fall through',
    { routeName: '80' },
    { chains: [HTTP], fallback: TCP, filters: ['http_inspector'], bindToPort: false },
  ],
  ['bytes alone are a chain like any other', { streams: [db] }, { chains: [TCP], fallback: '', filters: [] }],
  [
    'bytes beside HTTP are the default',
    { routeName: '80', streams: [db] },
    { chains: [HTTP], fallback: TCP, filters: ['http_inspector'] },
  ],
  [
    'TLS is told apart by server name',
    { streams: [web] },
    { chains: ['web.example.com -> tcp_proxy'], fallback: TCP, filters: ['tls_inspector'] },
  ],
  [
    'all in one listener',
    { routeName: '80', streams: [web, range, db] },
    {
      chains: ['web.example.com -> tcp_proxy', '10.2.0.0/16 -> tcp_proxy', HTTP],
      fallback: TCP,
      filters: ['tls_inspector', 'http_inspector'],
    },
  ],
  ['a bound listener has a socket', { streams: [db], bound: true }, { chains: [TCP], bindToPort: undefined }],
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

for (const [outboundPolicy, cluster] of [
  ['ALLOW_ANY', 'PassthroughCluster'],
  ['REGISTRY_ONLY', 'BlackHoleCluster'],
] as const) {
  it(`under ${outboundPolicy} what no chain takes goes to ${cluster}`, () => {
    const input = {
      name: 'l',
      address: '0.0.0.0',
      port: 80,
      bound: false,
      routeName: '80',
      streams: [],
      sniff: false,
      extensions: NO_EXTENSIONS,
    };
    const listener = buildOutboundListener({ ...input, facts: { ...FACTS, outboundPolicy } });
    const filter = listener.defaultFilterChain?.filters[0]?.configType;
    const bytes = filter?.case === 'typedConfig' ? Buffer.from(filter.value.value).toString('latin1') : '';
    deepStrictEqual(
      [bytes.includes(cluster), listener.defaultFilterChain?.name],
      [true, 'PassthroughFilterChain'],
    );
  });
}
