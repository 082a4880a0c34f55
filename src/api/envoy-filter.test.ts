import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { decodeObject } from './decode-object.ts';

type Json = Readonly<Record<string, unknown>>;

function findingsOf(configPatches: readonly Json[]): readonly string[] {
  const document = {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name: 'e', namespace: 'default' },
    spec: { configPatches },
  };
  const { diagnostics } = decodeObject(document, { defaultNamespace: 'default' });
  return diagnostics.map(
    ({ code, severity, path = '' }) => `${severity} ${code} ${path.slice('spec.configPatches'.length)}`,
  );
}

const LUA = 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua';
const HCM = 'envoy.filters.network.http_connection_manager';
const add = (applyTo: string, value: unknown): Json => ({ applyTo, patch: { operation: 'ADD', value } });
const change = (applyTo: string, operation: string, match?: Json): Json => ({
  applyTo,
  ...(match === undefined ? {} : { match }),
  patch: {
    operation,
    ...(operation === 'REMOVE' ? {} : { value: { name: 'x', typed_config: { '@type': LUA } } }),
  },
});

const CASES: readonly (readonly [string, Json, readonly string[]])[] = [
  ['a value that is right', add('CLUSTER', { name: 'x', connect_timeout: '1s' }), []],
  ['durations as Go writes them', add('CLUSTER', { dns_refresh_rate: '500ms' }), []],
  ['lowerCamel names', add('CLUSTER', { connectTimeout: '1s' }), []],
  [
    'a field that Envoy has not',
    add('CLUSTER', { conect_timeout: '1s' }),
    ['warning LTN2603 [0].patch.value.conect_timeout'],
  ],
  ['a value of the wrong type', add('CLUSTER', { name: 5 }), ['error LTN1003 [0].patch.value.name']],
  [
    'a value of an enum that is unknown',
    add('CLUSTER', { lb_policy: 'BEST' }),
    ['error LTN1004 [0].patch.value.lb_policy'],
  ],
  [
    'two members of one choice',
    add('HTTP_ROUTE', { route: {}, redirect: {} }),
    ['error LTN1005 [0].patch.value.route'],
  ],
  [
    'a type that is unknown',
    add('HTTP_FILTER', { name: 'x', typed_config: { '@type': 'type.googleapis.com/envoy.v3.Nothing' } }),
    ['error LTN2604 [0].patch.value.typed_config["@type"]'],
  ],
  [
    'no type',
    add('HTTP_FILTER', { name: 'x', typed_config: {} }),
    ['error LTN1012 [0].patch.value.typed_config'],
  ],
  [
    'a mistake inside an Any',
    add('HTTP_FILTER', { name: 'x', typed_config: { '@type': LUA, inline_code: 1, more: 2 } }),
    [
      'error LTN1003 [0].patch.value.typed_config.inline_code',
      'warning LTN2603 [0].patch.value.typed_config.more',
    ],
  ],
  [
    'a well-known type inside an Any',
    add('EXTENSION_CONFIG', {
      name: 'x',
      typed_config: { '@type': 'type.googleapis.com/google.protobuf.StringValue', value: 'a' },
    }),
    [],
  ],
  ['a filter by name alone', add('HTTP_FILTER', { name: 'x' }), ['warning LTN2606 [0].patch.value']],
  [
    'a filter that is discovered',
    add('HTTP_FILTER', { name: 'x', config_discovery: { config_source: { ads: {} } } }),
    [],
  ],
  [
    'a deprecated name of a filter',
    change('HTTP_FILTER', 'INSERT_FIRST', {
      listener: { filterChain: { filter: { name: 'envoy.http_connection_manager' } } },
    }),
    ['warning LTN2605 [0].match.listener.filterChain.filter.name'],
  ],
  [
    'a version expression that is too long',
    change('CLUSTER', 'REMOVE', { proxy: { proxyVersion: 'x'.repeat(1025) } }),
    ['warning LTN2607 [0].match.proxy.proxyVersion'],
  ],
  [
    'a version expression that is none',
    change('CLUSTER', 'REMOVE', { proxy: { proxyVersion: '(' } }),
    ['error LTN2053 [0].match.proxy.proxyVersion'],
  ],
  [
    'an operation that does nothing',
    { applyTo: 'ROUTE_CONFIGURATION', patch: { operation: 'ADD', value: {} } },
    ['info LTN2608 [0].patch.operation'],
  ],
  [
    'the bootstrap, which nothing changes',
    { applyTo: 'BOOTSTRAP', patch: { operation: 'MERGE', value: {} } },
    ['info LTN2608 [0].patch.operation'],
  ],
  [
    'removing filters without saying which',
    change('HTTP_FILTER', 'REMOVE', { listener: { filterChain: { filter: { name: HCM } } } }),
    ['info LTN2608 [0].patch.operation'],
  ],
];

for (const [name, patch, wanted] of CASES) {
  test(`EnvoyFilter: ${name}`, () => deepStrictEqual(findingsOf([patch]), wanted));
}

function nested(depth: number, wrap: (inner: Json) => Json): Json {
  let value: Json = {};
  for (let i = 0; i < depth; i++) value = wrap(value);
  return value;
}

/** What must be refused, or taken without harm, and in bounded time. */
const HOSTILE: readonly (readonly [string, () => readonly Json[], string])[] = [
  [
    'a Struct nested too deep',
    () => [
      add('HTTP_FILTER', {
        name: 'x',
        typed_config: { '@type': 'a/udpa.type.v1.TypedStruct', value: nested(5_000, (a) => ({ a })) },
      }),
    ],
    'error LTN1009',
  ],
  [
    'messages nested too deep',
    () => [
      add('LISTENER_FILTER', { name: 'x', filter_disabled: nested(90, (inner) => ({ not_match: inner })) }),
    ],
    'error LTN1009',
  ],
  ['a value that is too long', () => [add('HTTP_FILTER', { name: 'x'.repeat(1 << 20) })], 'error LTN1009'],
  [
    'too many patches',
    () => Array.from({ length: 1_001 }, () => change('CLUSTER', 'REMOVE')),
    'error LTN1009',
  ],
  [
    'fields that nobody knows, by the thousand',
    () => [
      add('LISTENER', {
        filter_chains: Array.from({ length: 9_000 }, (_, i) => ({ [`unknown_field_${i}`]: 1 })),
      }),
    ],
    'warning LTN2603',
  ],
  [
    'types that nobody knows, by the thousand',
    () => [
      add('LISTENER', {
        filter_chains: Array.from({ length: 9_000 }, () => ({
          transport_socket: { typed_config: { '@type': 'envoy.extensions.filters.http.lua.v3.Lu' } },
        })),
      }),
    ],
    'error LTN2604',
  ],
];

for (const [name, patches, wanted] of HOSTILE) {
  test(`hostile: ${name}`, () => {
    const started = performance.now();
    const found = findingsOf(patches());
    const tookMs = performance.now() - started;
    strictEqual(found[0]?.startsWith(wanted), true, found.slice(0, 3).join('; '));
    ok(found.length <= 201, `${found.length} findings`);
    ok(tookMs < 2_000, `${tookMs} ms`);
  });
}

test('hostile: names of the language are names like any other', () => {
  const value = JSON.parse(
    '{"name":"x","typed_per_filter_config":{"__proto__":{"@type":"' +
      LUA +
      '"},"constructor":{"@type":"' +
      LUA +
      '"}}}',
  ) as Json;
  deepStrictEqual(findingsOf([add('HTTP_ROUTE', value)]), []);
  const unknown = JSON.parse('{"__proto__":{"polluted":true},"constructor":1}') as Json;
  strictEqual(findingsOf([add('HTTP_ROUTE', unknown)]).length, 2);
  strictEqual(({} as { polluted?: unknown }).polluted, undefined);
});
