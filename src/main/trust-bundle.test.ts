/** When the word of agents lets an authority sign: where there is one control plane, for the newest bundle, and never by itself. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConnectionRecord, Connections } from '#ads/connections.ts';
import { PCDS } from '#ads/resource-type.ts';
import { defaultMeshConfig } from '#api/mesh-config.ts';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { AuthorityRotation } from '#ca/authority-rotation.ts';
import { openRootStore } from '#ca/root-store.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import { createMesh } from './mesh.ts';
import { TrustBundle } from './trust-bundle.ts';

const folder = mkdtempSync(join(tmpdir(), 'bundle-'));
after(() => rmSync(folder, { recursive: true }));

/** One agent that is connected, and says what the test has it say. */
class Agent {
  readonly #connections: Connections;
  readonly #record: ConnectionRecord;
  #nonces = 0;

  constructor(connections: Connections) {
    this.#connections = connections;
    const node = { proxy: { id: 'one' } } as unknown as ConnectionRecord['node'];
    const facts = { id: '1', node, address: '', identity: 'id', isDelta: true, connectedAtMs: 0 };
    this.#record = new ConnectionRecord(facts);
    connections.add(this.#record);
  }

  acknowledge(entry: ResourceEntry | undefined): void {
    if (entry === undefined) throw new Error('there is no bundle');
    const nonce = String(++this.#nonces);
    const adds = [['trust-bundle', entry] as const];
    const sent = { nonce, version: '', sentAtMs: 0, epoch: 0, adds, removals: [], before: new Map() };
    this.#record.sent(PCDS, sent);
    this.#record.acked(PCDS, sent, 0);
    this.#connections.touch('one');
  }
}

async function open(name: string, isAlone: boolean) {
  const clock = new TestClock(Date.UTC(2026, 0, 1));
  const stored = await openRootStore(join(folder, name), 'cluster.local', clock);
  assert.ok(stored.ok);
  const common = { clock, log: silentLogger(), overlapMs: 60_000, maxTtlMs: 3_600_000 };
  const rotation = new AuthorityRotation({ ...stored.value, ...common });
  const mesh = createMesh({
    meshConfig: defaultMeshConfig(),
    clusterId: 'c',
    clusterDomain: 'cluster.local',
    onError: (...failure) => assert.fail(failure.map(String).join(' ')),
  });
  const connections = new Connections(clock);
  const settings = { isAlone: () => isAlone, returnMs: 1_000 };
  const bundle = new TrustBundle({
    mesh,
    ads: { connections },
    authority: { rotation, problem: () => '' },
    clock,
    settings,
  });
  clock.advance(1_000);
  return {
    rotation,
    bundle,
    agent: new Agent(connections),
    async entry(): Promise<ResourceEntry | undefined> {
      await mesh.driver.settled();
      return [...mesh.graph.trustBundle.bucket(MESH_KEY).values()][0];
    },
    async introduce(): Promise<void> {
      const next = await stored.value.store.makeSuccessor();
      assert.ok(next.ok);
      await rotation.introduce(next.value);
    },
    /** Everything that is under way has come to its end. */
    async rest(): Promise<void> {
      await mesh.driver.settled();
      // Waits behind what the rotation does already, and does nothing itself.
      await rotation.confirm('acknowledged', 'other roots');
    },
    [Symbol.dispose]: () => {
      bundle[Symbol.dispose]();
      rotation[Symbol.dispose]();
    },
  };
}

test('the one control plane lets the new authority sign when all agents have its root, not before', async () => {
  using one = await open('alone', true);
  one.agent.acknowledge(await one.entry());
  assert.deepEqual(one.bundle.status.proxies, { acknowledged: 1, waiting: 0, unsubscribed: 0, absent: 0 });
  await one.introduce();
  const next = await one.entry();
  await one.rest();
  assert.deepEqual([one.rotation.isPending, one.bundle.status.proxies.waiting], [true, 1]);
  one.agent.acknowledge(next);
  await one.rest();
  assert.deepEqual([one.rotation.isPending, one.rotation.lastSwitch], [false, 'acknowledged']);
});

test('one of several waits for the limit: it knows nothing of the proxies of others', async () => {
  using one = await open('several', false);
  await one.introduce();
  one.agent.acknowledge(await one.entry());
  await one.rest();
  assert.deepEqual([one.rotation.isPending, one.bundle.status.proxies.acknowledged], [true, 1]);
});
