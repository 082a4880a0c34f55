/** The rules of the state-of-the-world variant one by one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  TYPE_CLUSTER as CDS,
  TYPE_ENDPOINT as EDS,
  TYPE_LISTENER as LDS,
  TYPE_ROUTE as RDS,
} from '#xds/resource.ts';
import { FakeWorld, snapshotOf, type WorldDescription } from './fake-world.ts';
import { SotwClient } from './scripted-client.ts';

function worldOf(description: Partial<WorldDescription>): FakeWorld {
  const world = new FakeWorld();
  world.publish(snapshotOf(description));
  return world;
}

const C1 = { name: 'c1', revision: 1, isEds: true };
const C2 = { name: 'c2', revision: 1, isEds: true };
const E1 = { name: 'c1', revision: 1 };
const E2 = { name: 'c2', revision: 1 };

test('clusters come whole each time, and not at all while nothing changes', () => {
  const world = worldOf({ clusters: [C1, C2] });
  const client = new SotwClient(world);
  client.ask(CDS);
  assert.deepStrictEqual(client.take(), [{ type: 'cds', set: ['c1@1', 'c2@1'] }]);
  client.ask(CDS);
  world.publish(snapshotOf({ clusters: [C1, C2] }));
  assert.deepStrictEqual(client.take(), []);
  world.publish(snapshotOf({ clusters: [C1, { ...C2, revision: 2 }] }));
  assert.deepStrictEqual(client.take(), [{ type: 'cds', set: ['c1@1', 'c2@2'] }]);
});

test('a first request for everything is answered even by nothing', () => {
  const client = new SotwClient(worldOf({}));
  client.ask(CDS);
  assert.deepStrictEqual(client.take(), [{ type: 'cds', set: [] }]);
});

test('of endpoints and routes only what was asked for and what changed is sent', () => {
  const world = worldOf({ endpoints: [E1, E2] });
  const client = new SotwClient(world);
  client.ask(EDS, 'c1');
  assert.deepStrictEqual(client.take(), [{ type: 'eds', set: ['c1@1'] }]);
  client.ask(EDS, 'c1', 'c2');
  assert.deepStrictEqual(client.take(), [{ type: 'eds', set: ['c2@1'] }]);
  client.ask(EDS, 'c1', 'c2');
  world.publish(snapshotOf({ endpoints: [E1, { ...E2, revision: 2 }] }));
  assert.deepStrictEqual(client.take(), [{ type: 'eds', set: ['c2@2'] }]);
  client.ask(EDS, 'c1');
  world.publish(snapshotOf({ endpoints: [E1, { ...E2, revision: 3 }] }));
  assert.deepStrictEqual(client.take(), []);
});

test('a name that nobody knows is answered by what there is', () => {
  const client = new SotwClient(worldOf({ routes: [{ name: 'r', revision: 1 }] }));
  client.ask(RDS, 'r', 'nobody');
  assert.deepStrictEqual(client.take(), [{ type: 'rds', set: ['r@1'] }]);
  client.ask(RDS, 'r', 'nobody', 'nobody-else');
  assert.deepStrictEqual(client.take(), [{ type: 'rds', set: [] }]);
});

test('names in a request that answers an old response do not count', () => {
  const world = worldOf({ endpoints: [E1, E2] });
  const client = new SotwClient(world);
  client.ask(EDS, 'c1');
  client.take();
  client.send({ typeUrl: EDS, resourceNames: ['c1', 'c2'], responseNonce: 'long-ago' });
  assert.deepStrictEqual(client.take(), []);
  client.ask(EDS, 'c1', 'c2');
  assert.deepStrictEqual(client.take(), [{ type: 'eds', set: ['c2@1'] }]);
});

test('a changed cluster is followed by its endpoints, though they did not change', () => {
  const world = worldOf({ clusters: [C1, C2], endpoints: [E1, E2] });
  const client = new SotwClient(world);
  client.ask(CDS);
  client.take();
  client.ask(CDS);
  client.ask(EDS, 'c1', 'c2');
  client.take();
  client.ask(EDS, 'c1', 'c2');
  world.publish(snapshotOf({ clusters: [C1, { ...C2, revision: 2 }], endpoints: [E1, E2] }));
  assert.deepStrictEqual(client.take(), [
    { type: 'cds', set: ['c1@1', 'c2@2'] },
    { type: 'eds', set: ['c2@1'] },
  ]);
});

test('a cluster stays in the whole until the route that names it is replaced', () => {
  const route = { name: 'r', revision: 1, clusters: ['c1'] };
  const world = worldOf({ clusters: [C1], routes: [route] });
  const client = new SotwClient(world);
  client.ask(CDS);
  client.take();
  client.ask(CDS);
  client.ask(RDS, 'r');
  client.take();
  client.ask(RDS, 'r');
  world.publish(snapshotOf({ clusters: [C2], routes: [{ ...route, revision: 2, clusters: ['c2'] }] }));
  assert.deepStrictEqual(client.take(), [{ type: 'cds', set: ['c1@1', 'c2@1'] }]);
  client.ask(CDS);
  assert.deepStrictEqual(client.take(), [{ type: 'rds', set: ['r@2'] }]);
  client.ask(RDS, 'r');
  assert.deepStrictEqual(client.take(), [{ type: 'cds', set: ['c2@1'] }]);
});

test('what was refused is replaced by its last good version, or left out', () => {
  const world = worldOf({ clusters: [C1] });
  const client = new SotwClient(world);
  client.ask(CDS);
  client.take();
  client.ask(CDS);
  world.publish(snapshotOf({ clusters: [{ ...C1, revision: 2 }, C2] }));
  client.take();
  client.nack(CDS, 'Error adding/updating cluster(s) c1: no, c2: no');
  assert.deepStrictEqual(client.take(), []);
  world.publish(snapshotOf({ clusters: [{ ...C1, revision: 2 }, C2, { name: 'c3', revision: 1 }] }));
  assert.deepStrictEqual(client.take(), [{ type: 'cds', set: ['c1@1', 'c3@1'] }]);
  client.ask(CDS);
  world.publish(snapshotOf({ clusters: [{ ...C1, revision: 3 }, C2, { name: 'c3', revision: 1 }] }));
  assert.deepStrictEqual(client.take(), [{ type: 'cds', set: ['c1@3', 'c3@1'] }]);
});

test('a removed listener is missing from the whole', () => {
  const world = worldOf({
    listeners: [
      { name: 'a', revision: 1 },
      { name: 'b', revision: 1 },
    ],
  });
  const client = new SotwClient(world);
  client.ask(LDS);
  client.take();
  client.ask(LDS);
  world.publish(snapshotOf({ listeners: [{ name: 'b', revision: 1 }] }));
  assert.deepStrictEqual(client.take(), [{ type: 'lds', set: ['b@1'] }]);
});
