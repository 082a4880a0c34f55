import { deepStrictEqual } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { PLAIN_TRAITS, type NodeTraits, type Proxy } from '#model/proxy.ts';
import type { Tracer } from '#model/tracing.ts';
import type { ProxyConfigJson } from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';
import { meshTracer, type Tracing, type TracerChoice, tracingOf } from './tracing.ts';

const collector = { hostname: 'spans.test', port: 80 };
const ZIPKIN: Tracer = {
  kind: 'zipkin',
  collector: { ...collector, path: '/', timeoutMs: 1, headers: [] },
  traceId128Bit: true,
  alsoW3c: false,
  maxTagLength: 0,
};
const DATADOG: Tracer = { kind: 'datadog', collector, maxTagLength: 20 };
const OTEL: Tracer = {
  kind: 'opentelemetry',
  exporter: { by: 'grpc', collector, timeoutMs: 0, headers: [] },
  detectors: [],
  namesByConvention: false,
  maxTagLength: 0,
};

function proxy(facts: Partial<Proxy> = {}, traits: Partial<NodeTraits> = {}): Proxy {
  return {
    name: 'web-1.x',
    namespace: 'shop',
    labels: {},
    metadata: {},
    clusterId: '',
    traits: { ...PLAIN_TRAITS, serviceCluster: 'web.shop', ...traits },
    ...facts,
  } as Proxy;
}

function traced(
  config: ProxyConfigJson['tracing'] = {},
  choice: TracerChoice = 'bootstrap',
  of: Proxy | 'any of ours' = proxy(),
): Tracing | undefined {
  const flags = { ...DEFAULT_MESH_FLAGS, traceSampling: 7 };
  return tracingOf({
    choice,
    flags,
    config: { tracing: config },
    proxy: of === 'any of ours' ? undefined : of,
  });
}

describe('who takes spans by mesh config', () => {
  const find = (key: string) =>
    key === 'spans' ? { tracer: ZIPKIN } : key === 'broken' ? { fault: 'no service' } : undefined;
  const choices: readonly (readonly [object, TracerChoice])[] = [
    [{}, 'none'],
    [{ enableTracing: false }, 'none'],
    [{ enableTracing: true }, 'bootstrap'],
    [{ enableTracing: true, defaultProviders: { tracing: [] } }, 'bootstrap'],
    [{ defaultProviders: { tracing: ['Spans', 'broken'] } }, ZIPKIN],
    [{ enableTracing: true, defaultProviders: { tracing: ['broken'] } }, 'none'],
    [{ enableTracing: true, defaultProviders: { tracing: ['nobody'] } }, 'none'],
  ];
  for (const [mesh, expected] of choices) {
    test(JSON.stringify(mesh), () => deepStrictEqual(meshTracer(mesh, find), expected));
  }
});

describe('the sampling', () => {
  const otelWithSampler: Tracer = {
    ...OTEL,
    sampler: {
      tenant: '',
      clusterId: 0,
      rootSpansPerMinute: 0,
      service: { ...collector, path: '', timeoutMs: 0, headers: [] },
    },
  };
  const cases: readonly (readonly [NonNullable<ProxyConfigJson['tracing']>['sampling'], Tracer, number])[] = [
    [undefined, ZIPKIN, 7],
    [0, ZIPKIN, 7],
    [0.01, ZIPKIN, 0.01],
    [100, ZIPKIN, 100],
    [100.5, ZIPKIN, 1],
    [-3, ZIPKIN, 1],
    ['NaN', ZIPKIN, 1],
    [3, otelWithSampler, 100],
  ];
  for (const [sampling, tracer, expected] of cases) {
    test(`${String(sampling)} with ${tracer === otelWithSampler ? 'a sampler' : 'none'} is ${expected}`, () => {
      deepStrictEqual(traced(sampling === undefined ? {} : { sampling }, tracer)?.sampling, expected);
    });
  }
});

describe('tags', () => {
  test('proxies of our agent have one answer, whoever they are', () => {
    const one = traced({}, OTEL, proxy({ namespace: 'a', labels: { app: 'x' } }));
    deepStrictEqual(one, traced({}, OTEL, 'any of ours'));
    deepStrictEqual(one?.proxy, 'environment');
  });

  test('others say in texts who they are, as far as they know', () => {
    const foreign = { foreign: true };
    deepStrictEqual(traced({}, 'bootstrap', proxy({ labels: { app: 'web' } }, foreign))?.proxy, {
      canonicalRevision: 'latest',
      canonicalService: 'unknown',
      meshId: 'unknown',
      namespace: 'shop',
      clusterId: 'unknown',
    });
    const labels = {
      'service.istio.io/canonical-name': 'web',
      'service.istio.io/canonical-revision': 'v3',
    };
    const known = proxy({ labels, clusterId: 'c1', metadata: { MESH_ID: 'm1' } }, foreign);
    deepStrictEqual(traced({}, 'bootstrap', known)?.proxy, {
      canonicalRevision: 'v3',
      canonicalService: 'web',
      meshId: 'm1',
      namespace: 'shop',
      clusterId: 'c1',
    });
  });

  test('are switched off by the proxy config only where no provider is chosen', () => {
    const off = { enableIstioTags: false };
    deepStrictEqual([traced(off)?.isTagged, traced(off, ZIPKIN)?.isTagged], [false, true]);
  });

  test("of users' are in the order of their names, without those that Envoy would refuse", () => {
    const customTags = {
      z: { literal: { value: 'v' } },
      a: { header: { name: ':path', defaultValue: 'd' } },
      m: { environment: { name: 'E' } },
      b1: { literal: {} },
      b2: { environment: {} },
      b3: { header: { name: 'a b' } },
      b4: {},
      '': { literal: { value: 'v' } },
    };
    deepStrictEqual(traced({ customTags })?.customTags, [
      { tag: 'a', from: 'header', name: ':path', fallback: 'd' },
      { tag: 'm', from: 'environment', name: 'E', fallback: '' },
      { tag: 'z', from: 'literal', value: 'v' },
    ]);
  });

  test('with paths are as long as the provider says, else as the proxy config does', () => {
    const lengths = [traced({ maxPathTagLength: 9 }), traced({ maxPathTagLength: 9 }, DATADOG), traced()];
    deepStrictEqual(
      lengths.map((one) => one?.maxPathTagLength),
      [9, 20, 0],
    );
  });
});

describe('the name of the service', () => {
  const conventional: Tracer = { ...OTEL, namesByConvention: true };
  const annotated = { foreign: true, spanServiceName: 'annotated' };
  const instance = { 'app.kubernetes.io/instance': 'instance', 'app.kubernetes.io/name': 'name' };
  const cases: readonly (readonly [name: string, Tracer, Proxy, expected: string])[] = [
    ['Zipkin: Envoy knows it', ZIPKIN, proxy({}, { foreign: true }), ''],
    ['Datadog, ours: the environment has it', DATADOG, proxy(), 'istio-proxy'],
    ['Datadog, another', DATADOG, proxy({}, { foreign: true }), 'web.shop'],
    ['OpenTelemetry, ours: the environment has it', OTEL, proxy(), ''],
    ['OpenTelemetry, another', OTEL, proxy({}, { foreign: true }), 'web.shop'],
    ['conventions: annotation', conventional, proxy({ labels: instance }, annotated), 'annotated'],
    ['conventions: instance', conventional, proxy({ labels: instance }), 'instance'],
    ['conventions: name', conventional, proxy({ labels: { 'app.kubernetes.io/name': 'name' } }), 'name'],
    ['conventions: workload', conventional, proxy({ metadata: { WORKLOAD_NAME: 'web' } }), 'web'],
    ['conventions: pod', conventional, proxy(), 'web-1'],
  ];
  for (const [name, tracer, of, expected] of cases) {
    test(name, () => deepStrictEqual(traced({}, tracer, of)?.serviceName, expected));
  }
});
