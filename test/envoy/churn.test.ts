/**
 * A mesh under load while its parts die and its configuration changes: what does not touch the dead part notices nothing, and
 * changes that keep requests valid cost none. Every request counts, at the callers and in every proxy's access log.
 */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRng, systemRng } from '#base/rng.ts';
import { type BookinfoMesh, startBookinfo } from './bookinfo-fixture.ts';
import { askOnce, type LoadResult, type LoadTarget, startLoad } from './steady-load.ts';
import { firstObjects, ValidChanges } from './valid-changes.ts';

const CHANGES = 100;
const PAUSE_MS = 150;
const BACK_LIMIT_MS = 2000;
const GIVE_UP_MS = 20_000;
/** Old connections are cut after this time, which the test thus sees many times. */
const DRAIN_SECONDS = 3;
const HTTP_PROXY_PORT = 15080;
const ADMIN_PORT = 15000;
/** Envoy writes access logs once a second. */
const LOG_FLUSH_MS = 1500;
/** Every so many changes wait for the proxies; the others follow at once. */
const WAIT_EVERY = 4;
/** Failures that are printed. */
const SHOWN = 10;
const LOG_MARK = 'ACCESS';
const LOG_FIELDS = ['START_TIME', 'RESPONSE_CODE', 'RESPONSE_FLAGS', 'RESPONSE_CODE_DETAILS', 'REQ(:PATH)'];
const LOG_MORE = ['UPSTREAM_CLUSTER_RAW', 'UPSTREAM_HOST', 'DURATION', 'REQ(X-REQUEST-ID)'];
const MESH_CONFIG = `
accessLogFormat: "${[...LOG_FIELDS, ...LOG_MORE].reduce((line, field) => `${line} %${field}%`, LOG_MARK)}\\n"
defaultConfig: { drainDuration: ${DRAIN_SECONDS}s, concurrency: 1, terminationDrainDuration: 1s }
`;

let mesh: BookinfoMesh;
/** Address of the product page's proxy, to call from inside the mesh. */
let inside: string;

before(async () => {
  mesh = await startBookinfo({ meshConfig: MESH_CONFIG });
  ({ address: inside } = await mesh.replica('productpage-v1'));
  await mesh.applyText(firstObjects());
});

after(async () => deepStrictEqual(await (mesh as BookinfoMesh | undefined)?.stop(), []));

function throughGateway(path: string, perSecond: number): LoadTarget {
  return { name: `gateway ${path}`, host: '127.0.0.1', port: mesh.gatewayPort, path, perSecond };
}

/** As an application with HTTP_PROXY does it. */
function fromProductpage(host: string, path: string, perSecond: number): LoadTarget {
  const url = `http://${host}:9080${path}`;
  return {
    name: url,
    host: inside,
    port: HTTP_PROXY_PORT,
    path: url,
    headers: { host: `${host}:9080` },
    perSecond,
  };
}

function report(context: TestContext, what: string, result: LoadResult): void {
  const { requests, connections, failures, seconds, p50Ms, p99Ms, maxMs } = result;
  const rate = (requests / seconds).toFixed(0);
  const times = `p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, longest ${maxMs.toFixed(0)} ms`;
  context.diagnostic(
    `${what}: ${requests} requests, ${rate}/s on ${connections} connections, ${times}, ${failures.length} failed`,
  );
}

/** Lines of the access logs of all proxies, after the name of their file. */
function* accessLines(): Iterable<readonly [file: string, line: string]> {
  const logs = join(mesh.dir, '.lateen', 'logs');
  for (const file of readdirSync(logs, { recursive: true, encoding: 'utf8' })) {
    if (!file.includes('istio-proxy.log')) continue;
    for (const line of readFileSync(join(logs, file), 'utf8').split('\n')) {
      if (line.startsWith(LOG_MARK)) yield [file, line];
    }
  }
}

/** How many requests the proxies logged since a time, and what they logged about those that did not get a plain 200. */
function readAccessLogs(since: string): { readonly lines: number; readonly bad: readonly string[] } {
  const all = [...accessLines()].filter(([, line]) => (line.split(' ')[1] ?? '') >= since);
  const isBad = (line: string): boolean => !/^ACCESS \S+ 200 - /.test(line);
  return { lines: all.length, bad: all.filter(([, line]) => isBad(line)).map((parts) => parts.join(': ')) };
}

/** Sum of a counter over all proxies. */
async function counterSum(name: string): Promise<number> {
  const { workloads, gateways } = await mesh.status();
  const values = [...workloads, ...gateways].map(async ({ address }) => {
    const response = await fetch(`http://${address}:${ADMIN_PORT}/stats?filter=^${name}$`);
    return Number(/: (\d+)/.exec(await response.text())?.[1] ?? 0);
  });
  return (await Promise.all(values)).reduce((sum, value) => sum + value, 0);
}

type Part = 'envoy' | 'app';

/** Kills a part of ratings and waits until that answers again; gives the time that took. */
async function killAndWait(part: Part, pid: number): Promise<number> {
  const call = fromProductpage('ratings', '/ratings/0', 1);
  const killedMs = performance.now();
  process.kill(pid, 'SIGKILL');
  for (let hasFailed = false; performance.now() - killedMs < GIVE_UP_MS; await sleep(5)) {
    const answer = await askOnce(call);
    hasFailed ||= answer !== '';
    if (hasFailed && answer === '') return performance.now() - killedMs;
  }
  throw new Error(`ratings does not answer ${GIVE_UP_MS} ms after its ${part} was killed`);
}

test('an Envoy and an application are killed: back in 2 s, others notice nothing', async (context) => {
  const others = [
    throughGateway('/api/v1/products', 50),
    throughGateway('/api/v1/products/0', 50),
    fromProductpage('details', '/details/0', 50),
  ];
  for (const part of ['envoy', 'app'] as const) {
    const { pids: killed } = await mesh.replica('ratings-v1');
    const load = startLoad(others);
    const tookMs = await killAndWait(part, killed[part]);
    // Its coming back must disturb nobody either.
    await mesh.ready();
    const result = await load.stop();
    context.diagnostic(`killed ${part}: back after ${tookMs.toFixed(0)} ms`);
    report(context, `others while ${part} was away`, result);
    deepStrictEqual(result.failures, []);
    ok(result.requests > 20);
    ok(tookMs < BACK_LIMIT_MS, `${part} was away for ${tookMs} ms`);
    const { pids } = await mesh.replica('ratings-v1');
    ok(pids[part] > 0 && pids[part] !== killed[part]);
  }
  const { workloads, gateways } = await mesh.status();
  const restarted = [...workloads, ...gateways].filter(({ restarts }) => restarts > 0);
  deepStrictEqual(
    restarted.map(({ name }) => name),
    ['ratings-v1'],
  );
});

/** Makes the changes one after the other; gives what was done when, for whoever has to find out. */
async function makeChanges(changes: ValidChanges): Promise<readonly string[]> {
  const startedMs = performance.now();
  const history: string[] = [];
  for (let i = 0; i < CHANGES; i++) {
    const change = changes.next();
    history.push(`${(performance.now() - startedMs).toFixed(0)} ms: ${change.name}`);
    await mesh.change(change, i % WAIT_EVERY === 0);
    await sleep(PAUSE_MS);
  }
  return history;
}

test('100 random changes that keep requests valid, at 250 requests/s: none fails', async (context) => {
  const seed = Number(process.env['CHURN_SEED'] ?? systemRng().int(1e9));
  context.diagnostic(`CHURN_SEED=${seed}`);
  const since = new Date().toISOString();
  const load = startLoad([
    throughGateway('/api/v1/products', 80),
    throughGateway('/api/v1/products/0', 50),
    throughGateway('/api/v1/products/0/reviews', 40),
    throughGateway('/api/v1/products/0/ratings', 30),
    fromProductpage('reviews', '/reviews/0', 25),
    fromProductpage('details', '/details/0', 25),
  ]);
  const history = await makeChanges(new ValidChanges(seededRng(seed)));
  // In this time Envoy cuts what is left of the connections that the last changes let drain.
  await sleep((DRAIN_SECONDS + 1) * 1000);
  const result = await load.stop();
  report(context, `under ${CHANGES} changes`, result);
  await sleep(LOG_FLUSH_MS);
  const { lines, bad } = readAccessLogs(since);
  const [changed, inPlace] = [
    await counterSum('listener_manager.listener_modified'),
    await counterSum('listener_manager.listener_in_place_updated'),
  ];
  context.diagnostic(
    `${lines} lines of access logs, ${changed} listeners changed, ${inPlace} of them in place`,
  );
  if (result.failures.length + bad.length > 0) context.diagnostic(history.join('\n'));
  deepStrictEqual([result.failures.length, result.failures.slice(0, SHOWN)], [0, []]);
  deepStrictEqual([bad.length, bad.slice(0, SHOWN)], [0, []]);
  ok(result.requests / result.seconds > 200, 'the load did not reach 200 requests/s');
  ok(lines >= 2 * result.requests, 'each request is seen by two proxies at least');
  // A listener that is replaced whole drains the connections of chains that did not change, too.
  ok(changed > 0);
  strictEqual(inPlace, changed);
  strictEqual((await mesh.status()).heldBack.length, 0);
});
