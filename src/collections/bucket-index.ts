/**
 * Values of a collection by bucket. Each bucket is a cell that can be depended on and holds an immutable map; the changes
 * of an epoch are gathered per bucket and laid over it at once. Which buckets a value lay in is not stored but asked again
 * of the old value, so the bucket function must be pure.
 */
import { sortedBy } from '#base/bytes-order.ts';
import { Cell, CellStore, type Origin } from './cell-store.ts';
import type { Change, Index } from './collection.ts';
import type { TargetOwner } from './dependency-table.ts';
import type { Place } from './graph.ts';
import { InnerKeys } from './inner-keys.ts';
import { emptyMap, type PersistentMap } from './persistent-map.ts';

/** Names the buckets of a value; pure. */
export type BucketsOf<T> = (value: T, key: string) => Iterable<string>;
/** The key of a value within its buckets. */
export type KeyIn<T> = (value: T, key: string) => string;

type Patch<T> = (readonly [string, T | undefined])[];

/** An index as the engine holds it: a cell per bucket. */
export class BucketIndex<T> extends CellStore<PersistentMap<T>> implements Index<T> {
  override readonly isIndex = true;
  readonly #from: CellStore<T>;
  readonly #bucketsOf: BucketsOf<T>;
  readonly #keyIn: KeyIn<T> | undefined;
  readonly #inner: InnerKeys = new InnerKeys();

  constructor(place: Place, from: CellStore<T>, bucketsOf: BucketsOf<T>, keyIn?: KeyIn<T>) {
    super(place);
    this.#from = from;
    this.#bucketsOf = bucketsOf;
    this.#keyIn = keyIn;
  }

  bucket(bucket: string): PersistentMap<T> {
    return this.published(bucket) ?? emptyMap();
  }

  buckets(): Iterable<string> {
    this.refuseInDerivation();
    const names = Array.from(this.publishedEntries(), ([bucket]) => bucket);
    return sortedBy(names, (name) => name);
  }

  override *evaluate(): Generator<void, void> {
    const patches = new Map<string, Patch<T>>();
    const touched = new Map<string, Set<string>>();
    for (const change of this.#from.changesFor(this)) {
      if (this.#keyIn === undefined) this.#addToPatches(patches, change);
      else this.#moveClaims(touched, change, this.#keyIn);
      yield;
    }
    for (const [bucket, inner] of touched) patches.set(bucket, this.#patchOf(bucket, inner));
    for (const [bucket, patch] of patches) {
      const old = this.current(bucket);
      const now = (old ?? emptyMap<T>()).patch(patch);
      if (now !== (old ?? emptyMap<T>())) this.assign(this.cell(bucket), now.size === 0 ? undefined : now);
      yield;
    }
  }

  #addToPatches(patches: Map<string, Patch<T>>, { key, old, now }: Change<T>): void {
    const oldBuckets = this.#findBuckets(old, key);
    const newBuckets = this.#findBuckets(now, key);
    for (const bucket of oldBuckets.union(newBuckets)) {
      const patch = patches.get(bucket) ?? [];
      if (patch.length === 0) patches.set(bucket, patch);
      patch.push([key, newBuckets.has(bucket) ? now : undefined]);
    }
  }

  /** Notes under which inner keys a value came or went; who has them is decided when all changes are in. */
  #moveClaims(touched: Map<string, Set<string>>, { key, old, now }: Change<T>, keyIn: KeyIn<T>): void {
    const touch = (bucket: string, inner: string): void => {
      const keys = touched.get(bucket) ?? new Set();
      touched.set(bucket, keys.add(inner));
    };
    if (old !== undefined) {
      const inner = keyIn(old, key);
      for (const bucket of this.#findBuckets(old, key)) {
        this.#inner.remove(bucket, inner, key);
        touch(bucket, inner);
      }
    }
    if (now === undefined) return;
    const inner = keyIn(now, key);
    for (const bucket of this.#findBuckets(now, key)) {
      this.#inner.add(bucket, inner, key);
      touch(bucket, inner);
    }
  }

  #patchOf(bucket: string, innerKeys: ReadonlySet<string>): Patch<T> {
    return Array.from(innerKeys, (inner) => {
      const owner = this.#inner.owner(bucket, inner);
      return [inner, owner === undefined ? undefined : this.#from.current(owner)] as const;
    });
  }

  #findBuckets(value: T | undefined, key: string): ReadonlySet<string> {
    if (value === undefined) return new Set();
    try {
      return new Set(this.#bucketsOf(value, key));
    } catch (error) {
      this.graph.reportError(this.name, key, error);
      return new Set();
    }
  }

  override originsOf(bucket: string): readonly Origin[] {
    return Array.from((this.current(bucket) ?? emptyMap<T>()).keys(), (inner) => ({
      store: this.#from,
      key: this.#keyIn === undefined ? inner : (this.#inner.owner(bucket, inner) ?? inner),
    }));
  }

  override keysFrom(store: TargetOwner, key: string): readonly string[] {
    return store === this.#from ? [...this.#findBuckets(this.#from.current(key), key)] : [];
  }

  protected override newCell(bucket: string): Cell<PersistentMap<T>> {
    return new Cell<PersistentMap<T>>(this, bucket);
  }
}
