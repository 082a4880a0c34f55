import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { parseCertificates } from '#identity/certificate.ts';
import { AuthorityRotation } from './authority-rotation.ts';
import { openRootStore } from './root-store.ts';

const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 0, 1);
let folder = '';

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'rotation-'));
});
after(() => rmSync(folder, { recursive: true }));

/** A CA in a folder, as after a start of the program. */
async function open(name: string, clock: TestClock) {
  const stored = await openRootStore(join(folder, name), 'cluster.local', clock);
  assert.ok(stored.ok, stored.ok ? '' : stored.error);
  const rotation = new AuthorityRotation({
    ...stored.value,
    clock,
    log: silentLogger(),
    overlapMs: 60_000,
    maxTtlMs: 24 * HOUR_MS,
  });
  const { pending, store } = stored.value;
  if (pending !== undefined) await rotation.introduce(pending);
  return { rotation, store, first: stored.value.first.authority.rootPem };
}

function rootsOf(rotation: AuthorityRotation): string[] {
  const parsed = parseCertificates(rotation.rootsPem, 100);
  return parsed.ok ? parsed.value.map(({ pem }) => pem) : [];
}

async function successor(store: Awaited<ReturnType<typeof open>>['store']) {
  const made = await store.makeSuccessor();
  assert.ok(made.ok);
  return made.value;
}

/** Lets file operations that a timer started come to their end. */
async function until(holds: () => boolean): Promise<void> {
  const limit = performance.now() + 5_000;
  while (!holds()) {
    assert.ok(performance.now() < limit, 'nothing happened');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('replacing a root', () => {
  it('believes the new root first, lets it sign then, and forgets the old one when nothing of it is left', async () => {
    const clock = new TestClock(START_MS);
    const { rotation, store, first } = await open('overlap', clock);
    let changes = 0;
    rotation.watch(() => changes++);
    const next = await successor(store);
    await rotation.introduce(next);
    assert.deepEqual([rotation.authority.rootPem, rootsOf(rotation).length, changes], [first, 2, 1]);
    clock.advance(60_000);
    await until(() => !rotation.isPending);
    assert.equal(rotation.authority.rootPem, next.authority.rootPem);
    assert.deepEqual(rootsOf(rotation), [next.authority.rootPem, first]);
    clock.advance(23 * HOUR_MS);
    assert.equal(rootsOf(rotation).length, 2);
    clock.advance(3 * HOUR_MS);
    await until(() => rootsOf(rotation).length === 1);
    assert.deepEqual(rootsOf(rotation), [next.authority.rootPem]);
    rotation[Symbol.dispose]();
    assert.equal(clock.waitingCount, 0);
  });

  it('need not wait when everybody is known to have the new root', async () => {
    const clock = new TestClock(START_MS);
    const { rotation, store } = await open('confirmed', clock);
    const next = await successor(store);
    await rotation.introduce(next);
    await rotation.confirm('acknowledged');
    assert.equal(rotation.authority.rootPem, next.authority.rootPem);
    assert.deepEqual(readdirSync(join(folder, 'confirmed')).sort(), [
      'ca-cert.pem',
      'ca-key.pem',
      'retired-roots.json',
    ]);
    rotation[Symbol.dispose]();
  });

  it('goes on after a restart in the overlap, and after one behind it', async () => {
    const clock = new TestClock(START_MS);
    const one = await open('restarted', clock);
    const next = await successor(one.store);
    await one.rotation.introduce(next);
    one.rotation[Symbol.dispose]();
    const two = await open('restarted', clock);
    assert.deepEqual([two.first, two.rotation.isPending], [one.first, true]);
    assert.deepEqual(rootsOf(two.rotation).toSorted(), [one.first, next.authority.rootPem].toSorted());
    await two.rotation.confirm('acknowledged');
    two.rotation[Symbol.dispose]();
    const three = await open('restarted', clock);
    assert.equal(three.first, next.authority.rootPem);
    assert.deepEqual(rootsOf(three.rotation), [next.authority.rootPem, one.first]);
    three.rotation[Symbol.dispose]();
    clock.advance(25 * HOUR_MS);
    const four = await open('restarted', clock);
    assert.deepEqual(rootsOf(four.rotation), [next.authority.rootPem]);
    four.rotation[Symbol.dispose]();
  });

  it('knows subjects that the old authority signed as its own', async () => {
    const clock = new TestClock(START_MS);
    const { rotation, store, first } = await open('issuers', clock);
    await rotation.introduce(await successor(store));
    await rotation.confirm('acknowledged');
    assert.deepEqual(
      rotation.issuers.map(({ pem }) => pem),
      [rotation.authority.rootPem, first],
    );
    rotation[Symbol.dispose]();
  });
});
