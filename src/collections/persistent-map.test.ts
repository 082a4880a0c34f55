/** The map against plain oracles: a sorted array of entries, and a diff that compares everything. */
import { deepStrictEqual, notStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { compareBytes } from '#base/bytes-order.ts';
import { deepEqual } from '#base/deep-equal.ts';
import fc from 'fast-check';
import { diffMaps, emptyMap, equalMaps, mapOf, type PersistentMap } from './persistent-map.ts';
import type { Tree } from './treap.ts';

type Entry = readonly [string, number];

const key = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'b', '/', '\uffee', '\u{1f600}'), maxLength: 4 }),
  fc.constantFrom('__proto__', 'constructor', ''),
);
const entry = fc.tuple(key, fc.nat(3));
const change = fc.tuple(key, fc.option(fc.nat(3), { nil: undefined }));

/** What a map of these entries should iterate. */
function sortedOracle(entries: Iterable<Entry>): readonly Entry[] {
  return [...new Map(entries)].sort(([a], [b]) => compareBytes(a, b));
}

/** Applies each change by set or delete. */
function applySingly(map: PersistentMap<number>, changes: Iterable<readonly [string, number | undefined]>) {
  let result = map;
  for (const [key, value] of changes)
    result = value === undefined ? result.delete(key) : result.set(key, value);
  return result;
}

function rootOf(map: PersistentMap<unknown>): Tree<unknown> {
  return (map as unknown as { readonly root: Tree<unknown> }).root;
}

function depthOf(tree: Tree<unknown>): number {
  return tree === undefined ? 0 : 1 + Math.max(depthOf(tree.left), depthOf(tree.right));
}

/** Nodes of `now` that `old` does not have. */
function countNewNodes(old: PersistentMap<unknown>, now: PersistentMap<unknown>): number {
  const known = new Set<Tree<unknown>>();
  const visit = (tree: Tree<unknown>, onNode: (node: Tree<unknown>) => void): void => {
    if (tree === undefined) return;
    onNode(tree);
    visit(tree.left, onNode);
    visit(tree.right, onNode);
  };
  visit(rootOf(old), (node) => known.add(node));
  let count = 0;
  visit(rootOf(now), (node) => {
    if (!known.has(node)) count++;
  });
  return count;
}

function numbered(count: number): readonly Entry[] {
  return Array.from({ length: count }, (_, i): Entry => [`namespace-${i % 7}/service-${i}`, i]);
}

test('a map reads like a sorted array of its entries, however it came about', () => {
  fc.assert(
    fc.property(fc.array(entry), fc.array(change), (entries, changes) => {
      const oracle = new Map(entries);
      for (const [key, value] of changes) {
        if (value === undefined) oracle.delete(key);
        else oracle.set(key, value);
      }
      const expected = sortedOracle(oracle);
      const singly = applySingly(mapOf(entries), changes);
      const patched = mapOf(entries).patch(changes);
      for (const map of [singly, patched]) {
        deepStrictEqual([...map], expected);
        deepStrictEqual(
          [[...map.keys()], [...map.values()]],
          [expected.map(([k]) => k), expected.map(([, v]) => v)],
        );
        strictEqual(map.size, expected.length);
        for (const [key] of changes)
          deepStrictEqual([map.get(key), map.has(key)], [oracle.get(key), oracle.has(key)]);
      }
    }),
  );
});

test('the shape depends on the content alone', () => {
  fc.assert(
    fc.property(fc.array(entry), fc.array(change), (entries, changes) => {
      const incremental = applySingly(mapOf(entries), changes);
      deepStrictEqual(rootOf(incremental), rootOf(mapOf(incremental)));
    }),
  );
});

test('a diff names what changed, between versions and between strangers', () => {
  fc.assert(
    fc.property(fc.array(entry), fc.array(change), fc.array(entry), (entries, changes, others) => {
      const old = mapOf(entries);
      for (const now of [old.patch(changes), applySingly(old, changes), mapOf(others)]) {
        const before = new Map(old);
        const after = new Map(now);
        deepStrictEqual(diffMaps(old, now), {
          set: [...now].filter(([key, value]) => before.get(key) !== value),
          deleted: [...old.keys()].filter((key) => !after.has(key)),
        });
      }
    }),
  );
});

test('equality is that of entries', () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 3 }), fc.array(entry, { maxLength: 3 }), (a, b) => {
      const expected = deepEqual(sortedOracle(a), sortedOracle(b));
      deepStrictEqual([equalMaps(mapOf(a), mapOf(b)), deepEqual(mapOf(a), mapOf(b))], [expected, expected]);
    }),
  );
});

test('setting what is there, deleting what is not and an empty patch return the same map', () => {
  const value = { n: 1 };
  const map = mapOf([
    ['a', value],
    ['b', { n: 2 }],
  ]);
  strictEqual(map.set('a', value), map);
  notStrictEqual(map.set('a', { n: 1 }), map);
  strictEqual(map.delete('c'), map);
  strictEqual(map.patch([]), map);
  strictEqual(
    map.patch([
      ['a', value],
      ['c', undefined],
    ]),
    map,
  );
  strictEqual(map.delete('a').delete('b'), emptyMap());
});

test('null and other falsy values are entries', () => {
  const map = mapOf<unknown>([
    ['a', null],
    ['b', 0],
    ['c', ''],
  ]);
  deepStrictEqual(
    [
      ...map.patch([
        ['a', null],
        ['d', false],
      ]),
    ],
    [
      ['a', null],
      ['b', 0],
      ['c', ''],
      ['d', false],
    ],
  );
});

test('of equal keys the last counts', () => {
  deepStrictEqual(
    [
      ...mapOf([
        ['a', 1],
        ['b', 1],
        ['a', 2],
      ]),
    ],
    [
      ['a', 2],
      ['b', 1],
    ],
  );
});

test('a version shares all but a path with the one before', () => {
  const map = mapOf(numbered(10_000));
  const depth = depthOf(rootOf(map));
  ok(depth < 60, `depth ${depth}`);
  ok(countNewNodes(map, map.set('namespace-3/service-3', -1)) <= 2 * depth);
  ok(countNewNodes(map, map.set('namespace-3/new', -1)) <= 2 * depth);
  ok(countNewNodes(map, map.delete('namespace-3/service-3')) <= 2 * depth);
  ok(
    countNewNodes(
      map,
      map.patch([
        ['namespace-3/service-3', -1],
        ['namespace-3/new', 1],
      ]),
    ) <=
      2 * depth,
  );
});

test('a diff looks at what changed only', () => {
  const map = mapOf(numbered(10_000));
  let compared = 0;
  const now = map.set('namespace-3/service-3', -1).delete('namespace-4/service-4');
  const diff = diffMaps(map, now, (a, b) => {
    compared++;
    return a === b;
  });
  deepStrictEqual(diff, { set: [['namespace-3/service-3', -1]], deleted: ['namespace-4/service-4'] });
  ok(compared < 200, `${compared} values compared`);
});

test('a map prints as its entries', () => {
  strictEqual(
    JSON.stringify(
      mapOf<unknown>([
        ['b', 1],
        ['__proto__', { n: 2 }],
      ]),
    ),
    '{"__proto__":{"n":2},"b":1}',
  );
});
