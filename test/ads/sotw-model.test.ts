/**
 * Property, as delta-model.test.ts for clients that get the state of the world. There is less to hold on to: after a broken
 * stream such a client's old clusters are replaced before its old routes.
 */
import { test } from 'node:test';
import fc from 'fast-check';
import { arbitraryStep, runHistory, type Variant } from './model-history.ts';
import { SotwClientModel } from './sotw-client-model.ts';
import { arbitraryWorld } from './world-arbitrary.ts';

const SOTW: Variant = { isDelta: false, createClient: () => new SotwClientModel() };
const numRuns = Number(process.env['ADS_MODEL_RUNS'] ?? 80);

function history(has: { readonly refusals: boolean; readonly reconnects: boolean }) {
  const steps = fc.array(arbitraryStep(has), { maxLength: 30 });
  return fc.property(arbitraryWorld, steps, arbitraryWorld, (first, middle, last) =>
    runHistory(SOTW, first, middle, last),
  );
}

test('a state-of-the-world client is led from world to world without a gap', () => {
  fc.assert(history({ refusals: false, reconnects: false }), { numRuns });
});

test('a state-of-the-world client that refuses at random, and whose streams break, still arrives', () => {
  fc.assert(history({ refusals: true, reconnects: true }), { numRuns });
});
