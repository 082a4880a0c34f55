/** What must be the same in two meshes that were fed with the same: every resource of every proxy, byte for byte, and its causes. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import type { ProxySnapshot, SnapshotMap } from '#xds/proxy-snapshot.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { type MeshFixture, plainResource, type SnapshotPart } from '../support/mesh-fixture.ts';

/** Throws where the snapshots of two meshes differ. */
export function assertSameSnapshots(actual: MeshFixture, expected: MeshFixture): void {
  const mine = actual.mesh.graph.snapshots.all();
  const theirs = expected.mesh.graph.snapshots.all();
  deepStrictEqual([...mine.keys()], [...theirs.keys()]);
  for (const [id, snapshot] of mine) {
    const other = theirs.get(id) as ProxySnapshot;
    strictEqual(snapshot.secretsOwner, other.secretsOwner, id);
    for (const part of Object.keys(snapshot) as (keyof ProxySnapshot)[]) {
      if (part === 'secretsOwner') continue;
      deepStrictEqual([...snapshot[part].keys()], [...other[part].keys()], `names of ${part} of ${id}`);
      for (const [name, entry] of snapshot[part]) {
        assertSameEntry(`${part} ${name} of ${id}`, part, entry, other[part].get(name) as ResourceEntry);
      }
    }
  }
}

function assertSameEntry(what: string, part: SnapshotMap, mine: ResourceEntry, theirs: ResourceEntry): void {
  const { resource: a } = mine;
  const { resource: b } = theirs;
  if (Buffer.compare(a.bytes, b.bytes) !== 0) {
    deepStrictEqual(plainResource(part as SnapshotPart, a), plainResource(part as SnapshotPart, b), what);
    throw new Error(`${what}: same content, other bytes`);
  }
  strictEqual(a.version, b.version, what);
  deepStrictEqual(a.references, b.references, `references of ${what}`);
  deepStrictEqual(mine.causes, theirs.causes, `causes of ${what}`);
}
