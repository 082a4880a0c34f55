/** A NameSet behaves as a Set whatever it rests on, and is small when it resembles a map. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { mapOf } from '#collections/persistent-map.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { NameSet } from './name-set.ts';
import { DiffCache, type ResourceMap } from './snapshot-diff.ts';

function resources(names: Iterable<string>, version = '1'): ResourceMap {
  return mapOf(
    [...names].map((name): [string, ResourceEntry] => [
      name,
      { resource: { typeUrl: 't', name, bytes: new Uint8Array(), version }, causes: [] },
    ]),
  );
}

const name = fc.nat(400).map((n) => `n${n}`);
const op = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), names: fc.array(name, { maxLength: 300 }) }),
  fc.record({ kind: fc.constant('delete' as const), names: fc.array(name, { maxLength: 20 }) }),
  fc.record({ kind: fc.constant('compact' as const), names: fc.constant([]) }),
  fc.record({
    kind: fc.constant('rebase' as const),
    names: fc.array(name, { minLength: 100, maxLength: 300 }),
  }),
);

test('it holds what a Set would hold', () => {
  fc.assert(
    fc.property(fc.array(op, { maxLength: 12 }), (ops) => {
      const diffs = new DiffCache();
      const set = new NameSet();
      const model = new Set<string>();
      let map = resources([]);
      for (const { kind, names } of ops) {
        for (const item of kind === 'add' ? names : []) {
          set.add(item);
          model.add(item);
        }
        for (const item of kind === 'delete' ? names : []) {
          set.delete(item);
          model.delete(item);
        }
        if (kind === 'compact') set.compact(map, map);
        if (kind === 'rebase') {
          const next = resources(names);
          set.rebase(map, next, diffs.between(map, next));
          map = next;
        }
        assert.equal(set.size, model.size);
        assert.deepStrictEqual([...set].sort(), [...model].sort());
        for (let i = 0; i < 401; i += 7) assert.equal(set.has(`n${i}`), model.has(`n${i}`));
      }
    }),
    { numRuns: 60 },
  );
});
