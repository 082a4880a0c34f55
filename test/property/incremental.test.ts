/**
 * The main property (law 5) over the whole graph: whatever happened, in whatever order and however it was cut into
 * slices, every proxy has what a mesh fed with the outcome alone gives it, byte for byte, for the same causes.
 * LATEEN_LONG=1 runs it for minutes. A history that failed is kept in incremental-cases/ and replayed for ever.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Command, history, LivingMesh } from './mesh-history.ts';
import { assertSameSnapshots } from './same-snapshots.ts';

const CASES = join(import.meta.dirname, 'incremental-cases');
const isLong = process.env['LATEEN_LONG'] === '1';

function checkHistory(commands: readonly Command[]): void {
  const mesh = new LivingMesh(assertSameSnapshots);
  for (const command of commands) mesh.run(command);
}

test('incremental equals from scratch, in whatever order the outcome is fed', async () => {
  const runs = isLong
    ? { numRuns: 100_000, interruptAfterTimeLimit: 600_000 }
    : { numRuns: 40, interruptAfterTimeLimit: 60_000 };
  // A turn of the event loop after each history: only then may what the meshes shared be collected.
  const property = fc.asyncProperty(history, async (commands) => {
    checkHistory(commands);
    await new Promise(setImmediate);
  });
  const result = await fc.check(property, runs);
  if (!result.failed) return;
  const [commands] = result.counterexample ?? [];
  throw new Error(
    `seed ${result.seed}, path ${result.counterexamplePath}; keep as a case: ${JSON.stringify(commands)}`,
    { cause: result.errorInstance },
  );
});

for (const file of readdirSync(CASES).sort()) {
  test(`incremental equals from scratch: ${file}`, () => {
    checkHistory(JSON.parse(readFileSync(join(CASES, file), 'utf8')) as readonly Command[]);
  });
}
