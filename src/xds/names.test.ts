import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import {
  type ClusterName,
  clusterName,
  inboundClusterName,
  outboundClusterName,
  parseClusterName,
  parseSniName,
  sniName,
} from './names.ts';

const NAMES: readonly (readonly [string, ClusterName])[] = [
  [
    'outbound|9080|v1|reviews.default.svc.cluster.local',
    name('outbound', 9080, 'v1', 'reviews.default.svc.cluster.local'),
  ],
  ['outbound|80||*.example.com', name('outbound', 80, '', '*.example.com')],
  ['inbound|9080||', name('inbound', 9080, '', '')],
  ['inbound-vip|80|http|a.b', name('inbound-vip', 80, 'http', 'a.b')],
];

function name(
  direction: ClusterName['direction'],
  port: number,
  subset: string,
  hostname: string,
): ClusterName {
  return { direction, port, subset, hostname };
}

for (const [text, parts] of NAMES) {
  test(`${text} is built and parsed`, () => {
    strictEqual(clusterName(parts), text);
    deepStrictEqual(parseClusterName(text), parts);
  });
}

for (const text of [
  'PassthroughCluster',
  'outbound|x||h',
  'outbound|80|h',
  'sideways|80||h',
  'outbound|123456||h',
  '',
]) {
  test(`${JSON.stringify(text)} is no name of this form`, () =>
    strictEqual(parseClusterName(text), undefined));
}

test('short forms are the same names', () => {
  strictEqual(outboundClusterName(80, 'v1', 'a'), 'outbound|80|v1|a');
  strictEqual(inboundClusterName(80), 'inbound|80||');
});

test('a server name for a cluster goes there and back', () => {
  const text = sniName(9080, 'v1', 'reviews.default.svc.cluster.local');
  strictEqual(text, 'outbound_.9080_.v1_.reviews.default.svc.cluster.local');
  deepStrictEqual(parseSniName(text), name('outbound', 9080, 'v1', 'reviews.default.svc.cluster.local'));
  strictEqual(parseSniName('www.example.com'), undefined);
});
