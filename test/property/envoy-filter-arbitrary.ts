/** Random EnvoyFilters: every applyTo with its operations, matches that mean much or little, values that merge and that add. */
import fc from 'fast-check';
import { decodeObject } from '#api/decode-object.ts';
import { few, host, type Manifest, manifests, portNumber, selector, some } from './mesh-names.ts';

const EXTENSIONS = 'type.googleapis.com/envoy.extensions';
const HCM_NAME = 'envoy.filters.network.http_connection_manager';
const lua = (name: string) => ({
  name,
  typed_config: {
    '@type': `${EXTENSIONS}.filters.http.lua.v3.Lua`,
    default_source_code: { inline_string: 'function envoy_on_request(handle) end' },
  },
});
const tcpProxy = {
  name: 'added.tcp',
  typed_config: { '@type': `${EXTENSIONS}.filters.network.echo.v3.Echo` },
};

type Json = Readonly<Record<string, unknown>>;

const context = fc.constantFrom('ANY', 'ANY', 'SIDECAR_INBOUND', 'SIDECAR_OUTBOUND', 'GATEWAY');
const merges = fc.constantFrom('MERGE', 'MERGE_AND_REPLACE_LIST');
const ofFilters = fc.constantFrom(
  'ADD',
  'INSERT_FIRST',
  'INSERT_BEFORE',
  'INSERT_AFTER',
  'REPLACE',
  'REMOVE',
  'MERGE',
);

/** Most patches mean much, so that they meet something. */
function mostly(field: string, match: fc.Arbitrary<Json>): fc.Arbitrary<Json> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant<Json>({}) },
    { weight: 2, arbitrary: match.map((one): Json => ({ [field]: one })) },
  );
}

/** One of the fields. */
function oneOf(fields: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<Json> {
  return fc.oneof(
    ...Object.entries(fields).map(([field, value]) => value.map((one): Json => ({ [field]: one }))),
  );
}

const filterChain = oneOf({
  destinationPort: portNumber,
  transportProtocol: fc.constant('tls'),
  filter: fc.constantFrom<object>(
    { name: HCM_NAME },
    { name: HCM_NAME, subFilter: { name: 'envoy.filters.http.router' } },
    { name: HCM_NAME, subFilter: { name: 'added.lua' } },
  ),
});
const listener = oneOf({
  name: fc.constantFrom('virtualInbound', 'virtualOutbound', '0.0.0.0_80', 'added'),
  portNumber,
  filterChain,
  listenerFilter: fc.constantFrom(
    'envoy.filters.listener.tls_inspector',
    'envoy.filters.listener.http_inspector',
  ),
});
/** A match on a chain's HTTP filter is for HTTP filters alone. */
const withoutSubFilter = listener.map(({ filterChain: chain, ...rest }) => ({
  ...rest,
  ...(chain === undefined ? {} : { filterChain: { ...(chain as Json), filter: { name: HCM_NAME } } }),
}));
const vhost = oneOf({
  name: fc.constantFrom('a.default.svc.cluster.local:80', 'inbound|http|80', 'added', 'allow_any'),
  domainName: host,
  route: some({
    name: fc.constantFrom('default', 'added'),
    action: fc.constantFrom('ANY', 'ROUTE', 'REDIRECT'),
  }),
});
const routeConfiguration = oneOf({
  name: fc.constantFrom('80', 'http_proxy', 'http.80'),
  portNumber,
  gateway: fc.constant('default/a'),
  vhost,
});
const cluster = oneOf({
  service: host,
  portNumber,
  subset: fc.constant('v1'),
  name: fc.constantFrom('BlackHoleCluster', 'InboundPassthroughCluster', 'added'),
});

function patch(
  applyTo: string,
  operation: fc.Arbitrary<string>,
  value: fc.Arbitrary<Json>,
  match: fc.Arbitrary<Json>,
): fc.Arbitrary<Json> {
  return fc.tuple(operation, value, match, context).map(([chosen, json, parts, where]) => ({
    applyTo,
    match: { context: where, ...parts },
    patch: { operation: chosen, ...(chosen === 'REMOVE' ? {} : { value: json }) },
  }));
}

const inListener = mostly('listener', listener);
const inWholeListener = mostly('listener', withoutSubFilter);
const inRoutes = mostly('routeConfiguration', routeConfiguration);
const inCluster = mostly('cluster', cluster);

const route = { name: 'added', match: { path: '/added' }, direct_response: { status: 204 } };
const chain = { name: 'added', filters: [tcpProxy] };

const configPatch = fc.oneof(
  patch(
    'CLUSTER',
    fc.oneof(merges, fc.constantFrom('ADD', 'REMOVE')),
    fc.constantFrom<Json>(
      { name: 'added', type: 'STATIC', connect_timeout: '3s' },
      { name: 'added', connect_timeout: '4s', circuit_breakers: { thresholds: [{ max_connections: 3 }] } },
      {
        name: 'added',
        transport_socket: {
          name: 'envoy.transport_sockets.tls',
          typed_config: { '@type': `${EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext`, sni: 'p' },
        },
      },
      {
        name: 'added',
        transport_socket: {
          name: 'envoy.transport_sockets.tls',
          typed_config: {
            '@type': `${EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext`,
            common_tls_context: {
              tls_certificate_sds_secret_configs: [{ name: 'kubernetes://a', sds_config: { ads: {} } }],
            },
          },
        },
      },
    ),
    inCluster,
  ),
  patch(
    'LISTENER',
    fc.oneof(merges, fc.constantFrom('ADD', 'REMOVE')),
    fc.constantFrom<Json>(
      { name: 'added', per_connection_buffer_limit_bytes: 5 },
      {
        name: 'added',
        address: { socket_address: { address: '0.0.0.0', port_value: 80 } },
        filter_chains: [chain],
      },
    ),
    inWholeListener,
  ),
  patch(
    'FILTER_CHAIN',
    fc.oneof(merges, fc.constantFrom('ADD', 'REMOVE')),
    fc.constant<Json>(chain),
    inWholeListener,
  ),
  patch(
    'LISTENER_FILTER',
    ofFilters,
    fc.constant<Json>({
      name: 'added',
      typed_config: { '@type': `${EXTENSIONS}.filters.listener.tls_inspector.v3.TlsInspector` },
    }),
    inWholeListener,
  ),
  patch(
    'NETWORK_FILTER',
    ofFilters,
    fc.constantFrom<Json>(tcpProxy, {
      name: HCM_NAME,
      typed_config: {
        '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
        xff_num_trusted_hops: 2,
      },
    }),
    inWholeListener,
  ),
  patch('HTTP_FILTER', ofFilters, fc.constantFrom<Json>(lua('added.lua'), lua('')), inListener),
  patch(
    'ROUTE_CONFIGURATION',
    merges,
    fc.constantFrom<Json>(
      { response_headers_to_remove: ['x-a'] },
      { virtual_hosts: [{ name: 'added', domains: ['added.example'], routes: [route] }] },
    ),
    inRoutes,
  ),
  patch(
    'VIRTUAL_HOST',
    fc.oneof(merges, fc.constantFrom('ADD', 'REMOVE', 'REPLACE')),
    fc.constantFrom<Json>(
      { domains: ['more.example'] },
      { name: 'added', domains: ['added.example'], routes: [route] },
    ),
    inRoutes,
  ),
  patch(
    'HTTP_ROUTE',
    fc.oneof(merges, fc.constantFrom('ADD', 'INSERT_FIRST', 'INSERT_BEFORE', 'INSERT_AFTER', 'REMOVE')),
    fc.constantFrom<Json>(route, { response_headers_to_remove: ['x-b'] }),
    inRoutes,
  ),
  patch(
    'EXTENSION_CONFIG',
    fc.constant('ADD'),
    fc.constantFrom<Json>(lua('first'), lua('second')),
    fc.constant({}),
  ),
);

const proxy = fc.constantFrom<Json>(
  { proxyVersion: '^1\\.30' },
  { proxyVersion: '^1\\.2' },
  { metadata: { x: 'z' } },
);
const configPatches = few(
  fc
    .tuple(configPatch, fc.option(proxy, { freq: 12 }))
    .map(([one, wanted]) =>
      wanted === null ? one : { ...one, match: { ...(one['match'] as Json), proxy: wanted } },
    ),
  4,
);

const spec = fc
  .tuple(
    configPatches,
    some({
      workloadSelector: fc.oneof(
        fc.constant({}),
        selector.map((labels) => ({ labels })),
      ),
      priority: fc.constantFrom(-1, 1),
    }),
  )
  .map(([patches, rest]) => ({ spec: { configPatches: patches, ...rest } }));

/** EnvoyFilters, with how often they are drawn. */
export const ENVOY_FILTER_KINDS: readonly (readonly [number, fc.Arbitrary<Manifest>])[] = [
  [
    4,
    manifests('networking.istio.io/v1alpha3', 'EnvoyFilter', spec).filter(
      (manifest) => decodeObject(manifest, { defaultNamespace: 'default' }).object !== undefined,
    ),
  ],
];
