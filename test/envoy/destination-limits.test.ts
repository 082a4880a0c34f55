/** Outlier detection, connection limits and localities of DestinationRules by traffic through a real Envoy. */
import { after, before, test } from 'node:test';
import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { entryFor, type LiveEndpoint, ruleFor, startEndpoint } from './live-endpoints.ts';
import { LiveSidecar } from './live-sidecar.ts';
import { waitFor } from './mesh-pair.ts';

let sidecar: LiveSidecar;
const started: LiveEndpoint[] = [];

before(async () => {
  sidecar = await LiveSidecar.start({ locality: { region: 'r1', zone: 'z1' } });
});

after(async () => {
  await sidecar[Symbol.asyncDispose]();
  await Promise.all(started.map((endpoint) => endpoint.close()));
});

async function start(...args: Parameters<typeof startEndpoint>): Promise<LiveEndpoint> {
  const endpoint = await startEndpoint(...args);
  started.push(endpoint);
  return endpoint;
}

async function serve(
  host: string,
  endpoints: readonly LiveEndpoint[],
  policy: string,
  localities: readonly string[] = [],
): Promise<void> {
  const entry = entryFor(host, endpoints, (_endpoint, i) =>
    localities[i] === undefined ? '' : `, locality: ${localities[i]}`,
  );
  await sidecar.apply(`${entry}---${ruleFor(host, policy)}`);
}

test('an endpoint that fails is taken out, and the others go on', async () => {
  const good = await start('good');
  const bad = await start('bad', (_incoming, answer) => {
    answer.statusCode = 500;
    answer.end('bad');
  });
  const outlier = '{consecutive5xxErrors: 3, interval: 60s, baseEjectionTime: 60s, maxEjectionPercent: 50}';
  await serve(
    'outlier.test',
    [good, bad],
    `{loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: ${outlier}}`,
  );
  await waitFor('the ejection', async () => {
    await sidecar.call('outlier.test');
    return (
      (await sidecar.stat('outbound|80||outlier.test', 'outlier_detection.ejections_active')) === 1 ||
      undefined
    );
  });
  strictEqual(bad.served.length, 3);
  deepStrictEqual([...(await sidecar.count('outlier.test', 10))], [['good', 10]]);
});

test('the answers that count as failures may be named', async () => {
  const good = await start('good');
  const missing = await start('missing', (_incoming, answer) => {
    answer.statusCode = 404;
    answer.end('missing');
  });
  const outlier =
    '{consecutive5xxErrors: 2, outlierDetectionHttpErrorCodes: [404], interval: 60s, baseEjectionTime: 60s, maxEjectionPercent: 50}';
  await serve(
    'codes.test',
    [good, missing],
    `{loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: ${outlier}}`,
  );
  await waitFor('the ejection', async () => {
    await sidecar.call('codes.test');
    return (
      (await sidecar.stat('outbound|80||codes.test', 'outlier_detection.ejections_active')) === 1 || undefined
    );
  });
  deepStrictEqual([...(await sidecar.count('codes.test', 6))], [['good', 6]]);
});

test('requests beyond the pool are refused at once', async () => {
  const waiting: (() => void)[] = [];
  const slow = await start('slow', (_incoming, answer) => void waiting.push(() => answer.end('slow')));
  const pool = '{tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}';
  await serve('pool.test', [slow], `{connectionPool: ${pool}}`);
  const first = sidecar.call('pool.test');
  await waitFor('the first request', () => waiting.length === 1 || undefined);
  const second = sidecar.call('pool.test');
  await waitFor('the waiting request', async () => {
    return (await sidecar.stat('outbound|80||pool.test', 'upstream_rq_pending_active')) === 1 || undefined;
  });
  const third = await sidecar.call('pool.test');
  deepStrictEqual([third.status, third.headers['x-envoy-overloaded']], [503, 'true']);
  strictEqual(await sidecar.stat('outbound|80||pool.test', 'upstream_rq_pending_overflow'), 1);
  waiting.shift()?.();
  await waitFor('the second request', () => waiting.length === 1 || undefined);
  waiting.shift()?.();
  deepStrictEqual([(await first).status, (await second).status], [200, 200]);
});

const FAILING_OVER =
  '{outlierDetection: {consecutive5xxErrors: 1, interval: 0.1s, baseEjectionTime: 60s, maxEjectionPercent: 100}, %}';

test('requests stay in the own zone, and go to the next place when it dies', async () => {
  const near = await start('near');
  const next = await start('next');
  const far = await start('far');
  await serve('places.test', [near, next, far], FAILING_OVER.replace(', %', ''), ['r1/z1', 'r1/z2', 'r2/z1']);
  deepStrictEqual([...(await sidecar.count('places.test', 10))], [['near', 10]]);
  for (const [gone, then] of [
    [near, 'next'],
    [next, 'far'],
  ] as const) {
    await gone.close();
    await waitFor(
      `requests to ${then}`,
      async () => (await sidecar.call('places.test')).body === then || undefined,
    );
    deepStrictEqual([...(await sidecar.count('places.test', 10))], [[then, 10]]);
  }
});

test('the region to fail over to comes before others', async () => {
  const near = await start('near');
  const third = await start('third');
  const second = await start('second');
  const localityLb = 'loadBalancer: {localityLbSetting: {failover: [{from: r1, to: r3}]}}';
  await serve('regions.test', [near, second, third], FAILING_OVER.replace('%', localityLb), [
    'r1/z1',
    'r2/z1',
    'r3/z1',
  ]);
  await near.close();
  await waitFor(
    'the failover',
    async () => (await sidecar.call('regions.test')).body === 'third' || undefined,
  );
});

test('traffic is distributed over localities by percent', async () => {
  const endpoints = await Promise.all(['a', 'b', 'c'].map((name) => start(name)));
  const distribute = '{distribute: [{from: r1/*, to: {r1/z1/*: 70, r1/z2/*: 30}}]}';
  await serve(
    'shares.test',
    endpoints,
    `{loadBalancer: {simple: ROUND_ROBIN, localityLbSetting: ${distribute}}}`,
    ['r1/z1', 'r1/z2', 'r2/z1'],
  );
  const counts = await sidecar.count('shares.test', 300);
  deepStrictEqual([...counts.keys()].sort(), ['a', 'b']);
  const share = (counts.get('a') ?? 0) / 300;
  // Three standard deviations of 300 draws with 0.7.
  ok(Math.abs(share - 0.7) < 0.08, `${share} of the requests`);
});

test('a retry budget and zone-aware balancing are taken', async () => {
  const only = await start('only');
  await serve(
    'taken.test',
    [only],
    '{retryBudget: {percent: 30, minRetryConcurrency: 5}, loadBalancer: {zoneAwareLbSetting: {minClusterSize: 1}}}',
    ['r1/z1'],
  );
  deepStrictEqual([...(await sidecar.count('taken.test', 3))], [['only', 3]]);
});
