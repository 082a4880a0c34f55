/** What holds for a stream whatever is asked on it: who sees what, how responses are marked and shared, what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mapOf } from '#collections/persistent-map.ts';
import { TYPE_CLUSTER as CDS, TYPE_ENDPOINT as EDS, TYPE_EXTENSION, TYPE_SECRET } from '#xds/resource.ts';
import {
  encodeNode,
  FakeWorld,
  LOCAL_PEER,
  resourceOf,
  snapshotOf,
  type WorldDescription,
} from './fake-world.ts';
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

test('secrets are shown to nobody but the proven identity that they were looked up for', () => {
  const secret = { resource: resourceOf(TYPE_SECRET, { name: 's', revision: 1 }), causes: [] };
  const world = new FakeWorld();
  world.publish(snapshotOf({}, { secrets: mapOf([['s', secret]]), secretsOwner: 'spiffe://x' }));
  const ask = (isTrusted: boolean, identity: string | undefined): Seen[] => {
    const client = new DeltaClient(world, { ...LOCAL_PEER, isTrusted, identity });
    client.subscribe(TYPE_SECRET, 's');
    return client.take();
  };
  assert.deepStrictEqual(ask(false, undefined), [seen('sds', [], ['s'])]);
  assert.deepStrictEqual(ask(false, 'spiffe://x'), [seen('sds', [], ['s'])]);
  assert.deepStrictEqual(ask(true, undefined), [seen('sds', [], ['s'])]);
  assert.deepStrictEqual(ask(true, 'spiffe://y'), [seen('sds', [], ['s'])]);
  assert.deepStrictEqual(ask(true, 'spiffe://x'), [seen('sds', ['s@1'])]);
});

test('a configuration with something secret in it likewise, others are for everybody', () => {
  const open = { resource: resourceOf(TYPE_EXTENSION, { name: 'open', revision: 1 }), causes: [] };
  const secret = resourceOf(TYPE_EXTENSION, { name: 'secret', revision: 1 });
  const confidential = { resource: { ...secret, isConfidential: true }, causes: [] };
  const world = new FakeWorld();
  const extensions = mapOf([
    ['open', open],
    ['secret', confidential],
  ]);
  world.publish(snapshotOf({}, { extensions, secretsOwner: 'spiffe://x' }));
  const ask = (isTrusted: boolean, identity: string | undefined): Seen[] => {
    const client = new DeltaClient(world, { ...LOCAL_PEER, isTrusted, identity });
    client.subscribe(TYPE_EXTENSION, 'open', 'secret');
    return client.take();
  };
  assert.deepStrictEqual(ask(false, undefined), [seen('ecds', ['open@1'], ['secret'])]);
  assert.deepStrictEqual(ask(true, 'spiffe://x'), [seen('ecds', ['open@1', 'secret@1'])]);
});

test('versions show time and number of the epoch, nonces never repeat', () => {
  const world = worldOf({ clusters: [C1] });
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  client.takeAll();
  world.publish(snapshotOf({ clusters: [{ ...C1, revision: 2 }] }));
  client.takeAll();
  assert.deepStrictEqual(client.systemVersions, ['2026-11-21T10:31:01Z/1', '2026-11-21T10:31:01Z/2']);
  assert.equal(new Set(client.nonces).size, client.nonces.length);
});

test('what all proxies of one view are sent is encoded once', () => {
  const world = new FakeWorld();
  const ids = Array.from(
    { length: 20 },
    (_, i) => `sidecar~10.0.0.${i}~app-${i}.default~default.svc.cluster.local`,
  );
  const many = (revision: number) =>
    snapshotOf({ clusters: Array.from({ length: 50 }, (_, i) => ({ name: `c${i}`, revision })) });
  world.publish(many(1), ...ids);
  const clients = ids.map((id) => {
    const client = new DeltaClient(world);
    client.send({ typeUrl: CDS, node: { id } });
    return client;
  });
  for (const client of clients) assert.equal(client.takeAll().length, 1);
  assert.equal(world.server.encodedCount, 1);
  world.publish(many(2), ...ids);
  for (const client of clients) assert.equal(client.takeAll().length, 1);
  assert.equal(world.server.encodedCount, 2);
});

const MISTAKES: readonly (readonly [string, Uint8Array, number])[] = [
  ['no node', Buffer.from([0x12, 1, 0x74]), 3],
  ['a node that is no proxy', Buffer.concat([Buffer.from([0x0a, 3]), encodeNode('x').subarray(0, 3)]), 3],
  ['garbage', Buffer.from([0xff, 0xff, 0xff]), 3],
];

for (const [what, message, code] of MISTAKES) {
  test(`a stream that begins with ${what} is refused`, () => {
    const client = new DeltaClient(worldOf({}));
    client.stream.receive(message);
    assert.equal(client.stream.status?.code, code);
  });
}

test('a client that asks for too many names that do not exist is cut', () => {
  const world = worldOf({});
  const client = new DeltaClient(world);
  client.subscribe(EDS, ...Array.from({ length: 11_000 }, (_, i) => `x${i}`));
  assert.equal(client.stream.status?.code, 8);
  assert.equal(world.server.connections.size, 0);
});
