import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from './json-value.ts';
import { readStatsSinks } from './stats-sinks.ts';

const resolve = async (host: string): Promise<string | undefined> =>
  host === 'statsd.example' ? '10.0.0.9' : undefined;

/** Names of clusters and sinks, the statsd address, and problems. */
async function outline(config: JsonObject): Promise<readonly unknown[]> {
  const { clusters, sinks, problems } = await readStatsSinks(config, '10.0.0.1', resolve);
  const statsd = JSON.stringify(sinks).match(/"address":"([^"]+)","port_value":(\d+)/);
  return [clusters.map(({ name }) => name), sinks.map(({ name }) => name), statsd?.slice(1), problems];
}

const STATSD = 'envoy.stat_sinks.statsd';
const SERVICE = 'envoy.stat_sinks.metrics_service';

const CASES: readonly (readonly [string, JsonObject, readonly unknown[]])[] = [
  ['nothing is sent as a rule', {}, [[], [], undefined, []]],
  ['a statsd listener', { statsdUdpAddress: '10.0.0.2:8125' }, [[], [STATSD], ['10.0.0.2', '8125'], []]],
  [
    'a statsd listener on the node',
    { statsdUdpAddress: '$(HOST_IP):8125' },
    [[], [STATSD], ['10.0.0.1', '8125'], []],
  ],
  [
    'a statsd listener by its name',
    { statsdUdpAddress: 'statsd.example:8125' },
    [[], [STATSD], ['10.0.0.9', '8125'], []],
  ],
  [
    'a name that nobody knows costs only itself',
    { statsdUdpAddress: 'nobody.example:8125', envoyMetricsService: { address: 'metrics.example:15000' } },
    [['envoy_metrics_service'], [SERVICE], undefined, ['statsdUdpAddress']],
  ],
  [
    'an address that is none',
    { statsdUdpAddress: 'x', envoyMetricsService: { address: 'y' } },
    [[], [], undefined, ['envoyMetricsService.address', 'statsdUdpAddress']],
  ],
];

for (const [sentence, config, expected] of CASES) {
  test(sentence, async () => deepStrictEqual(await outline(config), expected));
}
