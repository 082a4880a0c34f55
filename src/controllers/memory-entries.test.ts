/** Entries of a mesh from files: what is written onto a user's entry lies on top of it, and never gets in the way of the user's changes. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { registrationWorld } from './registration-rig.ts';

const KEY = 'shop/mine';
const HEALTHY = { type: 'Healthy', status: 'True' };

function entry(annotations: Readonly<Record<string, string>>, more: object = {}) {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: { name: 'mine', namespace: 'shop', annotations },
    spec: { address: '10.1.2.3' },
    ...more,
  };
}

test('a user’s entry is the user’s object until something is written onto it', async () => {
  const world = registrationWorld();
  const [given] = [entry({ team: 'a' })];
  world.apply(given);
  const before = world.entry(KEY);
  const read = await world.memory.read(KEY);
  strictEqual(await world.memory.setHealth(KEY, read as never, HEALTHY), true);
  deepStrictEqual(world.entry(KEY)?.status, { healthy: true });
  world.apply(entry({ team: 'b' }));
  const after = world.entry(KEY);
  deepStrictEqual([after?.annotations['team'], after?.status], ['b', { healthy: true }]);
  world.remove('WorkloadEntry', KEY);
  world.apply(given);
  deepStrictEqual(world.entry(KEY)?.hash, before?.hash);
});

test('a condition in the file counts until a proxy speaks', async () => {
  const world = registrationWorld();
  world.apply(entry({}, { status: { conditions: [{ type: 'Healthy', status: 'False' }] } }));
  const read = await world.memory.read(KEY);
  await world.memory.annotate(KEY, read as never, { 'istio.io/workloadController': 'cp' });
  deepStrictEqual(world.entry(KEY)?.status, { healthy: false });
});

test('what was read before another write does not replace it', async () => {
  const world = registrationWorld();
  world.apply(entry({}));
  const old = await world.memory.read(KEY);
  await world.memory.annotate(KEY, old as never, { a: '1' });
  strictEqual(await world.memory.setHealth(KEY, old as never, HEALTHY), false);
  strictEqual(await world.memory.remove(KEY, old as never), false);
});

test('an entry of the user’s is never removed', async () => {
  const world = registrationWorld();
  world.apply(entry({}));
  const read = await world.memory.read(KEY);
  await world.memory.remove(KEY, read as never);
  strictEqual(world.entry(KEY)?.name, 'mine');
});
