/**
 * An immutable map from strings, ordered by key bytes, that shares structure with the versions it came from: what
 * collections hand out as snapshots. Its shape depends on its content alone (treap.ts), so two equal maps are equal node
 * by node. `get`, `set` and `delete` cost O(log n); diffs and comparisons within one lineage O(changes * log n);
 * mapOf O(n log n) for the sort.
 */
import { compareBytes } from '#base/bytes-order.ts';
import { type Comparable, deepEqual, EQUALS } from '#base/deep-equal.ts';
import {
  buildTree,
  findNode,
  isAbove,
  leaf,
  overlayTree,
  REMOVED,
  splitTree,
  type Tree,
  TreeIterator,
  treeSize,
} from './treap.ts';

/** Iterates entries in byte order of keys. A value may be anything but undefined, which means "no entry". */
export interface PersistentMap<V> extends Iterable<readonly [string, V]> {
  readonly size: number;
  get(key: string): V | undefined;
  has(key: string): boolean;
  /** Returns a map with the entry set; the same map if the value is identical (===). */
  set(key: string, value: V): PersistentMap<V>;
  /** Returns a map without the key; the same map if it has none. */
  delete(key: string): PersistentMap<V>;
  /** Several changes at once, `undefined` deletes; on equal keys the last counts. The same map if nothing changes. */
  patch(changes: Iterable<readonly [string, V | undefined]>): PersistentMap<V>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<V>;
}

/** What leads from one map to another: entries added or changed, and keys gone; both in byte order. */
export interface MapDiff<V> {
  readonly set: readonly (readonly [string, V])[];
  readonly deleted: readonly string[];
}

class TreapMap<V> implements PersistentMap<V>, Comparable {
  readonly root: Tree<V>;

  constructor(root: Tree<V>) {
    this.root = root;
  }

  get size(): number {
    return treeSize(this.root);
  }

  get(key: string): V | undefined {
    return findNode(this.root, key)?.value;
  }

  has(key: string): boolean {
    return findNode(this.root, key) !== undefined;
  }

  set(key: string, value: V): PersistentMap<V> {
    if (value === undefined) return this.delete(key);
    return this.#withRoot(overlayTree(this.root, leaf(key, value)));
  }

  delete(key: string): PersistentMap<V> {
    if (!this.has(key)) return this;
    return this.#withRoot(overlayTree(this.root, leaf(key, REMOVED)));
  }

  patch(changes: Iterable<readonly [string, V | undefined]>): PersistentMap<V> {
    const entries = Array.from(
      changes,
      ([key, value]): Entry<V | typeof REMOVED> => [key, value === undefined ? REMOVED : value],
    );
    return this.#withRoot(overlayTree(this.root, buildTree(sortedWithoutRepeats(entries))));
  }

  keys(): IterableIterator<string> {
    return new TreeIterator(this.root, (node) => node.key);
  }

  values(): IterableIterator<V> {
    return new TreeIterator(this.root, (node) => node.value);
  }

  [Symbol.iterator](): Iterator<readonly [string, V]> {
    return new TreeIterator(this.root, (node) => [node.key, node.value] as const);
  }

  [EQUALS](other: this): boolean {
    return equalTrees(this.root, other.root, deepEqual);
  }

  /** For dumps and logs; a null-prototype object, since keys may be called `__proto__`. */
  toJSON(): Readonly<Record<string, V>> {
    const fields: Record<string, V> = Object.create(null);
    for (const [key, value] of this) fields[key] = value;
    return fields;
  }

  #withRoot(root: Tree<V>): PersistentMap<V> {
    if (root === this.root) return this;
    return root === undefined ? EMPTY : new TreapMap(root);
  }
}

type Entry<V> = readonly [string, V];

const EMPTY: PersistentMap<never> = new TreapMap<never>(undefined);

/** The map without entries; always the same object. */
export function emptyMap<V>(): PersistentMap<V> {
  return EMPTY;
}

/** A map of the entries; on equal keys the last counts. */
export function mapOf<V>(entries: Iterable<readonly [string, V]>): PersistentMap<V> {
  return emptyMap<V>().patch(entries);
}

/** Sorts by key (the sort is stable) and keeps the last of equal keys. */
function sortedWithoutRepeats<V>(entries: Entry<V>[]): readonly Entry<V>[] {
  if (entries.length < 2) return entries;
  entries.sort((a, b) => compareBytes(a[0], b[0]));
  return entries.filter((entry, i) => entry[0] !== entries[i + 1]?.[0]);
}

/**
 * Keys whose value differs between two maps; `same` decides (default: identity). Subtrees shared by both are skipped,
 * so that it costs O(changes * log n) between versions of one lineage; it is right for any two maps.
 */
export function diffMaps<V>(
  old: PersistentMap<V>,
  now: PersistentMap<V>,
  same: (a: V, b: V) => boolean = Object.is,
): MapDiff<V> {
  const set: Entry<V>[] = [];
  const deleted: string[] = [];
  function compare(a: Tree<V>, b: Tree<V>): void {
    if (a === b) return;
    if (a === undefined || (b !== undefined && isAbove(b, a))) {
      const top = b as NonNullable<Tree<V>>;
      const split = splitTree(a, top.key);
      compare(split.before, top.left);
      if (split.at === undefined || !same(split.at.value, top.value)) set.push([top.key, top.value]);
      compare(split.after, top.right);
      return;
    }
    const split = splitTree(b, a.key);
    compare(a.left, split.before);
    if (split.at === undefined) deleted.push(a.key);
    else if (!same(a.value, split.at.value)) set.push([a.key, split.at.value]);
    compare(a.right, split.after);
  }
  compare(rootOf(old), rootOf(now));
  return { set, deleted };
}

function rootOf<V>(map: PersistentMap<V>): Tree<V> {
  return map instanceof TreapMap ? (map.root as Tree<V>) : (mapOf(map) as TreapMap<V>).root;
}

/** True when both maps hold the same keys with values that are the `same`; shared subtrees cost nothing. */
export function equalMaps<V>(
  a: PersistentMap<V>,
  b: PersistentMap<V>,
  same: (a: V, b: V) => boolean = deepEqual,
): boolean {
  return equalTrees(rootOf(a), rootOf(b), same);
}

/** Trees of the same keys have the same shape, so the two are walked in step. */
function equalTrees<V>(a: Tree<V>, b: Tree<V>, same: (a: V, b: V) => boolean): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || a.size !== b.size || a.key !== b.key) return false;
  if (a.value !== b.value && !same(a.value, b.value)) return false;
  return equalTrees(a.left, b.left, same) && equalTrees(a.right, b.right, same);
}
