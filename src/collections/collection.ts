/**
 * The contract of the incremental engine (DESIGN.md section 4): keyed collections, pure derivations that record
 * what they fetch, indices, and epochs. engine.ts implements it; everything from model/ to xds/ is written against
 * these interfaces only.
 */
import type { PersistentMap } from './persistent-map.ts';

/**
 * A keyed set of values. Reading it directly sees the last finished epoch and records nothing; within a derivation it
 * throws, since the derivation would miss changes: use its fetch. Values are immutable, `undefined` means none. A collection
 * is empty until the settle that follows its creation.
 */
export interface Collection<T> {
  readonly name: string;
  readonly size: number;
  get(key: string): T | undefined;
  /** All values by key, in byte order of keys; an immutable snapshot that shares structure with the next one. */
  all(): PersistentMap<T>;
}

/**
 * A collection fed from outside. `set` and `delete` only queue; they take effect together at the engine's next
 * `settle` (one transaction); the last call per key counts. Setting an equal value is no change and keeps the old object.
 * What is queued while an epoch is under way belongs to the next.
 */
export interface SourceCollection<T> extends Collection<T> {
  set(key: string, value: T): void;
  delete(key: string): void;
}

/**
 * Values of a collection by bucket; a value may lie in several buckets. The bucket function must be pure: which buckets a
 * value lay in is found by asking again. `buckets()` are those that are not empty, in byte order.
 */
export interface Index<T> {
  readonly name: string;
  bucket(bucket: string): PersistentMap<T>;
  buckets(): Iterable<string>;
}

/**
 * What a derivation reads through. Each call records a dependency: on one key, on one bucket, on a whole
 * collection; a key or bucket that is not there counts too. A derivation may fetch only from what was created before its
 * own collection, and only while it runs. The next run starts from nothing: what it no longer fetches is forgotten.
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

/** The net change of one key over a finished epoch. */
export interface Change<T> {
  readonly key: string;
  readonly old: T | undefined;
  readonly now: T | undefined;
}

/**
 * Counts since start; tests and benchmarks assert on them. `recomputed`: runs of derivations, first ones among them;
 * `cutOff`: runs whose result equalled the last one, so that the change stopped there; `epochs`: finished ones.
 */
export interface EngineCounters {
  readonly recomputed: number;
  readonly cutOff: number;
  readonly epochs: number;
}

/**
 * The graph; createEngine of engine.ts makes one. Derivations are pure: same item and same fetched values, same result; no
 * clock, no I/O, no randomness. One that throws keeps its item's last good outputs (none if there were none), is reported
 * (EngineOptions.onError), and runs again when its item or anything that it had fetched changes. Names are unique.
 */
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
  /**
   * Calls back after each finished epoch in which the collection changed, with net changes in byte order of keys. The
   * callback may read, queue changes of sources and end watches; it must not settle.
   */
  watch<T>(collection: Collection<T>, onChanges: (changes: readonly Change<T>[]) => void): Disposable;
  /** Computes until idle. */
  settle(): void;
  /** Computes until idle or until `shouldYield` says stop; true when idle. Readers see the last finished epoch until then. */
  step(shouldYield: () => boolean): boolean;
  /** Direct inputs and outputs of one collection's key (an EngineDump of engine-dump.ts), for people and for tests. */
  dump(collection: string, key: string): unknown;
  /** Keys of source collections that a derived value depends on, transitively: `collection/key`, also keys looked for in vain. */
  rootsOf(collection: string, key: string): readonly string[];
}
