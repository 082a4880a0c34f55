import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { sumEdges } from './edge-table.ts';
import { histogramQuantile } from './histogram.ts';
import { parseSamples } from './prometheus-text.ts';

function labels(extra: Readonly<Record<string, string>>): string {
  const all = {
    source_workload: 'a',
    source_workload_namespace: 'default',
    destination_workload: 'b',
    destination_workload_namespace: 'default',
    ...extra,
  };
  return Object.entries(all)
    .map(([key, value]) => `${key}="${value}"`)
    .join(',');
}

const requests = (value: number, extra: Readonly<Record<string, string>>): string =>
  `istio_requests_total{${labels(extra)}} ${value}`;
const bucket = (value: number, le: string): string =>
  `istio_request_duration_milliseconds_bucket{${labels({ reporter: 'source', le })}} ${value}`;

test('an edge counts what the caller saw, and takes mTLS from the callee', () => {
  const text = [
    requests(15, { reporter: 'source', response_code: '200' }),
    requests(5, { reporter: 'source', response_code: '503' }),
    requests(15, { reporter: 'destination', response_code: '200', connection_security_policy: 'mutual_tls' }),
    bucket(10, '1'),
    bucket(20, '5'),
    bucket(20, '+Inf'),
  ].join('\n');
  deepStrictEqual(sumEdges(parseSamples(text, 'istio_'), 10_000), [
    {
      source: 'a',
      sourceNamespace: 'default',
      destination: 'b',
      destinationNamespace: 'default',
      protocol: 'http',
      requestsPerSecond: 2,
      successRate: 0.75,
      p50Ms: 1,
      p99Ms: 4.92,
      mtls: true,
    },
  ]);
});

test('a caller outside of the mesh is known from the callee, a plain one is no mTLS', () => {
  const [edge] = sumEdges(
    parseSamples(
      requests(5, { reporter: 'destination', response_code: '200', source_workload: 'unknown' }),
      'istio_',
    ),
    5000,
  );
  deepStrictEqual([edge?.source, edge?.requestsPerSecond, edge?.mtls], ['unknown', 1, false]);
});

test('a destination without a workload goes by the name of its service', () => {
  const extra = {
    reporter: 'source',
    response_code: '0',
    destination_workload: 'unknown',
    destination_service_name: 'ratings',
    destination_service_namespace: 'shop',
  };
  const [edge] = sumEdges(parseSamples(requests(1, extra), 'istio_'), 1000);
  deepStrictEqual([edge?.destination, edge?.destinationNamespace, edge?.successRate], ['ratings', 'shop', 0]);
});

test('samples are read with escapes, timestamps and without labels; garbage is left out', () => {
  const text = 'x_a{l="q\\"\\\\\\n}"} 1 1700\nx_b 2\n# x_c 3\nx_d{ 4\nx_e notanumber\nother 5\n';
  deepStrictEqual(
    parseSamples(text, 'x_').map(({ name, labels: found, value }) => [
      name,
      Object.fromEntries(found),
      value,
    ]),
    [
      ['x_a', { l: 'q"\\\n}' }, 1],
      ['x_b', {}, 2],
    ],
  );
});

const quantiles: readonly (readonly [string, [number, number][], number, number | undefined])[] = [
  ['no observation has no quantile', [[Infinity, 0]], 0.5, undefined],
  [
    'the middle of one bucket',
    [
      [10, 4],
      [Infinity, 4],
    ],
    0.5,
    5,
  ],
  [
    'above the last bound it is that bound',
    [
      [10, 1],
      [Infinity, 4],
    ],
    0.99,
    10,
  ],
  [
    'buckets in any order',
    [
      [Infinity, 10],
      [20, 10],
      [10, 5],
    ],
    0.75,
    15,
  ],
];
for (const [name, buckets, quantile, expected] of quantiles) {
  test(`a quantile of a histogram: ${name}`, () => {
    strictEqual(histogramQuantile(new Map(buckets), quantile), expected);
  });
}
