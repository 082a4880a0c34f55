import { deepStrictEqual, match } from 'node:assert/strict';
import { test } from 'node:test';
import { createEngine } from '#collections/engine.ts';
import type {
  MeshConfig_ExtensionProviderJson as Provider,
  MeshConfigJson,
} from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { MESH_KEY } from './mesh-facts.ts';
import type { Service } from './service.ts';
import { createTracers, type Tracer, type TracerHeader, tracerKey } from './tracing.ts';

const HOST = 'spans.infra.svc.cluster.local';
const AT = { service: HOST, port: 80 };

function start(...extensionProviders: readonly Provider[]) {
  const engine = createEngine();
  const meshConfig = engine.source<MeshConfigJson>('meshConfig');
  const services = engine.source<Service>('services');
  const servicesByHostname = engine.index('byHostname', services, ({ hostname }) => [hostname]);
  const environment = { TOKEN: 'from-outside' };
  const tracers = createTracers(engine, { meshConfig, servicesByHostname, environment });
  meshConfig.set(MESH_KEY, { extensionProviders: [...extensionProviders] });
  services.set(`infra/${HOST}`, { namespace: 'infra', hostname: HOST } as Service);
  engine.settle();
  return { engine, services, find: (name: string) => tracers.get(tracerKey(name)) };
}

function fault(provider: Omit<Provider, 'name'>): string {
  const found = start({ name: 'spans', ...provider }).find('spans');
  return found !== undefined && 'fault' in found ? found.fault : '';
}

const HEADERS = [
  { name: 'x-token', envName: 'TOKEN' },
  { name: 'x-none', envName: 'NONE' },
  { name: 'x-plain', value: 'v' },
  { name: 'not a name', value: 'v' },
];
const READ_HEADERS: readonly TracerHeader[] = [
  ['x-token', 'from-outside'],
  ['x-none', ''],
  ['x-plain', 'v'],
];
const collector = { hostname: HOST, port: 80 };

const tracers: readonly (readonly [name: string, provider: Omit<Provider, 'name'>, tracer: Tracer])[] = [
  [
    'Zipkin with its defaults',
    { zipkin: AT },
    {
      kind: 'zipkin',
      collector: { ...collector, path: '/api/v2/spans', timeoutMs: 5_000, headers: [] },
      traceId128Bit: true,
      alsoW3c: false,
      maxTagLength: 0,
    },
  ],
  [
    'Zipkin as somebody wants it',
    {
      zipkin: {
        ...AT,
        service: `infra/${HOST}`,
        path: '/v2',
        timeout: '1s',
        headers: HEADERS,
        enable64bitTraceId: true,
        traceContextOption: 'USE_B3_WITH_W3C_PROPAGATION',
        maxTagLength: 99,
      },
    },
    {
      kind: 'zipkin',
      collector: { ...collector, path: '/v2', timeoutMs: 1_000, headers: READ_HEADERS },
      traceId128Bit: false,
      alsoW3c: true,
      maxTagLength: 99,
    },
  ],
  ['Datadog', { datadog: { ...AT, maxTagLength: 7 } }, { kind: 'datadog', collector, maxTagLength: 7 }],
  ['SkyWalking', { skywalking: AT }, { kind: 'skywalking', collector, maxTagLength: 0 }],
  [
    'OpenTelemetry by gRPC',
    { opentelemetry: { ...AT, grpc: { timeout: '2s', initialMetadata: HEADERS } } },
    {
      kind: 'opentelemetry',
      exporter: { by: 'grpc', collector, timeoutMs: 2_000, headers: READ_HEADERS },
      detectors: [],
      namesByConvention: false,
      maxTagLength: 0,
    },
  ],
  [
    'OpenTelemetry by HTTP with detectors and a sampler that asks the same service',
    {
      opentelemetry: {
        ...AT,
        http: { path: '/v1/traces', headers: HEADERS },
        resourceDetectors: { dynatrace: {}, environment: {} },
        dynatraceSampler: { tenant: 't', clusterId: 3, rootSpansPerMinute: 9 },
        serviceAttributeEnrichment: 'OTEL_SEMANTIC_CONVENTIONS',
      },
    },
    {
      kind: 'opentelemetry',
      exporter: {
        by: 'http',
        collector: { ...collector, path: '/v1/traces', timeoutMs: 3_000, headers: READ_HEADERS },
      },
      detectors: ['environment', 'dynatrace'],
      namesByConvention: true,
      maxTagLength: 0,
      sampler: {
        tenant: 't',
        clusterId: 3,
        rootSpansPerMinute: 9,
        service: {
          ...collector,
          path: 'api/v2/samplingConfiguration',
          timeoutMs: 3_000,
          headers: READ_HEADERS,
        },
      },
    },
  ],
];
for (const [name, provider, tracer] of tracers) {
  test(`a tracer for ${name}`, () => {
    deepStrictEqual(start({ name: 'spans', ...provider }).find('Spans'), { tracer });
  });
}

const faults: readonly (readonly [name: string, provider: Omit<Provider, 'name'>, words: RegExp])[] = [
  ['a service that is not there', { zipkin: { ...AT, service: 'x.test' } }, /no service x\.test/],
  ['a namespace that lacks the host', { datadog: { ...AT, service: `app/${HOST}` } }, /no service app/],
  ['more than one slash', { skywalking: { ...AT, service: `a/b/${HOST}` } }, /no service a\/b/],
  [
    'a sampler whose service is not there',
    { opentelemetry: { ...AT, dynatraceSampler: { httpService: { service: 'x.test', port: 1 } } } },
    /no service x\.test/,
  ],
  [
    'a sampler without service beside gRPC',
    { opentelemetry: { ...AT, dynatraceSampler: {} } },
    /httpService/,
  ],
  ['a kind that takes no spans', { prometheus: {} }, /take no spans/],
  ['Lightstep', { lightstep: AT }, /take no spans/],
];
for (const [name, provider, words] of faults) {
  test(`no tracer for ${name}`, () => match(fault(provider), words));
}

test('of two providers of one name the first counts, and a service that comes later makes its tracer', () => {
  const late = 'late.test';
  const { engine, services, find } = start(
    { name: 'Spans', zipkin: { service: late, port: 80 } },
    { name: 'spans', zipkin: AT },
  );
  deepStrictEqual(find('spans'), { fault: 'there is no service late.test' });
  services.set(`infra/${late}`, { namespace: 'infra', hostname: late } as Service);
  engine.settle();
  const found = find('spans');
  deepStrictEqual(found !== undefined && 'tracer' in found && found.tracer.kind, 'zipkin');
  services.set(`other/${late}`, { namespace: 'other', hostname: late } as Service);
  engine.settle();
  match(JSON.stringify(find('spans')), /several namespaces/);
});
