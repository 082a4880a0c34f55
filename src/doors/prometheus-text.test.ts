/** The text form, the bound on series, and Istio's names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPilotMetrics } from './pilot-metrics.ts';
import { MetricRegistry } from './prometheus-text.ts';

function linesOf(registry: MetricRegistry): string[] {
  return registry
    .print()
    .split('\n')
    .filter((line) => line !== '' && !line.includes('lateen_metric_series_dropped_total'));
}

test('metrics are printed by name, series by labels, values escaped', () => {
  const registry = new MetricRegistry();
  const pushes = registry.counter('pushes', 'Pushes.\nBy type.');
  pushes.add(2, { type: 'rds' });
  pushes.add(1, { type: 'cds' });
  pushes.add(3, { type: 'cds' });
  registry.gauge('a_gauge', 'Odd\\labels').set(-1.5, { name: 'quote " backslash \\ line\nend' });
  registry.read('now', 'Read at the scrape.', 'gauge', () => Number.POSITIVE_INFINITY);
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
  const times = registry.histogram('t', 'Times.', [0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 7]) times.observe(value, { type: 'cds' });
  times.observe(2);
  assert.deepStrictEqual(linesOf(registry).slice(2), [
    't_bucket{le="0.1"} 0',
    't_bucket{le="1"} 0',
    't_bucket{le="+Inf"} 1',
    't_sum 2',
    't_count 1',
    't_bucket{type="cds",le="0.1"} 2',
    't_bucket{type="cds",le="1"} 3',
    't_bucket{type="cds",le="+Inf"} 4',
    't_sum{type="cds"} 7.65',
    't_count{type="cds"} 4',
  ]);
});

test('labels chosen by an attacker make a bounded number of series, and what is dropped is counted', () => {
  const registry = new MetricRegistry();
  const hosts = registry.counter('hosts', 'By host.');
  for (let i = 0; i < 5_000; i++) hosts.add(1, { host: `h${i}` });
  hosts.add(1, { host: 'h0' });
  assert.equal(linesOf(registry).length, 2 + 2_000);
  assert.ok(registry.print().includes('\nlateen_metric_series_dropped_total 3000\n'));
  assert.ok(registry.print().includes('\nhosts{host="h0"} 2\n'));
});

test('a series whose thing is gone can be forgotten', () => {
  const registry = new MetricRegistry();
  const gauge = registry.gauge('g', 'G.');
  gauge.set(1, { node: 'a' });
  gauge.remove({ node: 'a' });
  assert.deepStrictEqual(linesOf(registry), ['# HELP g G.', '# TYPE g gauge']);
});

test('a name that is registered twice is a bug', () => {
  const registry = new MetricRegistry();
  registry.counter('x', 'X.');
  assert.throws(() => registry.gauge('x', 'X.'), /registered twice/);
});

test('what the xDS server counts appears under the names of Istio', () => {
  const registry = new MetricRegistry();
  const metrics = createPilotMetrics(registry);
  metrics.connected('1.31.0', 1);
  metrics.pushed({ type: 'cds', sizeBytes: 20_000, durationMs: 2 });
  metrics.converged(40);
  metrics.rejected('lds', 'sidecar~a', 13);
  const values = linesOf(registry).filter((line) => !line.startsWith('#') && !line.includes('_bucket'));
  for (const line of [
    'lateen_push_bytes_total{type="cds"} 20000',
    'pilot_proxy_convergence_time_sum 0.04',
    'pilot_total_xds_rejects{type="lds"} 1',
    'pilot_xds{version="1.31.0"} 1',
    'pilot_xds_config_size_bytes_sum{type="cds"} 20000',
    'pilot_xds_push_time_sum{type="cds"} 0.002',
    'pilot_xds_pushes{type="cds"} 1',
  ]) {
    assert.ok(values.includes(line), line);
  }
});
