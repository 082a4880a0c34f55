/**
 * What is made on demand: requests for it wait for a snapshot that was made for them, others do not; and the demand of a
 * proxy is that of all its streams together, as long as they last.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mapOf } from '#collections/persistent-map.ts';
import {
  TYPE_CLUSTER as CDS,
  TYPE_LISTENER as LDS,
  TYPE_NAME_TABLE as NDS,
  TYPE_ROUTE as RDS,
} from '#xds/resource.ts';
import { FakeWorld, NODE_ID, resourceOf, snapshotOf } from './fake-world.ts';
import { DeltaClient, SotwClient } from './scripted-client.ts';

const GRPC_NODE = { id: NODE_ID, metadata: { GENERATOR: 'grpc' } };
/** Apart from the Envoy with the same node id. */
const GRPC_ID = `${NODE_ID}~grpc`;
const NAMES = {
  nameTable: mapOf([
    ['name-table', { resource: resourceOf(NDS, { name: 'name-table', revision: 1 }), causes: [] }] as const,
  ]),
};
const L1 = { name: 'a:80', revision: 1 };

function worldWithNothing(proxyId = NODE_ID): FakeWorld {
  const world = new FakeWorld();
  world.publish(snapshotOf({}), proxyId);
  return world;
}

for (const Client of [DeltaClient, SotwClient]) {
  test(`${Client.name}: a name table is waited for, and what comes behind it keeps its order`, () => {
    const world = worldWithNothing();
    const client = new Client(world);
    client.send({ typeUrl: CDS });
    assert.deepStrictEqual(
      client.take().map(({ type }) => type),
      ['cds'],
    );
    client.send({ typeUrl: NDS });
    client.send({ typeUrl: LDS });
    assert.deepStrictEqual(client.take(), []);
    assert.equal(world.source.wishes.get(NODE_ID)?.nameTable, true);
    world.source.meet(NODE_ID);
    world.publish(snapshotOf({ listeners: [L1] }, NAMES));
    const seen = client.take().map(({ type, set }) => [type, set]);
    assert.deepStrictEqual(seen, [
      ['lds', ['a:80@1']],
      ['NameTable', ['name-table@1']],
    ]);
  });
}

test('the name table is answered even when it is empty', () => {
  const world = worldWithNothing();
  const client = new SotwClient(world);
  client.ask(NDS);
  world.source.meet(NODE_ID);
  world.publish(snapshotOf({}));
  assert.deepStrictEqual(client.take(), [{ type: 'NameTable', set: [] }]);
});

test('a gRPC library is answered for a name when it is known whether there is one', () => {
  const world = worldWithNothing(GRPC_ID);
  const client = new SotwClient(world);
  client.send({ node: GRPC_NODE, typeUrl: LDS, resourceNames: ['a:80', 'b:80'] });
  assert.deepStrictEqual(client.take(), []);
  assert.deepStrictEqual(world.source.wishes.get(GRPC_ID)?.listeners, ['a:80', 'b:80']);
  world.source.meet(GRPC_ID);
  world.publish(snapshotOf({ listeners: [L1] }), GRPC_ID);
  assert.deepStrictEqual(client.take(), [{ type: 'lds', set: ['a:80@1'] }]);
  client.ask(LDS, 'a:80', 'b:80');
  client.ask(RDS, 'r');
  assert.deepStrictEqual(client.take(), []);
  world.source.meet(GRPC_ID);
  world.publish(snapshotOf({ listeners: [L1], routes: [{ name: 'r', revision: 1 }] }), GRPC_ID);
  assert.deepStrictEqual(client.take(), [{ type: 'rds', set: ['r@1'] }]);
});

test('delta: names that are dropped are not asked for any more, and unknown ones are answered as removed', () => {
  const world = worldWithNothing(GRPC_ID);
  const client = new DeltaClient(world);
  client.send({ node: GRPC_NODE, typeUrl: LDS, resourceNamesSubscribe: ['a:80', 'b:80'] });
  world.source.meet(GRPC_ID);
  world.publish(snapshotOf({ listeners: [L1] }), GRPC_ID);
  assert.deepStrictEqual(client.take(), [{ type: 'lds', set: ['a:80@1'], removed: ['b:80'] }]);
  client.ack(LDS);
  client.unsubscribe(LDS, 'a:80');
  assert.deepStrictEqual(world.source.wishes.get(GRPC_ID)?.listeners, ['b:80']);
});

test('the demand of a proxy is that of all its streams, and goes with them', () => {
  const world = worldWithNothing(GRPC_ID);
  const first = new SotwClient(world);
  const second = new SotwClient(world);
  first.send({ node: GRPC_NODE, typeUrl: CDS, resourceNames: ['b', 'a'] });
  second.send({ node: GRPC_NODE, typeUrl: CDS, resourceNames: ['c', 'a'] });
  assert.deepStrictEqual(world.source.wishes.get(GRPC_ID)?.clusters, ['a', 'b', 'c']);
  first.stream.break();
  assert.deepStrictEqual(world.source.wishes.get(GRPC_ID)?.clusters, ['a', 'c']);
  second.stream.break();
  assert.deepStrictEqual(world.source.wishes.get(GRPC_ID)?.clusters, []);
});

test('an Envoy that names clusters asks for nothing special', () => {
  const world = worldWithNothing();
  const client = new DeltaClient(world);
  client.subscribe(CDS, 'c1');
  assert.deepStrictEqual(client.take(), [{ type: 'cds', set: [], removed: ['c1'] }]);
  assert.equal(world.source.wishes.get(NODE_ID), undefined);
});
