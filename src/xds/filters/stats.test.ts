import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { AccessLogType } from '#proto/envoy/data/accesslog/v3/accesslog_pb.ts';
import type { Config } from '#proto/envoy/extensions/access_loggers/stats/v3/stats_pb.ts';
import { ConfigSchema } from '#proto/envoy/extensions/access_loggers/stats/v3/stats_pb.ts';
import { buildStatsLoggers, type StatsInput } from './stats.ts';

const SIDES = ['source', 'destination'].flatMap((side) =>
  [
    'workload',
    'workload_namespace',
    'principal',
    'app',
    'version',
    'cluster',
    'canonical_service',
    'canonical_revision',
  ].map((label) => `${side}_${label}`),
);
const ALWAYS = [
  'reporter',
  ...SIDES,
  'destination_service',
  'destination_service_name',
  'destination_service_namespace',
  'request_protocol',
  'response_flags',
  'connection_security_policy',
];
const HTTP_LABELS = [...ALWAYS, 'response_code', 'grpc_response_status'].sort();
const TCP_LABELS = ALWAYS.toSorted();

function configs(input: StatsInput): Config[] {
  return buildStatsLoggers(input).map((log) => {
    assert.ok(log.configType.case === 'typedConfig');
    const config = anyUnpack(log.configType.value, ConfigSchema);
    assert.ok(config !== undefined);
    return config;
  });
}

/** Metric -> its sorted labels. */
function labelsByMetric(config: Config): Record<string, string[]> {
  const stats = [...config.counters, ...config.histograms].map(({ stat }) => stat);
  return Object.fromEntries(
    stats.map((stat) => [stat?.name ?? '', (stat?.tags ?? []).map(({ name }) => name).sort()]),
  );
}

function valueOf(config: Config | undefined, label: string): string | undefined {
  return config?.counters[0]?.stat?.tags.find(({ name }) => name === label)?.valueFormat;
}

const REPORTERS: readonly StatsInput[] = [
  { protocol: 'http', reporter: 'source', mutualTls: false },
  { protocol: 'http', reporter: 'destination', mutualTls: true },
  { protocol: 'http', reporter: 'destination', mutualTls: false },
];

describe('metrics', () => {
  for (const input of REPORTERS) {
    const who = `${input.reporter}${input.mutualTls ? ' with mTLS' : ''}`;
    it(`have Istio's names and labels for HTTP and gRPC at the ${who}`, () => {
      const expected = Object.fromEntries(
        [
          'istio_requests_total',
          'istio_request_duration_milliseconds',
          'istio_request_bytes',
          'istio_response_bytes',
        ].map((name) => [name, HTTP_LABELS]),
      );
      assert.deepEqual(configs(input).map(labelsByMetric), [expected, expected]);
    });
    it(`have Istio's names and labels for TCP at the ${who}`, () => {
      assert.deepEqual(configs({ ...input, protocol: 'tcp' }).map(labelsByMetric), [
        { istio_tcp_connections_opened_total: TCP_LABELS },
        {
          istio_tcp_connections_closed_total: TCP_LABELS,
          istio_tcp_sent_bytes_total: TCP_LABELS,
          istio_tcp_received_bytes_total: TCP_LABELS,
        },
      ]);
    });
  }

  it('count connections as opened at their end where nothing is heard of open ones', () => {
    const [opened] = buildStatsLoggers({
      protocol: 'tcp',
      reporter: 'destination',
      mutualTls: true,
      hearsOpen: false,
    });
    const specifier = opened?.filter?.filterSpecifier;
    assert.ok(specifier?.case === 'logTypeFilter');
    assert.deepEqual(specifier.value.types, [AccessLogType.TcpConnectionEnd]);
  });

  it('lie in the scope that the agent renames, and go when nobody uses them', () => {
    for (const config of configs({ protocol: 'http', reporter: 'source', mutualTls: false })) {
      assert.deepEqual([config.statsScope?.prefix, config.statsScope?.enableEviction], ['wasmcustom', true]);
    }
  });

  it('believe nothing about a caller without mTLS', () => {
    const [config] = configs({ protocol: 'http', reporter: 'destination', mutualTls: false });
    const seen = SIDES.filter((label) => label.startsWith('source_')).map((label) => valueOf(config, label));
    assert.deepEqual(new Set(seen), new Set(['unknown', 'latest']));
    assert.equal(valueOf(config, 'connection_security_policy'), 'none');
  });

  it('tell the two protocols apart by a constant', () => {
    const all = configs({ protocol: 'http', reporter: 'source', mutualTls: false });
    assert.deepEqual(
      all.map((config) => valueOf(config, 'request_protocol')),
      ['http', 'grpc'],
    );
  });

  it('evaluate no expression, and take no label from the Host header (T40)', () => {
    for (const input of REPORTERS) {
      for (const config of [...configs(input), ...configs({ ...input, protocol: 'tcp' })]) {
        const formats = config.counters
          .flatMap((counter) => counter.stat?.tags ?? [])
          .map(({ valueFormat }) => valueFormat);
        assert.deepEqual(
          formats.filter((format) => /CEL|REQ\(|AUTHORITY/.test(format)),
          [],
        );
      }
    }
  });
});
