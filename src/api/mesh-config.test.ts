/** Mesh config: a user's part over Istio's defaults, with Istio's rules of merging. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { Findings } from './findings.ts';
import {
  defaultMeshConfig,
  defaultMeshProxyConfig,
  mergeMeshProxyConfig,
  parseMeshConfig,
  parseMeshProxyConfig,
} from './mesh-config.ts';
import { mergeProxyConfig } from './proxy-config-merge.ts';

test('nothing written gives the defaults, without findings', () => {
  deepStrictEqual(parseMeshConfig(undefined), { config: defaultMeshConfig(), diagnostics: [] });
  const { trustDomain, rootNamespace, connectTimeout, defaultConfig } = defaultMeshConfig();
  deepStrictEqual(
    [trustDomain, rootNamespace, connectTimeout, defaultConfig.drainDuration, defaultConfig.statusPort],
    ['cluster.local', 'istio-system', '10s', '45s', 15020],
  );
});

test('fields replace, defaultConfig and defaultProviders merge, providers merge by name, aliases unite', () => {
  const base = parseMeshConfig({
    trustDomainAliases: ['b'],
    defaultConfig: { proxyMetadata: { A: '1', B: '1' }, concurrency: 1 },
    defaultProviders: { metrics: ['prometheus'] },
  }).config;
  const { config } = parseMeshConfig(
    {
      outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' },
      localityLbSetting: { distribute: [] },
      trustDomainAliases: ['c', 'a'],
      defaultConfig: {
        proxyMetadata: { B: '2' },
        holdApplicationUntilProxyStarts: true,
        tracingServiceName: 'APP_LABEL_AND_NAMESPACE',
      },
      defaultProviders: { tracing: ['otel'] },
      extensionProviders: [
        { name: 'envoy', envoyFileAccessLog: { path: '/tmp/log' } },
        { name: 'otel', opentelemetry: { service: 'otel.ns.svc', port: 4317 } },
      ],
    },
    base,
  );
  deepStrictEqual(
    JSON.parse(
      JSON.stringify([
        config.outboundTrafficPolicy,
        config.localityLbSetting,
        config.trustDomainAliases,
        config.defaultConfig.proxyMetadata,
        [
          config.defaultConfig.concurrency,
          config.defaultConfig.serviceCluster ?? null,
          config.defaultConfig.discoveryAddress,
        ],
        config.defaultProviders,
        config.extensionProviders,
      ]),
    ),
    [
      { mode: 'REGISTRY_ONLY' },
      { distribute: [] },
      ['a', 'b', 'c'],
      { A: '1', B: '2' },
      [1, null, 'istiod.istio-system.svc:15012'],
      { metrics: ['prometheus'], tracing: ['otel'] },
      [
        { name: 'prometheus', prometheus: {} },
        { name: 'stackdriver', stackdriver: {} },
        { envoyFileAccessLog: { path: '/tmp/log' }, name: 'envoy' },
        { name: 'otel', opentelemetry: { port: 4317, service: 'otel.ns.svc' } },
      ],
    ],
  );
});

const PARTS: readonly (readonly [name: string, part: unknown, ...findings: string[]])[] = [
  ['an unknown field', { acessLogFile: '/dev/stdout' }, 'LTN1002 acessLogFile'],
  ['an unknown mode', { outboundTrafficPolicy: { mode: 'ANY' } }, 'LTN1004 outboundTrafficPolicy.mode'],
  ['a port', { proxyListenPort: 0 }, 'LTN2011 proxyListenPort'],
  ['a timeout', { connectTimeout: '2h' }, 'LTN2032 connectTimeout'],
  ['a trust domain', { trustDomain: 'a/b' }, 'LTN2001 trustDomain'],
  ['an address', { defaultConfig: { discoveryAddress: 'istiod' } }, 'LTN2034 defaultConfig.discoveryAddress'],
  [
    'drain in whole seconds',
    { defaultConfig: { drainDuration: '1500ms' } },
    'LTN2034 defaultConfig.drainDuration',
  ],
  [
    'a curve that nobody knows',
    { tlsDefaults: { ecdhCurves: ['P-1'] } },
    'LTN2045 tlsDefaults.ecdhCurves[0]',
  ],
  [
    "a collector's address",
    { defaultConfig: { tracing: { zipkin: { address: 'zipkin' } } } },
    'LTN2034 defaultConfig.tracing.zipkin.address',
  ],
  [
    'tags without a source',
    {
      defaultConfig: {
        tracing: { customTags: { good: { header: { name: 'x' } }, empty: { literal: {} }, nothing: {} } },
      },
    },
    'LTN4003 defaultConfig.tracing.customTags.empty',
    'LTN4003 defaultConfig.tracing.customTags.nothing',
  ],
  [
    'a tracer that Envoy does not have',
    { defaultConfig: { tracing: { openCensusAgent: { address: 'x:1' } } } },
    'LTN4003 defaultConfig.tracing.openCensusAgent',
  ],
  [
    'tracing providers: two, of which the first is not there',
    { defaultProviders: { tracing: ['nobody', 'otel'] } },
    'LTN4003 defaultProviders.tracing',
    'LTN4001 defaultProviders.tracing[0]',
  ],
  [
    'a tracing provider that takes no spans',
    { defaultProviders: { tracing: ['Prometheus'] } },
    'LTN4001 defaultProviders.tracing[0]',
  ],
  [
    'a tracing provider, whatever the case of its name',
    {
      defaultProviders: { tracing: ['OTEL'] },
      extensionProviders: [{ name: 'otel', opentelemetry: { service: 'otel.ns.svc', port: 4317 } }],
    },
  ],
];

for (const [name, part, ...expected] of PARTS) {
  test(`mesh config: ${name}`, () => {
    deepStrictEqual(
      parseMeshConfig(part).diagnostics.map(({ code, path }) => `${code} ${path}`),
      expected,
    );
  });
}

test('a proxy takes mesh default, global, namespace, annotation and workload in rising order', () => {
  const findings = new Findings();
  const annotation = parseMeshProxyConfig(
    { concurrency: 4, proxyMetadata: { C: 'annotation', D: 'annotation' } },
    '',
    findings,
  );
  const merged = mergeProxyConfig(
    { ...defaultMeshProxyConfig(), concurrency: 1, proxyMetadata: { A: 'mesh' } },
    {
      global: { concurrency: 2, environmentVariables: { B: 'global', C: 'global' } },
      namespace: { concurrency: 3, image: { imageType: 'distroless' } },
      annotation: annotation ?? {},
      workload: { environmentVariables: { D: 'workload' } },
    },
  );
  deepStrictEqual(findings.all, []);
  deepStrictEqual(
    [merged.concurrency, merged.image, { ...merged.proxyMetadata }, merged.statusPort],
    [4, { imageType: 'distroless' }, { A: 'mesh', B: 'global', C: 'annotation', D: 'workload' }, 15020],
  );
});

test('without sources the mesh default stands', () => {
  const base = defaultMeshProxyConfig();
  strictEqual(JSON.stringify(mergeProxyConfig(base, {})), JSON.stringify(base));
});

test("of the mesh's proxyHeaders a part keeps what Istio keeps", () => {
  const merged = mergeMeshProxyConfig(
    {
      ...defaultMeshProxyConfig(),
      proxyHeaders: { requestId: { disabled: true }, preserveHttp1HeaderCase: true, attemptCount: {} },
    },
    { proxyHeaders: { server: { value: 'mine' }, attemptCount: { disabled: true } } },
  );
  deepStrictEqual(merged.proxyHeaders, {
    requestId: { disabled: true },
    attemptCount: { disabled: true },
    server: { value: 'mine' },
  });
});

const provider = (settings: object): object => ({ extensionProviders: [{ name: 'p', ...settings }] });
const authz = (settings: object): object =>
  provider({ envoyExtAuthzHttp: { service: 'a/b.c', port: 80, ...settings } });
const problems: readonly (readonly [string, object, readonly string[]])[] = [
  [
    'limits of connections',
    {
      defaultConfig: {
        connectionSettings: {
          httpIdleTimeout: '-1s',
          httpDrainTimeout: '0s',
          httpMaxConcurrentStreams: 0,
          http2InitialStreamWindowSize: 65534,
        },
      },
    },
    [
      'LTN2032 defaultConfig.connectionSettings.httpMaxConcurrentStreams',
      'LTN2032 defaultConfig.connectionSettings.http2InitialStreamWindowSize',
      'LTN2033 defaultConfig.connectionSettings.httpIdleTimeout',
    ],
  ],
  [
    'retries of inbound routes',
    { defaultInboundHttpRetryPolicy: { attempts: 0, backoff: '1s', retryIgnorePreviousHosts: true } },
    [
      'LTN2037 defaultInboundHttpRetryPolicy.backoff',
      'LTN2041 defaultInboundHttpRetryPolicy.retryIgnorePreviousHosts',
    ],
  ],
  [
    'zone-aware balancing',
    { zoneAwareLbSetting: { failoverPriority: ['topology.kubernetes.io/zone'] } },
    ['LTN2034 zoneAwareLbSetting.failoverPriority[0]'],
  ],
  ['a provider that is as it should be', authz({ statusOnError: '503', pathPrefix: '/check' }), []],
  ['a provider without a kind', provider({}), ['LTN4001 extensionProviders[3]']],
  [
    'a provider without a port',
    provider({ zipkin: { service: 'z.y' } }),
    ['LTN4001 extensionProviders[3].zipkin.port'],
  ],
  [
    'a provider with three mistakes',
    authz({ service: 'bad host', statusOnError: '999', pathPrefix: 'check' }),
    [
      'LTN4001 extensionProviders[3].envoyExtAuthzHttp.service',
      'LTN4001 extensionProviders[3].envoyExtAuthzHttp.statusOnError',
      'LTN4001 extensionProviders[3].envoyExtAuthzHttp.pathPrefix',
    ],
  ],
  [
    'OpenTelemetry both ways',
    provider({ opentelemetry: { service: '10.0.0.1', port: 1, grpc: {}, http: { path: '/' } } }),
    ['LTN4001 extensionProviders[3].opentelemetry'],
  ],
];

for (const [what, part, expected] of problems) {
  test(`what is wrong with ${what} is told with its path`, () => {
    const { diagnostics } = parseMeshConfig(part);
    deepStrictEqual(
      diagnostics.map(({ code, path }) => `${code} ${path}`),
      expected,
    );
  });
}
