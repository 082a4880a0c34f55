/**
 * Property: whatever happens in whatever order (epochs, delays, refusals, broken streams), Envoy's delta client is never told
 * to use what it doesn't have, nothing warms for ever, and in the end it holds exactly its snapshot.
 */
import { test } from 'node:test';
import fc from 'fast-check';
import { DeltaClientModel } from './delta-client-model.ts';
import { arbitraryStep, runHistory, type Variant } from './model-history.ts';
import { arbitraryWorld } from './world-arbitrary.ts';

const DELTA: Variant = { isDelta: true, createClient: () => new DeltaClientModel() };
const numRuns = Number(process.env['ADS_MODEL_RUNS'] ?? 150);

function history(refusals: boolean) {
  const steps = fc.array(arbitraryStep({ refusals, reconnects: true }), { maxLength: 30 });
  return fc.property(arbitraryWorld, steps, arbitraryWorld, (first, middle, last) =>
    runHistory(DELTA, first, middle, last),
  );
}

test('a delta client that takes everything is led from world to world without a gap', () => {
  fc.assert(history(false), { numRuns });
});

test('a delta client that refuses at random keeps what it had and still arrives', () => {
  fc.assert(history(true), { numRuns });
});
