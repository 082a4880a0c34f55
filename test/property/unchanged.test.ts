/**
 * Changes that alter nothing send nothing: the same object again, the same text with comments, blank lines and keys in
 * another order. No map of any snapshot is replaced, nothing is encoded; and a verdict on an object still holds.
 */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import { type MeshFixture, readObjects } from '../support/mesh-fixture.ts';
import { type Command, history, LivingMesh } from './mesh-history.ts';
import type { Manifest } from './mesh-names.ts';

const isLong = process.env['LATEEN_LONG'] === '1';

/** The same document as another hand writes it: keys reversed at every level, comments and blank lines between lines. */
function rewritten(manifest: Manifest): string {
  const lines = stringify(reversedKeys(manifest), { lineWidth: 0 }).split('\n');
  return `# first\n\n---\n${lines.map((line) => `${line}\n# ${line.length}\n\n`).join('')}`;
}

function reversedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversedKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversedKeys(inner)]),
  );
}

interface Seen {
  readonly snapshots: readonly (readonly [string, ProxySnapshot])[];
  readonly encoded: number;
  readonly recomputed: number;
}

function look({ mesh }: MeshFixture): Seen {
  const { recomputed } = mesh.engine.counters;
  return { snapshots: [...mesh.graph.snapshots.all()], encoded: mesh.graph.interner.encoded, recomputed };
}

/** Every snapshot is the same object as before, and so are its maps. */
function assertUntouched(before: Seen, after: Seen): void {
  deepStrictEqual(
    after.snapshots.map(([id]) => id),
    before.snapshots.map(([id]) => id),
  );
  for (const [at, [id, snapshot]] of after.snapshots.entries()) {
    strictEqual(snapshot, before.snapshots[at]?.[1], `snapshot of ${id}`);
  }
  strictEqual(after.encoded, before.encoded, 'resources encoded');
}

function livedMesh(commands: readonly Command[]): LivingMesh {
  const mesh = new LivingMesh();
  for (const command of commands) mesh.run(command);
  mesh.fixture.settle();
  return mesh;
}

/** A failure names its seed; `fc.assert` does so in its message. */
async function forHistories(numRuns: number, check: (mesh: LivingMesh) => void): Promise<void> {
  await fc.assert(
    fc.asyncProperty(history, async (commands) => {
      check(livedMesh(commands));
      await new Promise(setImmediate);
    }),
    isLong ? { numRuns: 2000, interruptAfterTimeLimit: 200_000 } : { numRuns },
  );
}

test('the same objects, replicas, proxies, verdicts and mesh config again compute nothing', async () => {
  await forHistories(8, (mesh) => {
    const before = look(mesh.fixture);
    mesh.feed(mesh.fixture);
    mesh.fixture.settle();
    const after = look(mesh.fixture);
    assertUntouched(before, after);
    strictEqual(after.recomputed, before.recomputed, 'derivations run');
  });
});

test('objects written anew with comments, blank lines and keys in another order change nothing', async () => {
  await forHistories(8, (mesh) => {
    const before = look(mesh.fixture);
    for (const manifest of mesh.manifests.values()) mesh.fixture.apply(rewritten(manifest));
    mesh.fixture.settle();
    assertUntouched(before, look(mesh.fixture));
  });
});

test('the hash of an object does not depend on how it is written', async () => {
  await forHistories(5, (mesh) => {
    for (const [key, manifest] of mesh.manifests) {
      const [object] = readObjects(rewritten(manifest));
      strictEqual(object?.hash, mesh.objects.get(key)?.hash, key);
    }
  });
});
