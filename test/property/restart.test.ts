/**
 * A control plane that is restarted, or another replica of it, serves the same bytes: nothing of a process (seeds of hashes,
 * addresses, order of arrival) gets into them. Objects are held back on the way, as after a refusal by Envoy.
 */
import { deepStrictEqual } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesOf } from '../support/mesh-fixture.ts';
import { type Command, history, LivingMesh } from './mesh-history.ts';

const PEER = join(import.meta.dirname, 'restart-peer.ts');

/** One long history: several in one mesh, with refusals of what is there. */
function longHistory(): readonly Command[] {
  const parts = fc.sample(history, { numRuns: 2, seed: 20 });
  const refusals = [3, 7, 11, 20].map(
    (index): Command => ({ do: index % 2 === 0 ? 'hold' : 'holdLastGood', index }),
  );
  return [...parts.flat(), ...refusals];
}

test('another process comes to the same bytes', () => {
  const commands = longHistory();
  const mesh = new LivingMesh();
  for (const command of commands) mesh.run(command);
  mesh.fixture.settle();
  const here = Array.from(
    mesh.fixture.mesh.graph.snapshots.all(),
    ([id, snapshot]) => [id, bytesOf(snapshot)] as const,
  );
  const peer = spawnSync(process.execPath, [PEER], {
    input: JSON.stringify(commands),
    maxBuffer: 256 * 1024 * 1024,
    timeout: 120_000,
    encoding: 'utf8',
  });
  deepStrictEqual(peer.status, 0, peer.stderr);
  deepStrictEqual(JSON.parse(peer.stdout), JSON.parse(JSON.stringify(here)));
  deepStrictEqual([here.length > 3, mesh.heldBack.size > 0], [true, true]);
});
