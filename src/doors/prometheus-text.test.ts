/** The text form, the bound on series, and Istio's names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { createPilotMetrics } from './pilot-metrics.ts';
import { registerProcessMetrics } from './process-metrics.ts';
import { MetricRegistry } from './prometheus-text.ts';

function linesOf(registry: MetricRegistry): string[] {
  return registry
    .print()
    .split('\n')
    .filter((line) => line !== '' && !line.includes('lateen_metric_series_dropped'));
}

test('metrics are printed by name, series by labels, values escaped', () => {
  const registry = new MetricRegistry();
  const pushes = registry.counter({ name: 'pushes', help: 'Pushes.\nBy type.', labels: ['type'] });
  pushes.increment({ type: 'rds' }, 2);
  pushes.increment({ type: 'cds' });
  pushes.increment({ type: 'cds', unknown: 'label' }, 3);
  const odd = registry.gauge({ name: 'a_gauge', help: 'Odd\\labels', labels: ['name'] });
  odd.set(-1.5, { name: 'quote " backslash \\ line\nend' });
  const now = registry.gauge({ name: 'now', help: 'Read at the scrape.' });
  registry.onCollect(() => now.set(Number.POSITIVE_INFINITY));
  assert.deepStrictEqual(linesOf(registry), [
    '# HELP a_gauge Odd\\\\labels',
    '# TYPE a_gauge gauge',
    'a_gauge{name="quote \\" backslash \\\\ line\\nend"} -1.5',
    '# HELP now Read at the scrape.',
    '# TYPE now gauge',
    'now +Inf',
    '# HELP pushes Pushes.\\nBy type.',
    '# TYPE pushes counter',
    'pushes{type="cds"} 4',
    'pushes{type="rds"} 2',
  ]);
});

test('a histogram counts what lies below each bound', () => {
  const registry = new MetricRegistry();
  const times = registry.histogram({ name: 't', help: 'Times.', labels: ['type'], buckets: [0.1, 1] });
  for (const value of [0.05, 0.1, 0.5, 7]) times.observe(value, { type: 'cds' });
  assert.deepStrictEqual(linesOf(registry).slice(2), [
    't_bucket{type="cds",le="0.1"} 2',
    't_bucket{type="cds",le="1"} 3',
    't_bucket{type="cds",le="+Inf"} 4',
    't_sum{type="cds"} 7.65',
    't_count{type="cds"} 4',
  ]);
});

test('T40: labels chosen by an attacker make a bounded number of series, and what is dropped is counted', () => {
  const registry = new MetricRegistry();
  const hosts = registry.counter({ name: 'hosts', help: 'By host.', labels: ['host'] });
  for (let i = 0; i < 5_000; i++) hosts.increment({ host: `h${i}` });
  hosts.increment({ host: 'h0' });
  assert.equal(linesOf(registry).length, 2 + 2_000);
  assert.ok(registry.print().includes('\nlateen_metric_series_dropped 3000\n'));
  assert.ok(registry.print().includes('\nhosts{host="h0"} 2\n'));
});

test('a series whose thing is gone can be forgotten', () => {
  const registry = new MetricRegistry();
  const gauge = registry.gauge({ name: 'g', help: 'G.', labels: ['node'] });
  gauge.set(1, { node: 'a' });
  gauge.remove({ node: 'a' });
  assert.deepStrictEqual(linesOf(registry), ['# HELP g G.', '# TYPE g gauge']);
});

test('a name that is registered twice is a bug', () => {
  const registry = new MetricRegistry();
  registry.counter({ name: 'x', help: 'X.' });
  assert.throws(() => registry.gauge({ name: 'x', help: 'X.' }), /registered twice/);
});

test('what the xDS server counts appears under the names of Istio', () => {
  const registry = new MetricRegistry();
  const metrics = createPilotMetrics(registry);
  metrics.connected('1.31.0', 1);
  metrics.pushed({ type: 'cds', sizeBytes: 20_000, durationMs: 2 });
  metrics.converged(40);
  metrics.rejected('lds', 'sidecar~a', 13);
  const printed = new Set(linesOf(registry));
  const expected = [
    'lateen_push_bytes_total{type="cds"} 20000',
    'pilot_proxy_convergence_time_sum 0.04',
    'pilot_total_xds_rejects{type="lds"} 1',
    'pilot_xds{version="1.31.0"} 1',
    'pilot_xds_config_size_bytes_sum{type="cds"} 20000',
    'pilot_xds_push_time_sum{type="cds"} 0.002',
    'pilot_xds_pushes{type="cds"} 1',
  ];
  assert.deepStrictEqual(
    expected.filter((line) => !printed.has(line)),
    [],
  );
});

test('facts of the process are read at each scrape', () => {
  const registry = new MetricRegistry();
  using _ = registerProcessMetrics(registry, new TestClock(1_000_000));
  const value = (name: string) => Number(new RegExp(`^${name} (.+)$`, 'm').exec(registry.print())?.[1]);
  assert.ok(value('process_resident_memory_bytes') > 10_000_000);
  assert.ok(value('process_cpu_seconds_total') > 0);
  assert.ok(value('process_start_time_seconds') < 1_000);
});
