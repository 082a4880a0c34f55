/**
 * The contract of the incremental engine (DESIGN.md section 4): keyed collections, pure derivations that record
 * what they fetch, indices, and epochs. engine.ts implements it; everything from model/ to xds/ is written against
 * these interfaces only.
 */
import type { PersistentMap } from './persistent-map.ts';

/** A keyed set of values. Reading outside a derivation records nothing and sees the last finished epoch. */
export interface Collection<T> {
  readonly name: string;
  readonly size: number;
  get(key: string): T | undefined;
  /** All values by key, in byte order of keys; an immutable snapshot that shares structure with the next one. */
  all(): PersistentMap<T>;
}

/**
 * A collection fed from outside. `set` and `delete` only queue; they take effect together at the engine's next
 * `settle` (one transaction). Setting an equal value is no change.
 */
export interface SourceCollection<T> extends Collection<T> {
  set(key: string, value: T): void;
  delete(key: string): void;
}

/** Values of a collection by bucket; a value may lie in several buckets. */
export interface Index<T> {
  readonly name: string;
  bucket(bucket: string): PersistentMap<T>;
  buckets(): Iterable<string>;
}

/**
 * What a derivation reads through. Each call records a dependency: on one key, on one bucket, on a whole
 * collection. A derivation may fetch only from collections created before its own.
 */
export interface Fetch {
  get<T>(collection: Collection<T>, key: string): T | undefined;
  bucket<T>(index: Index<T>, bucket: string): PersistentMap<T>;
  all<T>(collection: Collection<T>): PersistentMap<T>;
}

/** When two values count as the same, so that a change stops there. Default: deepEqual of base/. */
export interface DeriveOptions<T> {
  readonly equals?: (a: T, b: T) => boolean;
}

/** One change of one key in a finished epoch. */
export interface Change<T> {
  readonly key: string;
  readonly old: T | undefined;
  readonly now: T | undefined;
}

/** Counts since start; tests and benchmarks assert on them. */
export interface EngineCounters {
  readonly recomputed: number;
  readonly cutOff: number;
  readonly epochs: number;
}

/** The graph. Derivations are pure: same item and same fetched values, same result; no clock, no I/O, no randomness. */
export interface Engine {
  readonly counters: EngineCounters;
  source<T>(name: string, options?: DeriveOptions<T>): SourceCollection<T>;
  /** One input, at most one output under the same key. */
  derive<I, O>(
    name: string,
    from: Collection<I>,
    fn: (fetch: Fetch, item: I, key: string) => O | undefined,
    options?: DeriveOptions<O>,
  ): Collection<O>;
  /**
   * One input, any number of outputs under keys of their own. If two inputs give the same output key, the one
   * whose input key is first in byte order wins, whatever the order of events.
   */
  deriveMany<I, O>(
    name: string,
    from: Collection<I>,
    fn: (fetch: Fetch, item: I, key: string) => Iterable<readonly [string, O]>,
    options?: DeriveOptions<O>,
  ): Collection<O>;
  /** Values of several collections as one; on equal keys the earlier collection wins. */
  union<T>(name: string, parts: readonly Collection<T>[]): Collection<T>;
  /**
   * Buckets of a collection. Inside a bucket a value lies under `keyIn(value, key)`, by default its collection key;
   * if two values of a bucket give the same inner key, the one whose collection key is first in byte order wins.
   */
  index<T>(
    name: string,
    from: Collection<T>,
    buckets: (value: T, key: string) => Iterable<string>,
    keyIn?: (value: T, key: string) => string,
  ): Index<T>;
  /** The buckets of an index as a collection: key is the bucket, present while it is not empty. */
  group<T>(name: string, index: Index<T>): Collection<PersistentMap<T>>;
  /** Calls back after each finished epoch in which the collection changed. */
  watch<T>(collection: Collection<T>, onChanges: (changes: readonly Change<T>[]) => void): Disposable;
  /** Computes until idle. */
  settle(): void;
  /** Computes until idle or until `shouldYield` says stop; true when idle. Readers see the last finished epoch until then. */
  step(shouldYield: () => boolean): boolean;
  /** Inputs -> dependencies -> outputs of one collection's key, for people and for tests. */
  dump(collection: string, key: string): unknown;
  /** Keys of source collections that a derived value depends on, transitively: `collection/key`. */
  rootsOf(collection: string, key: string): readonly string[];
}
