import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { createEngine } from './engine.ts';

test('values lie in their buckets under the inner key, the first collection key winning, and the next taking over', () => {
  const engine = createEngine();
  const source = engine.source<{ bucket: string; name: string; n: number }>('source');
  const index = engine.index(
    'index',
    source,
    (value) => [value.bucket],
    (value) => value.name,
  );
  const seen = (): [string, number][] => [...index.bucket('a')].map(([key, value]) => [key, value.n]);
  source.set('k2', { bucket: 'a', name: 'x', n: 2 });
  source.set('k3', { bucket: 'a', name: 'y', n: 3 });
  engine.settle();
  deepStrictEqual(seen(), [
    ['x', 2],
    ['y', 3],
  ]);
  source.set('k1', { bucket: 'a', name: 'x', n: 1 });
  engine.settle();
  deepStrictEqual(seen(), [
    ['x', 1],
    ['y', 3],
  ]);
  source.delete('k1');
  source.set('k3', { bucket: 'b', name: 'y', n: 3 });
  engine.settle();
  deepStrictEqual(seen(), [['x', 2]]);
  source.set('k2', { bucket: 'a', name: 'z', n: 4 });
  engine.settle();
  deepStrictEqual(seen(), [['z', 4]]);
});
