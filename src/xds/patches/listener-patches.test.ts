import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { httpManager, type Json, patch } from './patch-rig.ts';

const EXTENSIONS = 'type.googleapis.com/envoy.extensions';
const LUA = `${EXTENSIONS}.filters.http.lua.v3.Lua`;
const ROUTER = `${EXTENSIONS}.filters.http.router.v3.Router`;
const TCP = `${EXTENSIONS}.filters.network.tcp_proxy.v3.TcpProxy`;
const TLS = `${EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext`;
const INSPECTOR = `${EXTENSIONS}.filters.listener.tls_inspector.v3.TlsInspector`;
const HCM_NAME = 'envoy.filters.network.http_connection_manager';

const lua = (code: string, name = 'lua'): Json => ({ name, typedConfig: { '@type': LUA, inlineCode: code } });
const router = { name: 'envoy.filters.http.router', typedConfig: { '@type': ROUTER } };
const tcp = (prefix: string, name = 'tcp'): Json => ({
  name,
  typedConfig: { '@type': TCP, statPrefix: prefix },
});

type Operation = (operation: string, value?: Json) => Json;

/** A patch of applyTo with a listener match, as a function of operation and value. */
function on(applyTo: string, listener?: Json): Operation {
  return (operation, value) => ({
    applyTo,
    ...(listener === undefined ? {} : { match: { listener } }),
    patch: { operation, ...(value === undefined ? {} : { value }) },
  });
}

const ofHttp = (subFilter?: string): Json => ({
  filterChain: {
    filter: { name: HCM_NAME, ...(subFilter === undefined ? {} : { subFilter: { name: subFilter } }) },
  },
});

function listenerOf(...filters: readonly Json[]): Json {
  return { name: 'l', filterChains: [{ name: 'c', filters }] };
}

function filtersOf(json: Json | undefined): readonly Json[] {
  const chains = json?.['filterChains'] as readonly { readonly filters: readonly Json[] }[];
  return chains[0]?.filters ?? [];
}

function httpFiltersOf(json: Json | undefined): readonly Json[] {
  const manager = filtersOf(json)[0]?.['typedConfig'] as { readonly httpFilters: readonly Json[] };
  return manager.httpFilters;
}

const names = (filters: readonly Json[]): string => filters.map(({ name }) => name).join(' ');

/** Operation, whether it names a filter, and the names afterwards; the filters are a, b, and x is new. */
const LISTS: readonly (readonly [string, string | undefined, string])[] = [
  ['ADD', undefined, 'a b x'],
  ['ADD', 'a', 'a b x'],
  ['INSERT_FIRST', undefined, 'x a b'],
  ['INSERT_FIRST', 'b', 'x a b'],
  ['INSERT_BEFORE', undefined, 'x a b'],
  ['INSERT_BEFORE', 'b', 'a x b'],
  ['INSERT_BEFORE', 'z', 'a b'],
  ['INSERT_AFTER', undefined, 'a b x'],
  ['INSERT_AFTER', 'a', 'a x b'],
  ['INSERT_AFTER', 'b', 'a b x'],
  ['INSERT_AFTER', 'z', 'a b'],
  ['REPLACE', undefined, 'a b'],
  ['REPLACE', 'b', 'a x'],
  ['REPLACE', 'z', 'a b'],
  ['REMOVE', undefined, 'a b'],
  ['REMOVE', 'a', 'b'],
  ['REMOVE', 'z', 'a b'],
];

for (const [operation, filter, wanted] of LISTS) {
  const value = operation === 'REMOVE' ? undefined : 'x';
  const title = `${operation} ${filter ?? 'without a filter'}`;
  test(`HTTP filters: ${title}`, () => {
    const base = listenerOf(httpManager([lua('', 'a'), lua('', 'b')]));
    const change = on('HTTP_FILTER', ofHttp(filter))(operation, value && lua('', 'x'));
    const { json, applied } = patch('listener', base, [change]);
    deepStrictEqual([names(httpFiltersOf(json)), applied], [wanted, wanted === 'a b' ? [] : [0]]);
  });
  test(`network filters: ${title}`, () => {
    const match = filter === undefined ? undefined : { filterChain: { filter: { name: filter } } };
    const change = on('NETWORK_FILTER', match)(operation, value && tcp('', 'x'));
    const { json } = patch('listener', listenerOf(tcp('', 'a'), tcp('', 'b')), [change]);
    deepStrictEqual(names(filtersOf(json)), wanted);
  });
  test(`listener filters: ${title}`, () => {
    const inspector = (name: string): Json => ({ name, typedConfig: { '@type': INSPECTOR } });
    const match = filter === undefined ? undefined : { listenerFilter: filter };
    const change = on('LISTENER_FILTER', match)(operation, value && inspector('x'));
    const base = { name: 'l', listenerFilters: [inspector('a'), inspector('b')] };
    const { json } = patch('listener', base, [change]);
    deepStrictEqual(names(json?.['listenerFilters'] as readonly Json[]), wanted);
  });
}

const LIST = 'lateen.peer_certificate lateen.peer_headers a lateen.alpn b';
/** Operation, Istio's own filter, and where the new one stands then. */
const STAND_INS: readonly (readonly [string, string, string, string])[] = [
  ['INSERT_BEFORE', 'istio.metadata_exchange', LIST, `x ${LIST}`],
  [
    'INSERT_AFTER',
    'istio.metadata_exchange',
    LIST,
    'lateen.peer_certificate lateen.peer_headers x a lateen.alpn b',
  ],
  ['INSERT_AFTER', 'istio.metadata_exchange', 'a b', 'x a b'],
  ['INSERT_BEFORE', 'istio.alpn', LIST, 'lateen.peer_certificate lateen.peer_headers a x lateen.alpn b'],
  ['INSERT_AFTER', 'istio.alpn', LIST, 'lateen.peer_certificate lateen.peer_headers a lateen.alpn x b'],
  ['INSERT_AFTER', 'istio.alpn', 'a b', 'a b'],
  ['INSERT_BEFORE', 'istio.stats', 'a b', 'a x b'],
  ['INSERT_AFTER', 'istio.stats', 'a b', 'a x b'],
  ['REPLACE', 'istio.stats', 'a b', 'a b'],
  ['REMOVE', 'istio.alpn', LIST, LIST],
];

for (const [operation, filter, before, wanted] of STAND_INS) {
  test(`filters of Istio's own Envoy: ${operation} ${filter} in ${before}`, () => {
    const base = listenerOf(httpManager(before.split(' ').map((name) => lua('', name))));
    const change = on('HTTP_FILTER', ofHttp(filter))(
      operation,
      operation === 'REMOVE' ? undefined : lua('', 'x'),
    );
    deepStrictEqual(names(httpFiltersOf(patch('listener', base, [change]).json)), wanted);
  });
}

test('removing takes every filter of the name, replacing the first', () => {
  const base = listenerOf(httpManager([lua('1'), lua('2'), router]));
  const remove = on('HTTP_FILTER', ofHttp('lua'))('REMOVE');
  deepStrictEqual(names(httpFiltersOf(patch('listener', base, [remove]).json)), 'envoy.filters.http.router');
  const replace = on('HTTP_FILTER', ofHttp('lua'))('REPLACE', lua('3', 'new'));
  deepStrictEqual(
    names(httpFiltersOf(patch('listener', base, [replace]).json)),
    'new lua envoy.filters.http.router',
  );
});

test('merging comes behind putting in, so that a filter that was put in is merged with too', () => {
  const patches = [
    on('HTTP_FILTER', ofHttp('lua'))('MERGE', lua('merged', '')),
    on('HTTP_FILTER', ofHttp())('INSERT_FIRST', lua('first')),
  ];
  const { json, applied } = patch('listener', listenerOf(httpManager([router])), patches);
  deepStrictEqual(
    [httpFiltersOf(json), applied],
    [
      [lua('merged'), router],
      [0, 1],
    ],
  );
});

test('merging changes name and configuration, and nothing that has no configuration', () => {
  const base = listenerOf(httpManager([lua('a'), { name: 'lua', disabled: true }]));
  const change = on('HTTP_FILTER', ofHttp('lua'))('MERGE', { ...lua('b', 'other'), disabled: true });
  deepStrictEqual(httpFiltersOf(patch('listener', base, [change]).json), [
    lua('b', 'other'),
    { name: 'lua', disabled: true },
  ]);
});

test('a merge that means filters of several types changes those of its own', () => {
  const base = listenerOf(httpManager([lua('a'), router]));
  const change = on('HTTP_FILTER')('MERGE', lua('b', ''));
  const { json, applied } = patch('listener', base, [change]);
  deepStrictEqual([httpFiltersOf(json), applied], [[lua('b'), router], [0]]);
});

test('MERGE_AND_REPLACE_LIST is not for filters', () => {
  const change = on('HTTP_FILTER', ofHttp('lua'))('MERGE_AND_REPLACE_LIST', lua('b'));
  deepStrictEqual(patch('listener', listenerOf(httpManager([lua('a')])), [change]).applied, []);
});

test('a connection manager is merged through its Any, lists appended', () => {
  const { typedConfig } = httpManager([], { statPrefix: 'y', upgradeConfigs: [{ upgradeType: 'CONNECT' }] });
  const change = on('NETWORK_FILTER', ofHttp())('MERGE', { typedConfig });
  const base = httpManager([router], { statPrefix: 'x', upgradeConfigs: [{ upgradeType: 'websocket' }] });
  const { json } = patch('listener', listenerOf(base), [change]);
  deepStrictEqual(filtersOf(json), [
    httpManager([router], {
      statPrefix: 'y',
      upgradeConfigs: [{ upgradeType: 'websocket' }, { upgradeType: 'CONNECT' }],
    }),
  ]);
});

test('HTTP filters are only looked for in connection managers under the generated name', () => {
  const manager = { ...httpManager([router]), name: 'other' };
  const { applied } = patch('listener', listenerOf(manager), [on('HTTP_FILTER')('INSERT_FIRST', lua('a'))]);
  deepStrictEqual(applied, []);
});

test('a listener filter keeps its name when it is merged', () => {
  const base = { name: 'l', listenerFilters: [{ name: 'a', typedConfig: { '@type': INSPECTOR } }] };
  const value = { name: 'b', typedConfig: { '@type': INSPECTOR, enableJa3Fingerprinting: true } };
  const { json } = patch('listener', base, [on('LISTENER_FILTER', { listenerFilter: 'a' })('MERGE', value)]);
  deepStrictEqual(json?.['listenerFilters'], [{ ...value, name: 'a' }]);
});

const socket = (fields: Json): Json => ({
  name: 'envoy.transport_sockets.tls',
  typedConfig: { '@type': TLS, ...fields },
});
const chain = (name: string, rest: Json = {}): Json => ({ name, filters: [tcp('s')], ...rest });
const twoChains = { name: 'l', filterChains: [chain('a'), chain('b')] };

const CHAINS: readonly (readonly [string, Json, Json, Json])[] = [
  [
    'removed',
    twoChains,
    on('FILTER_CHAIN', { filterChain: { name: 'a' } })('REMOVE'),
    { name: 'l', filterChains: [chain('b')] },
  ],
  [
    'added',
    twoChains,
    on('FILTER_CHAIN')('ADD', chain('c')),
    { name: 'l', filterChains: [chain('a'), chain('b'), chain('c')] },
  ],
  [
    'added, at whatever place',
    twoChains,
    on('FILTER_CHAIN')('INSERT_FIRST', chain('c')),
    { name: 'l', filterChains: [chain('a'), chain('b'), chain('c')] },
  ],
  ['not added without filters', twoChains, on('FILTER_CHAIN')('ADD', { name: 'c' }), twoChains],
  [
    'the default one removed',
    { ...twoChains, defaultFilterChain: chain('d') },
    on('FILTER_CHAIN', { filterChain: { name: 'd' } })('REMOVE'),
    twoChains,
  ],
  [
    'merged',
    twoChains,
    on('FILTER_CHAIN', { filterChain: { name: 'a' } })('MERGE', {
      filterChainMatch: { sourceType: 'EXTERNAL' },
    }),
    { name: 'l', filterChains: [chain('a', { filterChainMatch: { sourceType: 'EXTERNAL' } }), chain('b')] },
  ],
  [
    'merged in its transport socket alone, where it has one of the name',
    { name: 'l', filterChains: [chain('a', { transportSocket: socket({ requireSni: true }) })] },
    on('FILTER_CHAIN')('MERGE', { name: 'z', transportSocket: socket({ requireClientCertificate: true }) }),
    {
      name: 'l',
      filterChains: [
        chain('a', { transportSocket: socket({ requireSni: true, requireClientCertificate: true }) }),
      ],
    },
  ],
  [
    'merged whole where it has none',
    { name: 'l', filterChains: [chain('a')] },
    on('FILTER_CHAIN')('MERGE', { transportSocket: socket({ requireSni: true }) }),
    { name: 'l', filterChains: [chain('a', { transportSocket: socket({ requireSni: true }) })] },
  ],
];

for (const [name, base, change, wanted] of CHAINS) {
  test(`filter chain: ${name}`, () => deepStrictEqual(patch('listener', base, [change]).json, wanted));
}

const at = (port: number): Json => ({
  address: { socketAddress: { address: '0.0.0.0', portValue: port } },
});
const told = {
  serverNames: ['a.example.com'],
  transportProtocol: 'tls',
  applicationProtocols: ['istio', 'h2'],
  destinationPort: 9080,
};

/** applyTo, name of the listener, match, whether the chain (or listener) is meant. */
const MATCHES: readonly (readonly [string, string, Json, boolean])[] = [
  ['LISTENER', '0.0.0.0_80', { name: '0.0.0.0_80' }, true],
  ['LISTENER', '0.0.0.0_80', { name: 'other' }, false],
  ['LISTENER', '0.0.0.0_80', { portNumber: 80 }, true],
  ['LISTENER', '0.0.0.0_80', { portNumber: 81 }, false],
  ['LISTENER', 'virtualInbound', { portNumber: 9080 }, false],
  ['FILTER_CHAIN', '0.0.0.0_80', { portNumber: 80 }, true],
  ['FILTER_CHAIN', '0.0.0.0_80', { portNumber: 9080 }, false],
  ['FILTER_CHAIN', 'virtualInbound', { portNumber: 9080 }, true],
  ['FILTER_CHAIN', 'virtualInbound', { portNumber: 80 }, false],
  ['FILTER_CHAIN', 'virtualOutbound', { portNumber: 9080 }, true],
  ['FILTER_CHAIN', 'l', { filterChain: { name: 'c' } }, true],
  ['FILTER_CHAIN', 'l', { filterChain: { name: 'd' } }, false],
  ['FILTER_CHAIN', 'l', { filterChain: { sni: 'a.example.com' } }, true],
  ['FILTER_CHAIN', 'l', { filterChain: { sni: 'b.example.com' } }, false],
  ['FILTER_CHAIN', 'l', { filterChain: { transportProtocol: 'tls' } }, true],
  ['FILTER_CHAIN', 'l', { filterChain: { transportProtocol: 'raw_buffer' } }, false],
  ['FILTER_CHAIN', 'l', { filterChain: { applicationProtocols: 'h2,istio' } }, true],
  ['FILTER_CHAIN', 'l', { filterChain: { applicationProtocols: 'h2,http/1.1' } }, false],
  ['FILTER_CHAIN', 'l', { filterChain: { destinationPort: 9080 } }, true],
  ['FILTER_CHAIN', 'l', { filterChain: { destinationPort: 80 } }, false],
];

for (const [applyTo, name, match, isMeant] of MATCHES) {
  test(`${applyTo} of ${name} ${isMeant ? 'is' : 'is not'} meant by ${JSON.stringify(match)}`, () => {
    const base = { name, ...at(80), filterChains: [chain('c', { filterChainMatch: told })] };
    deepStrictEqual(patch('listener', base, [on(applyTo, match)('REMOVE')]).applied, isMeant ? [0] : []);
  });
}

test('a removed listener is gone before its parts are looked at', () => {
  const patches = [on('FILTER_CHAIN')('REMOVE'), on('LISTENER')('REMOVE')];
  const { json, applied } = patch('listener', twoChains, patches);
  deepStrictEqual([json, applied], [undefined, [1]]);
});

test('a merged listener keeps its name', () => {
  const change = on('LISTENER')('MERGE', { name: 'z', listenerFiltersTimeout: '1s' });
  deepStrictEqual(patch('listener', { name: 'l' }, [change]).json, {
    name: 'l',
    listenerFiltersTimeout: '1s',
  });
});

test('the routes in an inbound listener are patched before its filters', () => {
  const routeConfig = {
    name: 'inbound|9080||',
    virtualHosts: [
      {
        name: 'inbound|http|9080',
        domains: ['*'],
        routes: [{ match: { prefix: '/' }, route: { cluster: 'inbound|9080||' } }],
      },
    ],
  };
  const merge = (match: Json): Json => ({
    applyTo: 'HTTP_ROUTE',
    match: { routeConfiguration: match },
    patch: { operation: 'MERGE', value: { route: { timeout: '7s' } } },
  });
  const base = listenerOf(httpManager([router], { routeConfig }));
  const { json, applied } = patch('listener', base, [merge({ portNumber: 80 }), merge({ portNumber: 9080 })]);
  const manager = filtersOf(json)[0]?.['typedConfig'] as { readonly routeConfig: typeof routeConfig };
  deepStrictEqual(applied, [1]);
  deepStrictEqual(manager.routeConfig.virtualHosts[0]?.routes[0]?.route, {
    cluster: 'inbound|9080||',
    timeout: '7s',
  });
});
