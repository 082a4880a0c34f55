/** Trust bundles over xDS: who is shown them, and what is known of who has them in place. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Peer } from '#ads/peer.ts';
import { TrustBundleRollout } from '#ads/trust-bundle-rollout.ts';
import { mapOf } from '#collections/persistent-map.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import { TYPE_CLUSTER as CDS, TYPE_TRUST_BUNDLE as PCDS } from '#xds/resource.ts';
import { FakeWorld, LOCAL_PEER, NODE_ID, resourceOf, snapshotOf } from './fake-world.ts';
import { DeltaClient, SotwClient } from './scripted-client.ts';

const IDENTITY = 'spiffe://cluster.local/ns/default/sa/default';
const PROVEN: Peer = { ...LOCAL_PEER, isTrusted: true, identity: IDENTITY };
const RETURN_MS = 30_000;
const OTHER_ID = NODE_ID.replace('app-0', 'app-1');

function bundle(revision: number): { readonly snapshot: ProxySnapshot; readonly version: string } {
  const resource = resourceOf(PCDS, { name: 'trust-bundle', revision });
  const trustBundle = mapOf([['trust-bundle', { resource, causes: [] }] as const]);
  return { snapshot: snapshotOf({}, { trustBundle }), version: resource.version };
}

function openWorld(revision = 1) {
  const world = new FakeWorld();
  const rollout = new TrustBundleRollout(world.server.connections, world.clock, RETURN_MS);
  const first = bundle(revision);
  world.publish(first.snapshot, NODE_ID, OTHER_ID);
  world.clock.advance(RETURN_MS);
  return { world, rollout, version: first.version };
}

const counts = (acknowledged: number, waiting: number, unsubscribed: number, absent: number) => {
  return { acknowledged, waiting, unsubscribed, absent };
};

for (const Client of [DeltaClient, SotwClient]) {
  test(`${Client.name}: one who has proven who they are is shown the bundle, over plain text there is none`, () => {
    const { world } = openWorld();
    for (const [peer, set] of [
      [PROVEN, ['trust-bundle@1']],
      [LOCAL_PEER, []],
      [{ ...PROVEN, isTrusted: false }, []],
    ] as const) {
      const client = new Client(world, peer);
      client.send({ typeUrl: PCDS });
      assert.deepEqual(
        client.take().map((seen) => [seen.type, seen.set]),
        [['ProxyConfig', set]],
      );
    }
  });

  test(`${Client.name}: a proxy has a bundle when it has acknowledged that one, and not when it refused it`, () => {
    const { world, rollout, version } = openWorld();
    const client = new Client(world, PROVEN);
    client.send({ typeUrl: CDS });
    assert.deepEqual(rollout.coverage(version), counts(0, 0, 1, 0));
    client.send({ typeUrl: PCDS });
    assert.deepEqual(rollout.coverage(version), counts(0, 1, 0, 0));
    client.take();
    client.ack(PCDS);
    assert.deepEqual([rollout.coverage(version), rollout.isComplete(version)], [counts(1, 0, 0, 0), true]);
    const next = bundle(2);
    assert.equal(rollout.isComplete(next.version), false);
    world.publish(next.snapshot);
    client.take();
    assert.deepEqual(rollout.coverage(next.version), counts(0, 1, 0, 0));
    client.nack(PCDS, 'cannot be read');
    assert.deepEqual(rollout.coverage(next.version), counts(0, 1, 0, 0));
    const last = bundle(3);
    world.publish(last.snapshot);
    client.take();
    client.ack(PCDS);
    assert.deepEqual(rollout.coverage(last.version), counts(1, 0, 0, 0));
  });
}

test('a caller who is shown nothing never has the bundle, whatever it acknowledges', () => {
  const { world, rollout, version } = openWorld();
  const client = new DeltaClient(world);
  client.send({ typeUrl: PCDS });
  client.take();
  client.ack(PCDS);
  assert.deepEqual(rollout.coverage(version), counts(0, 0, 1, 0));
});

test('nobody connected is nobody who has it; one who left is waited for, until they would have come back', () => {
  const { world, rollout, version } = openWorld();
  let calls = 0;
  rollout.watch(() => calls++);
  assert.equal(rollout.isComplete(version), false);
  const [stays, leaves] = [new DeltaClient(world, PROVEN), new DeltaClient(world, PROVEN)];
  stays.send({ typeUrl: PCDS });
  leaves.send({ typeUrl: PCDS, node: { id: OTHER_ID } });
  for (const client of [stays, leaves]) {
    client.take();
    client.ack(PCDS);
  }
  assert.equal(rollout.isComplete(version), true);
  leaves.stream.break();
  assert.deepEqual([rollout.coverage(version), rollout.isComplete(version)], [counts(1, 0, 0, 1), false]);
  const back = new DeltaClient(world, PROVEN);
  back.send({ typeUrl: PCDS, node: { id: OTHER_ID } });
  assert.deepEqual(rollout.coverage(version), counts(1, 1, 0, 0));
  back.stream.break();
  calls = 0;
  world.clock.advance(RETURN_MS);
  assert.deepEqual([calls, rollout.isComplete(version)], [1, true]);
});

test('just after the start nothing is complete: others have not come back yet', () => {
  const world = new FakeWorld();
  const rollout = new TrustBundleRollout(world.server.connections, world.clock, RETURN_MS);
  let calls = 0;
  const { snapshot, version } = bundle(1);
  world.publish(snapshot);
  const client = new DeltaClient(world, PROVEN);
  client.send({ typeUrl: PCDS });
  client.take();
  client.ack(PCDS);
  rollout.watch(() => calls++);
  assert.deepEqual([rollout.coverage(version), rollout.isComplete(version)], [counts(1, 0, 0, 0), false]);
  world.clock.advance(RETURN_MS);
  assert.deepEqual([calls, rollout.isComplete(version)], [1, true]);
  rollout[Symbol.dispose]();
});
