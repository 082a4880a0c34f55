/**
 * Spans of requests through real Envoys: a gateway and a sidecar on one machine, whose tracer is that of the bootstrap, then a provider
 * of mesh config for Zipkin, then one for OpenTelemetry; and how many requests are traced, at one sidecar.
 */
import { deepStrictEqual, equal, match, ok } from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { LiveSidecar } from './live-sidecar.ts';
import { SpanCollector, type TakenSpan } from './span-collector.ts';
import { freePort, openStandaloneRig, type RunningCommand, statusOf, until } from './standalone-rig.ts';
import { startHttpApp } from './test-apps.ts';

const SERVER = `import { createServer } from 'node:http';
const server = createServer((request, answer) => answer.end('ok'));
server.listen(8000, process.argv[2]);
process.on('SIGTERM', () => server.close(() => process.exit(0)));
`;

function serviceEntry(host: string, port: number): string {
  return `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${host.replace('.', '-')} }
spec:
  hosts: [${host}]
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: ${port} }]
  endpoints: [{ address: 127.0.0.1 }]
`;
}

function meshYaml(port: number, collector: number): string {
  return `apiVersion: v1
kind: Service
metadata: { name: server }
spec: { selector: { app: server }, ports: [{ name: http, port: 8000 }] }
---
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: { name: server, labels: { app: server, version: v2 } }
spec:
  command: [node, server.mjs, "$(APP_ADDRESS)"]
  ports: [{ name: http, port: 8000 }]
---
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: { name: gateway, labels: { app: gateway } }
spec: { type: gateway }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gateway }
spec:
  selector: { app: gateway }
  servers: [{ port: { number: ${port}, name: http, protocol: HTTP }, hosts: ["*"] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: server }
spec:
  hosts: ["*"]
  gateways: [gateway]
  http: [{ route: [{ destination: { host: server, port: { number: 8000 } } }] }]
${serviceEntry('spans.test', collector)}`;
}

/** All requests, with a tag from each source; the bootstrap's tracer unless a provider is named. */
function meshConfig(bootstrapPort: number, provider?: object): string {
  return JSON.stringify({
    defaultConfig: {
      runtimeValues: {
        'tracing.zipkin.flush_interval_ms': '100',
        'tracing.opentelemetry.flush_interval_ms': '100',
      },
      tracing: {
        zipkin: { address: `127.0.0.1:${bootstrapPort}` },
        sampling: 100,
        customTags: {
          stage: { literal: { value: 'test' } },
          caller: { header: { name: 'x-caller', defaultValue: 'nobody' } },
          workload: { environment: { name: 'LATEEN_WORKLOAD' } },
          missing: { environment: { name: 'NOT_THERE', defaultValue: 'absent' } },
        },
      },
    },
    ...(provider === undefined
      ? {}
      : {
          extensionProviders: [{ name: 'spans', ...provider }],
          defaultProviders: { tracing: ['Spans'] },
        }),
  });
}

describe('a gateway and a sidecar', () => {
  const rig = openStandaloneRig();
  const file = join(rig.top, 'mesh-config.yaml');
  const [byBootstrap, byProvider] = [new SpanCollector(), new SpanCollector()];
  let port: number;
  let up: RunningCommand;

  before(async () => {
    port = await freePort();
    await byBootstrap.listen();
    await byProvider.listen();
    rig.write('mesh.yaml', meshYaml(port, byProvider.port));
    rig.write('server.mjs', SERVER);
    writeFileSync(file, meshConfig(byBootstrap.port));
    up = rig.start(['up', rig.dir, '--mesh-config', file]);
    await up.shows(/^Running\./m);
  });
  after(async () => {
    await rig[Symbol.asyncDispose]();
    await byBootstrap[Symbol.asyncDispose]();
    await byProvider[Symbol.asyncDispose]();
  });

  /** Calls until a trace has so many spans of the form that the config in force makes; gives that trace. */
  async function spansOf(
    caller: string,
    collector: SpanCollector,
    count: number,
    format: TakenSpan['format'],
  ): Promise<readonly TakenSpan[]> {
    const traces = (): readonly TakenSpan[][] => {
      const called = collector.taken.filter(
        (span) => span.tags['caller'] === caller && span.format === format,
      );
      return [...Map.groupBy(called, ({ traceId }) => traceId).values()];
    };
    const isWhole = (spans: readonly TakenSpan[]): boolean => spans.length >= count;
    const call = async (): Promise<readonly TakenSpan[][]> => {
      await statusOf(`http://127.0.0.1:${port}/`, { 'x-caller': caller });
      return traces();
    };
    await until(call, (found) => found.some(isWhole), 15_000);
    return traces().find(isWhole) ?? [];
  }

  const TAGS = {
    stage: 'test',
    missing: 'absent',
    'istio.cluster_id': 'Kubernetes',
    'istio.mesh_id': 'unknown',
    'istio.namespace': 'default',
  };

  function tagsOf(span: TakenSpan | undefined): Readonly<Record<string, string | undefined>> {
    const names = [...Object.keys(TAGS), 'workload', 'istio.canonical_service', 'istio.canonical_revision'];
    return Object.fromEntries(names.map((name) => [name, span?.tags[name]]));
  }

  function checkPair(spans: readonly TakenSpan[]): void {
    const server = spans.find(({ service }) => service === 'server.default');
    const gateway = spans.find(({ service }) => service === 'gateway.default');
    deepStrictEqual(tagsOf(server), {
      ...TAGS,
      workload: 'server',
      'istio.canonical_service': 'server',
      'istio.canonical_revision': 'v2',
    });
    deepStrictEqual(tagsOf(gateway), {
      ...TAGS,
      workload: 'gateway',
      'istio.canonical_service': 'gateway',
      'istio.canonical_revision': 'latest',
    });
    ok(spans.some(({ id }) => id === server?.parentId));
  }

  test('send spans of one trace to the collector that their bootstrap names', async () => {
    const spans = await spansOf('first', byBootstrap, 2, 'zipkin');
    checkPair(spans);
    match(spans[0]?.traceId ?? '', /^[0-9a-f]{32}$/);
    equal(byProvider.taken.length, 0);
  });

  test('send them to a Zipkin provider as soon as mesh config names it, the gateway one more for its own call', async () => {
    const zipkin = {
      service: 'spans.test',
      port: 80,
      headers: [{ name: 'x-tenant', value: 'seven' }],
      enable64bitTraceId: true,
    };
    writeFileSync(file, meshConfig(byBootstrap.port, { zipkin }));
    const spans = await spansOf('second', byProvider, 3, 'zipkin');
    checkPair(spans);
    deepStrictEqual(spans.map(({ service, kind }) => `${service} ${kind}`).sort(), [
      'gateway.default CLIENT',
      'gateway.default SERVER',
      'server.default SERVER',
    ]);
    match(spans[0]?.traceId ?? '', /^[0-9a-f]{16}$/);
    equal(spans[0]?.headers['x-tenant'], 'seven');
    equal(spans[0]?.headers['host'], 'spans.test');
  });

  test('send them to an OpenTelemetry provider, each under the name of its workload', async () => {
    const opentelemetry = { service: 'spans.test', port: 80, http: { path: '/v1/traces', timeout: '2s' } };
    writeFileSync(file, meshConfig(byBootstrap.port, { opentelemetry }));
    const spans = await spansOf('third', byProvider, 3, 'otlp');
    checkPair(spans);
  });
});

describe('how many requests are traced', () => {
  const CALLS = 40;
  const ASKED = 5;
  const provider = {
    extensionProviders: [{ name: 'spans', zipkin: { service: 'spans.test', port: 80 } }],
    defaultProviders: { tracing: ['spans'] },
  };

  for (const [traceSampling, expected] of [
    [0, 0],
    [100, CALLS],
  ] as const) {
    test(`is ${expected} of ${CALLS} with a sampling of ${traceSampling}`, async () => {
      await using collector = new SpanCollector();
      await collector.listen();
      const app = await startHttpApp('127.0.0.1');
      await using sidecar = await LiveSidecar.start({ flags: { ...DEFAULT_MESH_FLAGS, traceSampling } });
      sidecar.fixture.configure(provider);
      await sidecar.apply(serviceEntry('spans.test', collector.port) + serviceEntry('app.test', app.port));
      for (let i = 0; i < CALLS; i++) equal((await sidecar.call('app.test')).status, 200);
      // Whoever asks for a trace gets one, whatever the sampling. Envoy sends five spans at once, so all others would have come with these.
      const asked = {
        'x-b3-traceid': '0123456789abcdef',
        'x-b3-spanid': '0123456789abcdef',
        'x-b3-sampled': '1',
      };
      for (let i = 0; i < ASKED; i++) await sidecar.call('app.test', { headers: asked });
      await collector.spans(expected + ASKED, () => true);
      equal(collector.taken.length, expected + ASKED);
      ok(collector.taken.some(({ traceId }) => traceId.endsWith('0123456789abcdef')));
      await app.close();
    });
  }
});
