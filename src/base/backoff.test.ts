/** Chance and delays. */
import { deepStrictEqual, notDeepStrictEqual, ok } from 'node:assert';
import { test } from 'node:test';
import { Backoff } from './backoff.ts';
import { type Rng, seededRng, systemRng } from './rng.ts';

function take<T>(count: number, next: () => T): readonly T[] {
  return Array.from({ length: count }, next);
}

test('without jitter delays double up to the cap, and start again after a reset', () => {
  const backoff = new Backoff({ initialMs: 100, maxMs: 500, jitter: 0 }, seededRng(1));
  deepStrictEqual(
    take(5, () => backoff.nextMs()),
    [100, 200, 400, 500, 500],
  );
  backoff.reset();
  deepStrictEqual(backoff.nextMs(), 100);
});

test('jitter takes away up to its share', () => {
  const most: Rng = { float: () => 1, int: () => 0 };
  const backoff = new Backoff({ initialMs: 100, maxMs: 1000, factor: 3, jitter: 0.2 }, most);
  deepStrictEqual(
    take(4, () => Math.round(backoff.nextMs())),
    [80, 240, 720, 800],
  );
});

test('seeded chance repeats itself and differs by seed', () => {
  const numbers = (seed: number) => {
    const rng = seededRng(seed);
    return take(20, () => rng.int(1000));
  };
  deepStrictEqual(numbers(7), numbers(7));
  notDeepStrictEqual(numbers(7), numbers(8));
  ok(new Set(numbers(0)).size > 10);
});

test('chance stays in range and spreads', () => {
  for (const rng of [systemRng(), seededRng(0), seededRng(42)]) {
    const floats = take(2000, () => rng.float());
    ok(floats.every((value) => value >= 0 && value < 1));
    const mean = floats.reduce((sum, value) => sum + value, 0) / floats.length;
    ok(mean > 0.45 && mean < 0.55, `mean ${mean}`);
    deepStrictEqual([...new Set(take(200, () => rng.int(3)))].sort(), [0, 1, 2]);
  }
});
