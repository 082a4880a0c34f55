/** Load balancers of DestinationRules by traffic through a real Envoy: shares, stickiness, reported load. */
import { after, before, test } from 'node:test';
import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { entryFor, type LiveEndpoint, ruleFor, startEndpoint } from './live-endpoints.ts';
import { LiveSidecar } from './live-sidecar.ts';

const NAMES = ['a', 'b', 'c'];
let sidecar: LiveSidecar;
let endpoints: readonly LiveEndpoint[];

before(async () => {
  endpoints = await Promise.all(NAMES.map((name) => startEndpoint(name)));
  sidecar = await LiveSidecar.start();
});

after(async () => {
  await sidecar[Symbol.asyncDispose]();
  await Promise.all(endpoints.map((endpoint) => endpoint.close()));
});

/** Chi-square against equal shares; 13.8 is exceeded once in a thousand runs with two degrees of freedom. */
function unevenness(counts: ReadonlyMap<string, number>): number {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const share = total / NAMES.length;
  return NAMES.reduce((sum, name) => sum + ((counts.get(name) ?? 0) - share) ** 2 / share, 0);
}

/** A service with the three endpoints under a load balancer. */
async function serve(host: string, loadBalancer: string, extra?: (i: number) => string): Promise<void> {
  await sidecar.apply(
    `${entryFor(host, endpoints, (_endpoint, i) => extra?.(i) ?? '')}---${ruleFor(host, `{loadBalancer: ${loadBalancer}}`)}`,
  );
}

test('ROUND_ROBIN goes around, by weight', async () => {
  await serve('rr.test', '{simple: ROUND_ROBIN}');
  deepStrictEqual([...(await sidecar.count('rr.test', 30)).values()], [10, 10, 10]);
  await serve('weighted.test', '{simple: ROUND_ROBIN}', (i) => `, weight: ${[6, 3, 1][i]}`);
  const counts = await sidecar.count('weighted.test', 100);
  deepStrictEqual(
    NAMES.map((name) => Math.round((counts.get(name) ?? 0) / 10)),
    [6, 3, 1],
  );
});

for (const simple of ['RANDOM', 'LEAST_REQUEST']) {
  test(`${simple} gives equal shares`, async () => {
    const host = `${simple.toLowerCase().replace('_', '-')}.test`;
    await serve(host, `{simple: ${simple}}`);
    const counts = await sidecar.count(host, 300);
    ok(unevenness(counts) < 13.8, JSON.stringify([...counts]));
  });
}

const HASHES: readonly (readonly [string, string, (key: number) => object])[] = [
  ['header', '{httpHeaderName: x-user}', (key) => ({ headers: { 'x-user': `user-${key}` } })],
  ['query', '{httpQueryParameterName: user}', (key) => ({ path: `/?user=user-${key}` })],
  ['source address', '{useSourceIp: true}', (key) => ({ from: `127.7.7.${key + 1}` })],
  [
    'header with maglev',
    '{httpHeaderName: x-user, maglev: {tableSize: 101}}',
    (key) => ({ headers: { 'x-user': `u${key}` } }),
  ],
];

for (const [what, hash, callOf] of HASHES) {
  test(`consistent hash by ${what} stays with an endpoint per key, and spreads keys`, async () => {
    const host = `hash-${what.replaceAll(' ', '-')}.test`;
    await serve(host, `{consistentHash: ${hash}}`);
    const seen = new Set<string>();
    for (let key = 0; key < 20; key++) {
      const counts = await sidecar.count(host, 3, () => callOf(key));
      strictEqual(counts.size, 1, `key ${key} went to ${[...counts.keys()].join(' and ')}`);
      for (const name of counts.keys()) seen.add(name);
    }
    ok(seen.size > 1, 'all keys went to one endpoint');
  });
}

test('consistent hash by cookie: Envoy sets one that keeps the endpoint', async () => {
  await serve('cookie.test', '{consistentHash: {httpCookie: {name: sid, path: /, ttl: 60s}}}');
  const first = await sidecar.call('cookie.test');
  const cookie = String(first.headers['set-cookie']?.[0]);
  ok(/^sid=.*Max-Age=60; Path=\/; HttpOnly$/.test(cookie), cookie);
  const headers = { cookie: cookie.split(';', 1)[0] ?? '' };
  deepStrictEqual([...(await sidecar.count('cookie.test', 12, () => ({ headers })))], [[first.body, 12]]);
});

test('a warm-up is taken, and an endpoint that is there from the start gets its share', async () => {
  await serve(
    'warm.test',
    '{simple: ROUND_ROBIN, warmup: {duration: 60s, minimumPercent: 10, aggression: 1.5}}',
  );
  strictEqual((await sidecar.count('warm.test', 30)).size, NAMES.length);
});

test('weights follow the load that servers report', async () => {
  const loads: Readonly<Record<string, number>> = { idle: 0.1, busy: 0.9 };
  const reporting = await Promise.all(
    Object.entries(loads).map(([name, load]) =>
      startEndpoint(name, (_incoming, answer) => {
        answer.setHeader('endpoint-load-metrics', `TEXT application_utilization=${load},rps_fractional=100`);
        answer.end(name);
      }),
    ),
  );
  try {
    const utilization =
      '{weightStabilizationPeriod: 0.1s, weightUpdatePeriod: 0.1s, weightExpirationPeriod: 60s}';
    await sidecar.apply(
      `${entryFor('load.test', reporting)}---${ruleFor('load.test', `{loadBalancer: {backendUtilization: ${utilization}}}`)}`,
    );
    const endMs = performance.now() + 8_000;
    for (;;) {
      const counts = await sidecar.count('load.test', 50);
      // 0.1 against 0.9: nine of ten; equal shares before the first weights.
      if ((counts.get('idle') ?? 0) >= 40) break;
      if (performance.now() > endMs) throw new Error(`still ${JSON.stringify([...counts])}`);
    }
  } finally {
    await Promise.all(reporting.map((endpoint) => endpoint.close()));
  }
});
