/**
 * Gateways that get only the clusters which they route to, over random histories: incremental equals from scratch, and whatever a
 * route or a listener of theirs names is there, if it is there without the flag. Nobody else has anything less.
 */
import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import { type MeshFixture, meshFixture } from '../support/mesh-fixture.ts';
import { type Command, history, LivingMesh } from './mesh-history.ts';
import { assertSameSnapshots } from './same-snapshots.ts';

const FLAGS = { ...DEFAULT_MESH_FLAGS, filtersGatewayClusters: true };
const isLong = process.env['LATEEN_LONG'] === '1';

/** Names of clusters that a snapshot lacks although it names them, and another has them. */
function missing(chosen: ProxySnapshot, all: ProxySnapshot): readonly string[] {
  const named = [chosen.routes, chosen.listeners].flatMap((part) =>
    Array.from(part, ([, { resource }]) => resource.references ?? []).flat(),
  );
  return named.filter((name) => all.clusters.has(name) && !chosen.clusters.has(name));
}

function assertComplete(filtered: MeshFixture, open: MeshFixture): void {
  for (const [id, all] of open.mesh.graph.snapshots.all()) {
    const chosen = filtered.mesh.graph.snapshots.get(id);
    if (chosen === undefined) throw new Error(`no snapshot of ${id}`);
    deepStrictEqual(missing(chosen, all), [], id);
    if (!id.startsWith('router~')) deepStrictEqual([...chosen.clusters.keys()], [...all.clusters.keys()], id);
  }
}

test('gateways with chosen clusters have all that they name, whatever happened before', async () => {
  const property = fc.asyncProperty(history, async (commands: readonly Command[]) => {
    const mesh = new LivingMesh(assertSameSnapshots, FLAGS);
    for (const command of commands) mesh.run(command);
    const open = meshFixture();
    mesh.feed(open);
    open.settle();
    mesh.fixture.settle();
    assertComplete(mesh.fixture, open);
    await new Promise(setImmediate);
  });
  const runs = isLong
    ? { numRuns: 20_000, interruptAfterTimeLimit: 300_000 }
    : { numRuns: 10, interruptAfterTimeLimit: 20_000 };
  const result = await fc.check(property, runs);
  if (!result.failed) return;
  const [commands] = result.counterexample ?? [];
  throw new Error(`seed ${result.seed}, path ${result.counterexamplePath}: ${JSON.stringify(commands)}`, {
    cause: result.errorInstance,
  });
});
