/** What is frozen, and what is left alone. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { deepFreeze } from './deep-freeze.ts';

test('plain data is frozen all the way down, the rest is left alone', () => {
  const bytes = new Uint8Array(1);
  const map = new Map();
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  const value = {
    list: [{ n: 1 }],
    nullProto: Object.assign(Object.create(null), { part: {} }),
    bytes,
    map,
    cycle,
  };
  strictEqual(deepFreeze(value), value);
  const parts = [value, value.list, value.list[0], value.nullProto, value.nullProto.part, cycle, bytes, map];
  deepStrictEqual(parts.map(Object.isFrozen), [true, true, true, true, true, true, false, false]);
});
