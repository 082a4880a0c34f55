/** Forgets what was used longest ago. */
import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { Lru } from './lru.ts';

test('holds as many as it may, and a read counts as a use', () => {
  const lru = new Lru<string, number>(2);
  lru.set('a', 1);
  lru.set('b', 2);
  lru.get('a');
  lru.set('c', 3);
  deepStrictEqual([lru.get('a'), lru.get('b'), lru.get('c'), lru.size], [1, undefined, 3, 2]);
});

test('setting again replaces and counts as a use', () => {
  const lru = new Lru<string, number>(2);
  lru.set('a', 1);
  lru.set('b', 2);
  lru.set('a', 10);
  lru.set('c', 3);
  deepStrictEqual([lru.get('a'), lru.get('b'), lru.delete('a'), lru.size], [10, undefined, true, 1]);
  lru.clear();
  deepStrictEqual(lru.size, 0);
});
