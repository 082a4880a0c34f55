/** List and watch against an API server that misbehaves: pages, cuts, compaction, restarts, refusals. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { afterEach, beforeEach, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { seededRng } from '#base/rng.ts';
import { ApiServerFixture } from './api-server-fixture.ts';
import { nameKey } from './api-resource.ts';
import { KubeClient } from './kube-client.ts';
import { ResourceWatch, type ResourceChange } from './resource-watch.ts';

const PODS = { group: '', version: 'v1', plural: 'pods', fieldSelector: '' };
const BACKOFF = { initialMs: 1, maxMs: 20 };

function pod(name: string, value = 0): { metadata: { name: string; namespace: string }; value: number } {
  return { metadata: { name, namespace: 'd' }, value };
}

let server: ApiServerFixture;
let client: KubeClient;
let watch: ResourceWatch;
let changes: ResourceChange[];
let objects: Map<string, unknown>;

beforeEach(async () => {
  server = new ApiServerFixture();
  await server.start();
  client = newClient();
  changes = [];
  objects = new Map();
  watch = newWatch();
});

afterEach(async () => {
  watch[Symbol.dispose]();
  client[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

function newClient(): KubeClient {
  return new KubeClient(server.target, {
    clock: systemClock(),
    env: {},
    userAgent: 'test',
    perSecond: 10_000,
  });
}

function newWatch(): ResourceWatch {
  return new ResourceWatch({
    client,
    resource: PODS,
    clock: systemClock(),
    rng: seededRng(1),
    backoff: BACKOFF,
    listener: {
      changed(change) {
        changes.push(change);
        for (const key of change.remove) objects.delete(key);
        for (const object of change.set) objects.set(nameKey(object), object['value']);
      },
      stateChanged() {},
    },
  });
}

const isWatching = (): boolean => server.watches.includes('pods');

test('a list in pages is told once, and events follow', async () => {
  for (let i = 0; i < 1201; i++) server.put(PODS, pod(`p${i}`));
  watch.start();
  await server.until(isWatching);
  strictEqual(objects.size, 1201);
  strictEqual(server.requests.filter((path) => path.includes('limit=500')).length, 3);
  server.put(PODS, pod('p7', 1));
  server.put(PODS, pod('new', 2));
  server.remove(PODS, 'd/p8');
  await server.until(() => objects.get('d/new') === 2 && !objects.has('d/p8'));
  deepStrictEqual([objects.size, objects.get('d/p7')], [1201, 1]);
});

test('a watch that is cut in the middle of a line goes on where it was', async () => {
  server.put(PODS, pod('a'));
  watch.start();
  await server.until(isWatching);
  server.cut();
  server.put(PODS, pod('b'));
  await server.until(() => objects.has('d/b'));
  strictEqual(server.requests.filter((path) => path.includes('limit=')).length, 1, 'no second list');
});

test('a version that is too old leads to a list that tells only what differs', async () => {
  server.put(PODS, pod('a'));
  server.put(PODS, pod('b'));
  server.put(PODS, pod('c'));
  watch.start();
  await server.until(isWatching);
  server.cut();
  server.remove(PODS, 'd/a');
  server.put(PODS, pod('b', 5));
  server.compact();
  await server.until(() => !objects.has('d/a') && objects.get('d/b') === 5);
  deepStrictEqual(
    changes.map(({ set, remove }) => [set.map(nameKey), remove]),
    [
      [['d/a', 'd/b', 'd/c'], []],
      [['d/b'], []],
      [[], ['d/a']],
    ],
  );
});

test('a bookmark saves a list after compaction', async () => {
  server.put(PODS, pod('a'));
  watch.start();
  await server.until(isWatching);
  server.put({ group: '', plural: 'nodes' }, { metadata: { name: 'n' } });
  server.compact();
  server.bookmark();
  server.put(PODS, pod('b'));
  await server.until(() => objects.has('d/b'));
  server.cut();
  await server.until(isWatching);
  server.put(PODS, pod('c'));
  await server.until(() => objects.has('d/c'));
  strictEqual(server.requests.filter((path) => path.includes('limit=')).length, 1);
});

test('a server that is away at the start is waited for, and one that restarts is found again', async () => {
  await server.stop();
  watch.start();
  await server.until(() => watch.state.problem !== undefined);
  ok(!watch.state.listed);
  ok(/ECONNREFUSED/.test(String(watch.state.problem)));
  server.put(PODS, pod('a'));
  await server.start();
  await server.until(() => watch.state.listed && watch.state.problem === undefined);
  await server.stop();
  server.put(PODS, pod('b'));
  await server.start();
  await server.until(() => objects.has('d/b'));
});

test('a refusal is the state, with the status and the words of the server', async () => {
  server.forbidden.add('pods');
  watch.start();
  await server.until(() => watch.state.problem !== undefined);
  const { name, message } = watch.state.problem as Error;
  deepStrictEqual([name, /cannot list resource "pods"/.test(message)], ['KubeError', true]);
});

test('lines that are no events and objects without a name harm nothing', async () => {
  watch.start();
  await server.until(isWatching);
  server.inject('pods', { type: 'ADDED', object: { metadata: {} } });
  server.inject('pods', { type: 'ADDED', object: null });
  server.inject('pods', 7);
  server.put(PODS, pod('a'));
  await server.until(() => objects.has('d/a'));
});

test('listing again tells chosen objects again and no others', async () => {
  server.put(PODS, pod('a'));
  server.put(PODS, pod('b'));
  watch.start();
  await server.until(isWatching);
  watch.relist((key) => key === 'd/b');
  await server.until(() => changes.length === 2);
  deepStrictEqual(changes[1]?.set.map(nameKey), ['d/b']);
});

for (let seed = 1; seed <= 5; seed++) {
  test(`whatever is cut and forgotten, what is told equals a fresh list (seed ${seed})`, async () => {
    const rng = seededRng(seed);
    watch.start();
    const expected = new Map<string, number>();
    for (let step = 0; step < 1000; step++) {
      const name = `p${rng.int(40)}`;
      const choice = rng.int(100);
      if (choice < 55) {
        expected.set(`d/${name}`, step);
        server.put(PODS, pod(name, step));
      } else if (choice < 85) {
        expected.delete(`d/${name}`);
        server.remove(PODS, `d/${name}`);
      } else if (choice < 90) server.cut();
      else if (choice < 93) server.compact();
      else if (choice < 95) server.bookmark();
      if (step % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const sorted = (map: ReadonlyMap<string, unknown>): string => JSON.stringify([...map].sort());
    await server.until(() => sorted(objects) === sorted(expected));
  });
}
