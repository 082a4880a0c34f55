/** The rules of the delta variant one by one, each in the shortest history that shows it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  TYPE_CLUSTER as CDS,
  TYPE_ENDPOINT as EDS,
  TYPE_LISTENER as LDS,
  TYPE_ROUTE as RDS,
} from '#xds/resource.ts';
import { FakeWorld, NODE_ID, snapshotOf, type WorldDescription } from './fake-world.ts';
import { DeltaClient, type Seen } from './scripted-client.ts';

function seen(type: string, set: readonly string[] = [], removed: readonly string[] = []): Seen {
  return { type, set, removed };
}

function worldOf(description: Partial<WorldDescription>): FakeWorld {
  const world = new FakeWorld();
  world.publish(snapshotOf(description));
  return world;
}

const C1 = { name: 'c1', revision: 1, isEds: true };
const E1 = { name: 'c1', revision: 1 };

test('a wildcard is answered even by nothing, a first subscription without names is not', () => {
  const client = new DeltaClient(worldOf({}));
  client.subscribe(CDS);
  client.subscribe(EDS);
  assert.deepStrictEqual(client.take(), [seen('cds')]);
  client.subscribe(LDS, '*');
  assert.deepStrictEqual(client.take(), [seen('lds')]);
});

test('a name that nobody knows is answered as removed', () => {
  const client = new DeltaClient(worldOf({ clusters: [C1], endpoints: [E1] }));
  client.subscribe(EDS, 'c1', 'nobody');
  assert.deepStrictEqual(client.take(), [seen('eds', ['c1@1'], ['nobody'])]);
});

test('a type that nobody serves is answered, not left open', () => {
  const client = new DeltaClient(worldOf({}));
  client.subscribe('type.googleapis.com/envoy.service.runtime.v3.Runtime', 'r');
  assert.deepStrictEqual(client.take(), [seen('Runtime', [], ['r'])]);
});

test('nothing is looked at before there is a snapshot', () => {
  const world = new FakeWorld();
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  assert.deepStrictEqual([client.take(), client.stream.isPaused, world.source.proxies.size], [[], true, 1]);
  world.publish(snapshotOf({ clusters: [C1] }));
  assert.deepStrictEqual([client.take(), client.stream.isPaused], [[seen('cds', ['c1@1'])], false]);
});

test('a reconnecting client is sent what differs and told what is gone', () => {
  const world = worldOf({ clusters: [C1, { name: 'c2', revision: 1 }, { name: 'c3', revision: 1 }] });
  const before = new DeltaClient(world);
  before.subscribe(CDS);
  before.takeAll();
  before.stream.break();
  world.publish(snapshotOf({ clusters: [C1, { name: 'c2', revision: 2 }, { name: 'c4', revision: 1 }] }));
  const client = new DeltaClient(world);
  const initialResourceVersions = Object.fromEntries(
    [...before.versions].map(([name, version]) => [name.slice(4), version]),
  );
  client.send({ typeUrl: CDS, initialResourceVersions });
  assert.deepStrictEqual(client.takeAll(), [seen('cds', ['c2@2', 'c4@1'])]);
  // What the client brought along may be in use by listeners that it has yet to tell of.
  world.clock.advance(1_000);
  assert.deepStrictEqual(client.takeAll(), [seen('cds', [], ['c3'])]);
});

test('a reconnecting client that has everything is sent nothing', () => {
  const world = worldOf({ clusters: [C1], endpoints: [E1] });
  const before = new DeltaClient(world);
  before.subscribe(CDS);
  before.takeAll();
  before.subscribe(EDS, 'c1');
  before.takeAll();
  const client = new DeltaClient(world);
  client.send(
    { typeUrl: CDS, initialResourceVersions: { c1: before.versions.get('cds/c1') ?? '' } },
    {
      typeUrl: EDS,
      resourceNamesSubscribe: ['c1'],
      initialResourceVersions: { c1: before.versions.get('eds/c1') ?? '' },
    },
  );
  assert.deepStrictEqual(client.take(), []);
  assert.ok(world.server.connections.synced(NODE_ID));
});

test('endpoints got for the old cluster do not count for the new one, also over a broken stream', () => {
  const world = worldOf({ clusters: [C1], endpoints: [E1] });
  const before = new DeltaClient(world);
  before.subscribe(CDS);
  before.takeAll();
  before.subscribe(EDS, 'c1');
  before.takeAll();
  const endpointVersion = before.versions.get('eds/c1') ?? '';
  world.publish(snapshotOf({ clusters: [{ ...C1, revision: 2 }], endpoints: [E1] }));
  // The changed cluster arrives, its endpoints don't: it is warming when the stream breaks.
  assert.deepStrictEqual(before.take()[0], seen('cds', ['c1@2']));
  const client = new DeltaClient(world);
  client.send(
    { typeUrl: CDS, initialResourceVersions: { c1: before.versions.get('cds/c1') ?? '' } },
    { typeUrl: EDS, resourceNamesSubscribe: ['c1'], initialResourceVersions: { c1: endpointVersion } },
  );
  assert.deepStrictEqual(client.take(), [seen('eds', ['c1@1'])]);
});

test('a changed cluster is followed at once by its endpoints, though they did not change', () => {
  const world = worldOf({ clusters: [C1], endpoints: [E1] });
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  client.takeAll();
  client.subscribe(EDS, 'c1');
  client.takeAll();
  world.publish(snapshotOf({ clusters: [{ ...C1, revision: 2 }], endpoints: [E1] }));
  // No answer to CDS in between: Envoy gives it when the cluster is warm.
  assert.deepStrictEqual(client.take(), [seen('cds', ['c1@2']), seen('eds', ['c1@1'])]);
});

test('a cluster that warms while it is being removed gets the endpoints it had: routes still name it', () => {
  const route = { name: 'r', revision: 1, clusters: ['c1'] };
  const world = worldOf({ clusters: [C1], endpoints: [E1], routes: [route] });
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  client.subscribe(EDS, 'c1');
  client.subscribe(RDS, 'r');
  client.takeAll();
  const [changed, moved] = [
    { ...C1, revision: 2 },
    { ...E1, revision: 2 },
  ];
  world.publish(snapshotOf({ clusters: [C1], endpoints: [moved], routes: [route] }));
  world.publish(snapshotOf({ clusters: [changed], endpoints: [moved], routes: [route] }));
  assert.deepStrictEqual(client.take(), [seen('eds', ['c1@2']), seen('cds', ['c1@2'])]);
  world.publish(snapshotOf({ routes: [{ ...route, revision: 2, clusters: [] }] }));
  client.ack(EDS);
  assert.deepStrictEqual(client.take(), [seen('eds', ['c1@2'])]);
});

test('one response of a type is on its way at a time; what comes meanwhile goes out together', () => {
  const world = worldOf({ routes: [{ name: 'r', revision: 1 }] });
  const client = new DeltaClient(world);
  client.subscribe(RDS, 'r');
  assert.deepStrictEqual(client.take(), [seen('rds', ['r@1'])]);
  for (const revision of [2, 3, 4]) world.publish(snapshotOf({ routes: [{ name: 'r', revision }] }));
  assert.deepStrictEqual(client.take(), []);
  client.ack(RDS);
  assert.deepStrictEqual(client.take(), [seen('rds', ['r@4'])]);
});

test('listeners wait for clusters, routes for listeners, and none of them longer than a second', () => {
  const client1 = { name: 'l', revision: 1, routes: ['r'] };
  const world = worldOf({ listeners: [client1], routes: [{ name: 'r', revision: 1 }] });
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  client.subscribe(LDS);
  client.takeAll();
  client.subscribe(RDS, 'r');
  client.takeAll();
  const next = {
    clusters: [C1],
    listeners: [{ ...client1, revision: 2 }],
    routes: [{ name: 'r', revision: 2, clusters: ['c1'] }],
  };
  world.source.publish(snapshotOf(next), NODE_ID);
  world.clock.advance(100);
  assert.deepStrictEqual(client.take(), [seen('cds', ['c1@1'])]);
  client.ack(CDS);
  assert.deepStrictEqual(client.take(), [seen('lds', ['l@2'])]);
  world.clock.advance(1_000);
  assert.deepStrictEqual(client.take(), [seen('rds', ['r@2'])]);
});

test('listeners also wait for clusters that are held up behind an unanswered removal', () => {
  const world = worldOf({ clusters: [C1] });
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  client.subscribe(LDS);
  client.takeAll();
  world.publish(snapshotOf({}));
  assert.deepStrictEqual(client.take(), [seen('cds', [], ['c1'])]);
  world.publish(snapshotOf({ clusters: [C1], listeners: [{ name: 'l', revision: 1, clusters: ['c1'] }] }));
  assert.deepStrictEqual(client.take(), []);
  client.ack(CDS);
  assert.deepStrictEqual(client.take(), [seen('cds', ['c1@1'])]);
  client.ack(CDS);
  assert.deepStrictEqual(client.take(), [seen('lds', ['l@1'])]);
});

test('a cluster goes when no route that the client has taken names it any more', () => {
  const route = { name: 'r', revision: 1, clusters: ['c1'] };
  const world = worldOf({ clusters: [C1, { name: 'c2', revision: 1 }], routes: [route] });
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  client.subscribe(RDS, 'r');
  client.takeAll();
  world.publish(
    snapshotOf({
      clusters: [{ name: 'c2', revision: 1 }],
      routes: [{ name: 'r', revision: 2, clusters: ['c2'] }],
    }),
  );
  assert.deepStrictEqual(client.take(), [seen('rds', ['r@2'])]);
  client.nack(RDS, 'no');
  assert.deepStrictEqual(client.take(), []);
  world.publish(
    snapshotOf({
      clusters: [{ name: 'c2', revision: 1 }],
      routes: [{ name: 'r', revision: 3, clusters: ['c2'] }],
    }),
  );
  assert.deepStrictEqual(client.take(), [seen('rds', ['r@3'])]);
  client.ack(RDS);
  assert.deepStrictEqual(client.take(), [seen('cds', [], ['c1'])]);
});

test('a refused response: the named resource is not sent again, the others are, and the next change is', () => {
  const clusters = ['a', 'b', 'c'].map((name) => ({ name, revision: 1 }));
  const world = worldOf({ clusters });
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  client.take();
  client.nack(CDS, 'Error adding/updating cluster(s) b: bad');
  assert.deepStrictEqual(client.takeAll(), [seen('cds', ['a@1', 'c@1'])]);
  assert.deepStrictEqual(
    world.nacks.map(({ proxyId, typeUrl, message, resources, suspects }) => ({
      proxyId,
      typeUrl,
      message,
      resources,
      suspects: suspects.map(({ resource, causes }) => [
        resource.name,
        causes.map(({ kind, name }) => `${kind}/${name}`),
      ]),
    })),
    [
      {
        proxyId: NODE_ID,
        typeUrl: CDS,
        message: 'Error adding/updating cluster(s) b: bad',
        resources: ['a', 'b', 'c'],
        suspects: [['b', ['Service/b']]],
      },
    ],
  );
  world.publish(snapshotOf({ clusters }));
  assert.deepStrictEqual(client.takeAll(), []);
  world.publish(
    snapshotOf({
      clusters: [
        { name: 'a', revision: 1 },
        { name: 'b', revision: 2 },
        { name: 'c', revision: 1 },
      ],
    }),
  );
  assert.deepStrictEqual(client.takeAll(), [seen('cds', ['b@2'])]);
});

test('a refusal that names nothing holds back all of the response', () => {
  const world = worldOf({ clusters: [C1] });
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  client.take();
  client.nack(CDS, 'no');
  assert.deepStrictEqual(client.takeAll(), []);
  assert.ok(world.server.connections.synced(NODE_ID), 'a refusal is an answer');
});

test('a removal in a refused response is repeated', () => {
  const listeners = [{ name: 'old', revision: 1 }];
  const world = worldOf({ listeners });
  const client = new DeltaClient(world);
  client.subscribe(LDS);
  client.takeAll();
  world.publish(snapshotOf({ listeners: [{ name: 'new', revision: 1 }] }));
  assert.deepStrictEqual(client.take(), [seen('lds', ['new@1'], ['old'])]);
  client.nack(LDS, 'Error adding/updating listener(s) new: no');
  assert.deepStrictEqual(client.takeAll(), [seen('lds', [], ['old'])]);
});

test('clusters are not removed in a response that adds some', () => {
  const world = worldOf({ clusters: [C1] });
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  client.takeAll();
  world.publish(snapshotOf({ clusters: [{ name: 'c2', revision: 1 }] }));
  assert.deepStrictEqual(client.takeAll(), [seen('cds', ['c2@1']), seen('cds', [], ['c1'])]);
});

test('an unsubscribed name is forgotten, and answered when asked for again', () => {
  const world = worldOf({ endpoints: [E1] });
  const client = new DeltaClient(world);
  client.subscribe(EDS, 'c1');
  client.takeAll();
  client.unsubscribe(EDS, 'c1');
  world.publish(snapshotOf({ endpoints: [{ name: 'c1', revision: 2 }] }));
  assert.deepStrictEqual(client.take(), []);
  client.subscribe(EDS, 'c1');
  assert.deepStrictEqual(client.takeAll(), [seen('eds', ['c1@2'])]);
  client.subscribe(EDS, 'c1');
  assert.deepStrictEqual(client.takeAll(), [seen('eds', ['c1@2'])]);
});

test('beside a wildcard: names asked for are answered, names let go are told to belong to it or not', () => {
  const client = new DeltaClient(worldOf({ clusters: [C1] }));
  client.subscribe(CDS);
  client.takeAll();
  client.subscribe(CDS, 'c1', 'lazy');
  assert.deepStrictEqual(client.takeAll(), [seen('cds', ['c1@1']), seen('cds', [], ['lazy'])]);
  client.unsubscribe(CDS, 'c1', 'lazy');
  assert.deepStrictEqual(client.takeAll(), [seen('cds', ['c1@1']), seen('cds', [], ['lazy'])]);
  client.unsubscribe(CDS, '*');
  assert.deepStrictEqual(client.takeAll(), []);
});

test('a route that left the snapshot stays a minute with a client that is still subscribed', () => {
  const world = worldOf({ routes: [{ name: 'r', revision: 1 }] });
  const client = new DeltaClient(world);
  client.subscribe(RDS, 'r');
  client.takeAll();
  world.publish(snapshotOf({}));
  world.clock.advance(59_000);
  assert.deepStrictEqual(client.takeAll(), []);
  world.clock.advance(1_000);
  assert.deepStrictEqual(client.takeAll(), [seen('rds', [], ['r'])]);
});
