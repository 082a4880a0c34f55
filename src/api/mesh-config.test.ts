/** Mesh config: a user's part over Istio's defaults, with Istio's rules of merging. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { Findings } from './findings.ts';
import {
  defaultMeshConfig,
  defaultMeshProxyConfig,
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
