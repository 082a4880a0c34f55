/** Every form of the bootstrap is one that the real Envoy takes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readAccessLogClusters } from '#agent/access-log-service.ts';
import type { BootstrapSettings } from '#agent/bootstrap-settings.ts';
import { defaultStats } from '#agent/bootstrap-stats.ts';
import { readBootstrapTracing } from '#agent/bootstrap-tracing.ts';
import { buildBootstrap } from '#agent/bootstrap.ts';
import type { JsonObject } from '#agent/json-value.ts';
import { readStatsSinks } from '#agent/stats-sinks.ts';
import { envoyPath, makeFolder, removeFolder, writePrivate } from './agent-fixture.ts';

let folder = '';
let envoy = '';
before(async () => {
  folder = makeFolder();
  envoy = await envoyPath();
});
after(() => removeFolder(folder));

const sidecar: BootstrapSettings = {
  node: { id: 'sidecar~1~a.b~c', cluster: 'a.b', metadata: { NAME: 'a', LABELS: { app: 'x' } } },
  admin: { address: '127.0.1.1', port: 15000 },
  agentStatus: { address: '127.0.1.1', port: 15020 },
  readiness: { address: '127.0.1.1', port: 15021 },
  xdsSocketPath: 'XDS',
  sdsSocketPath: './socket',
  filesSocketPath: undefined,
  upstreamSourceAddress: undefined,
  runtimeValues: new Map(),
  stats: defaultStats,
  serviceClusters: [],
  tracing: {},
  statsSinks: [],
  readinessTakesProxyProtocol: false,
  outlierLogPath: undefined,
};

function accessLogClusters(service: JsonObject): Pick<BootstrapSettings, 'serviceClusters'> {
  return { serviceClusters: readAccessLogClusters({ envoyAccessLogService: service }, '').clusters };
}

function tracer(tracing: JsonObject): Pick<BootstrapSettings, 'serviceClusters' | 'tracing'> {
  const around = { hostIp: '127.0.0.1', addresses: ['127.0.1.1'], serviceName: 'a.b' };
  const read = readBootstrapTracing({ tracing }, around);
  return { serviceClusters: read.clusters, tracing: read.tracing };
}
const sinks = await readStatsSinks(
  { statsdUdpAddress: '127.0.0.1:8125', envoyMetricsService: { address: '127.0.0.1:9001' } },
  '',
  async () => undefined,
);

const forms: readonly [name: string, change: Partial<BootstrapSettings>][] = [
  ['the default', {}],
  [
    'IPv6',
    {
      admin: { address: '::1', port: 1 },
      readiness: { address: '::', port: 2 },
      agentStatus: { address: '::1', port: 3 },
    },
  ],
  [
    'a service for access logs',
    accessLogClusters({
      address: '127.0.0.1:9000',
      tcpKeepalive: { probes: 3, time: '10s' },
      tlsSettings: { mode: 'ISTIO_MUTUAL', subjectAltNames: ['spiffe://cluster.local/ns/a/sa/als'] },
    }),
  ],
  ['Zipkin', tracer({ zipkin: { address: '127.0.0.1:9411' } })],
  ['Datadog', tracer({ datadog: { address: '$(HOST_IP):8126' }, tlsSettings: { mode: 'ISTIO_MUTUAL' } })],
  [
    'statistics that are sent',
    {
      serviceClusters: sinks.clusters,
      statsSinks: sinks.sinks,
      readinessTakesProxyProtocol: true,
    },
  ],
  [
    'everything at once',
    {
      node: {
        ...sidecar.node,
        metadata: { ENABLE_SELF_DISCOVERY: 'true' },
        locality: { region: 'r', zone: 'z', sub_zone: '' },
      },
      upstreamSourceAddress: '127.0.1.1',
      outlierLogPath: '/dev/null',
      runtimeValues: new Map([['envoy.reloadable_features.http_reject_path_with_fragment', 'true']]),
      stats: {
        inclusionPrefixes: ['http.10.0.0.1_'],
        inclusionSuffixes: ['upstream_rq_time'],
        inclusionRegexps: ['cluster\\.outbound.*'],
        countsConnections: true,
        extraStatTags: ['zone'],
        histogramBuckets: new Map([['istiocustom', [1, 5.5, 10]]]),
        flushIntervalMs: 7000,
        evictionIntervalMs: 63_000,
      },
    },
  ],
];

describe('Envoy takes the bootstrap', () => {
  for (const [name, change] of forms) {
    it(`with ${name}`, () => {
      const path = join(folder, 'bootstrap.json');
      writePrivate(path, JSON.stringify(buildBootstrap({ ...sidecar, ...change })));
      const run = spawnSync(envoy, ['--mode', 'validate', '-c', path, '-l', 'warning'], {
        encoding: 'utf8',
        timeout: 20_000,
      });
      assert.equal(run.status, 0, run.stderr);
      assert.match(run.stdout, /OK/);
      // Envoy has nothing else for a tracer of all connection managers.
      const told = run.stderr.split('\n').filter((line) => !line.includes('v3.Bootstrap.tracing'));
      assert.doesNotMatch(told.join('\n'), /deprecated|unknown field/i);
    });
  }
});
