/** Derivations that throw or break the rules harm only themselves, and are reported. */
import { deepStrictEqual, throws } from 'node:assert';
import { test } from 'node:test';
import { createEngine } from './engine.ts';

test('fetching from what was created later is an error that names both', () => {
  const errors: string[] = [];
  const engine = createEngine({
    onError: (collection, key, error) => errors.push(`${collection} ${key} ${error}`),
  });
  const input = engine.source<number>('input');
  engine.derive('early', input, (fetch) => fetch.get(late, 'x'));
  const late = engine.source<number>('late');
  input.set('a', 1);
  engine.settle();
  deepStrictEqual(errors, [
    'early a Error: "early" fetches from "late", which was created later: a derivation may fetch only from what was created before it',
  ]);
});

test('an impure derivation is found out', () => {
  const errors: string[] = [];
  const engine = createEngine({
    onError: (collection, _key, error) => errors.push(`${collection}: ${(error as Error).message}`),
  });
  const input = engine.source<number>('input');
  const other = createEngine().source<number>('foreign');
  engine.derive('reads', input, () => input.get('a'));
  engine.derive('lists', input, () => input.all());
  engine.derive('sets', input, () => input.set('b', 1));
  engine.derive('settles', input, () => engine.settle());
  engine.derive('creates', input, () => engine.source('new'));
  engine.derive('strays', input, (fetch) => fetch.get(other, 'a'));
  input.set('a', 1);
  engine.settle();
  deepStrictEqual(errors, [
    'reads: a derivation reads "input" directly: it must read through its fetch',
    'lists: a derivation reads "input" directly: it must read through its fetch',
    'sets: a derivation reads "input" directly: it must read through its fetch',
    'settles: settle or step called from within a derivation or a watcher',
    'creates: "new" created within a derivation',
    'strays: "strays" fetches from "foreign", which is not of this engine',
  ]);
});

test('a derivation that throws keeps its last good output and runs again when what it read changes', () => {
  const errors: string[] = [];
  const engine = createEngine({ onError: (collection, key) => errors.push(`${collection}/${key}`) });
  const limits = engine.source<number>('limits');
  const input = engine.source<number>('input');
  const checked = engine.derive('checked', input, (fetch, n) => {
    const limit = fetch.get(limits, 'limit') ?? 0;
    if (n > limit) throw new Error('too much');
    return { n, limit };
  });
  limits.set('limit', 10);
  input.set('good', 5);
  input.set('bad', 20);
  engine.settle();
  deepStrictEqual([[...checked.all()], errors.splice(0)], [[['good', { n: 5, limit: 10 }]], ['checked/bad']]);
  input.set('good', 15);
  engine.settle();
  deepStrictEqual([checked.get('good'), errors.splice(0)], [{ n: 5, limit: 10 }, ['checked/good']]);
  limits.set('limit', 30);
  engine.settle();
  deepStrictEqual(
    [...checked.all()],
    [
      ['bad', { n: 20, limit: 30 }],
      ['good', { n: 15, limit: 30 }],
    ],
  );
  deepStrictEqual(errors, []);
});

test('deriveMany that throws half way keeps all of its last good outputs', () => {
  const errors: string[] = [];
  const engine = createEngine({ onError: (collection, key) => errors.push(`${collection}/${key}`) });
  const input = engine.source<number>('input');
  const outputs = engine.deriveMany('outputs', input, function* (_fetch, n) {
    yield ['first', n];
    if (n === 2) throw new Error('half way');
    yield ['second', n];
  });
  for (const n of [1, 2]) {
    input.set('a', n);
    engine.settle();
  }
  deepStrictEqual(
    [[...outputs.all()], errors.splice(0)],
    [
      [
        ['first', 1],
        ['second', 1],
      ],
      ['outputs/a'],
    ],
  );
  input.delete('a');
  engine.settle();
  deepStrictEqual([outputs.size, errors], [0, []]);
});

test('without onError settle throws what derivations threw, and the rest of the graph is right', () => {
  const engine = createEngine();
  const input = engine.source<number>('input');
  const checked = engine.derive('checked', input, (_fetch, n) => {
    if (n < 0) throw new Error('negative');
    return n;
  });
  input.set('a', 1);
  input.set('b', -1);
  throws(() => engine.settle(), { name: 'AggregateError', message: 'derivations failed: Error: negative' });
  deepStrictEqual([...checked.all()], [['a', 1]]);
  engine.settle();
});

test('a bucket function that throws puts the value into no bucket', () => {
  const errors: string[] = [];
  const engine = createEngine({ onError: (collection, key) => errors.push(`${collection}/${key}`) });
  const input = engine.source<number>('input');
  const index = engine.index('index', input, (n) => {
    if (n === 0) throw new Error('zero');
    return [`${n}`];
  });
  input.set('a', 1);
  input.set('b', 0);
  engine.settle();
  deepStrictEqual([[...index.buckets()], errors], [['1'], ['index/b']]);
});

test('a watcher that answers its own changes for ever is stopped', () => {
  const engine = createEngine();
  const input = engine.source<number>('input');
  engine.watch(input, ([change]) => input.set('a', (change?.now ?? 0) + 1));
  input.set('a', 1);
  throws(() => engine.settle(), /does not come to rest/);
});
