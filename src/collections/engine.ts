/**
 * The incremental engine: builds the graph of collections and runs its epochs. An epoch takes what the sources have
 * queued, walks all collections in the order of their creation, computes again what changed inputs or dependencies make
 * necessary, and is published at once at the end; it can be interrupted between any two items. See collection.ts for the
 * contract and DESIGN.md section 4 for why.
 */
import { deepEqual } from '#base/deep-equal.ts';
import { BucketIndex } from './bucket-index.ts';
import type { CellStore } from './cell-store.ts';
import type {
  Change,
  Collection,
  DeriveOptions,
  Engine,
  Fetch,
  Index,
  SourceCollection,
} from './collection.ts';
import { CollectionNode } from './collection-node.ts';
import { DerivedNode } from './derived-collection.ts';
import { dumpKey, type EngineDump, findRoots } from './engine-dump.ts';
import type { Graph, Place } from './graph.ts';
import { GroupNode } from './group-collection.ts';
import { ManyNode } from './many-collection.ts';
import type { PersistentMap } from './persistent-map.ts';
import { Recorder } from './recorder.ts';
import { SourceNode } from './source-collection.ts';
import { UnionNode } from './union-collection.ts';

/** What an engine is given at its start. */
export interface EngineOptions {
  /**
   * Takes what a derivation, a bucket function, an `equals` or a watcher (with key '') threw: a bug in it. The rest of the
   * graph goes on, the item keeps its last good outputs. Without it, `settle` and `step` throw an AggregateError once they are done.
   */
  readonly onError?: (collection: string, key: string, error: unknown) => void;
}

/** More epochs than this in one call mean that a watcher answers its own changes. */
const MAX_EPOCHS_PER_CALL = 1000;

/** Makes an empty graph. */
export function createEngine(options: EngineOptions = {}): Engine {
  return new IncrementalEngine(options);
}

class IncrementalEngine implements Engine {
  readonly counters = { recomputed: 0, cutOff: 0, epochs: 0 };
  readonly #graph: Graph;
  readonly #stores: Map<string, CellStore<unknown>> = new Map();
  readonly #sources: SourceNode<unknown>[] = [];
  /** Errors that nobody took, for want of onError. */
  readonly #untaken: unknown[] = [];
  #running: Generator<void, void> | undefined;
  #isBusy = false;

  constructor(options: EngineOptions) {
    const onError = options.onError ?? ((_collection, _key, error) => this.#untaken.push(error));
    this.#graph = { recorder: new Recorder(), counters: this.counters, reportError: onError };
  }

  source<T>(name: string, options: DeriveOptions<T> = {}): SourceCollection<T> {
    const node = new SourceNode<T>(this.#newPlace(name), options.equals ?? deepEqual);
    this.#sources.push(node as SourceNode<unknown>);
    return this.#add(node);
  }

  derive<I, O>(
    name: string,
    from: Collection<I>,
    fn: (fetch: Fetch, item: I, key: string) => O | undefined,
    options: DeriveOptions<O> = {},
  ): Collection<O> {
    const store = this.#storeOf<CellStore<I>>(from);
    return this.#add(new DerivedNode(this.#newPlace(name), store, fn, options.equals ?? deepEqual));
  }

  deriveMany<I, O>(
    name: string,
    from: Collection<I>,
    fn: (fetch: Fetch, item: I, key: string) => Iterable<readonly [string, O]>,
    options: DeriveOptions<O> = {},
  ): Collection<O> {
    const store = this.#storeOf<CellStore<I>>(from);
    return this.#add(new ManyNode(this.#newPlace(name), store, fn, options.equals ?? deepEqual));
  }

  union<T>(name: string, parts: readonly Collection<T>[]): Collection<T> {
    const stores = parts.map((part) => this.#storeOf<CellStore<T>>(part));
    return this.#add(new UnionNode(this.#newPlace(name), stores));
  }

  index<T>(
    name: string,
    from: Collection<T>,
    buckets: (value: T, key: string) => Iterable<string>,
    keyIn?: (value: T, key: string) => string,
  ): Index<T> {
    return this.#add(
      new BucketIndex(this.#newPlace(name), this.#storeOf<CellStore<T>>(from), buckets, keyIn),
    );
  }

  group<T>(name: string, index: Index<T>): Collection<PersistentMap<T>> {
    const store = this.#storeOf<CellStore<PersistentMap<T>>>(index);
    return this.#add(new GroupNode(this.#newPlace(name), store));
  }

  watch<T>(collection: Collection<T>, onChanges: (changes: readonly Change<T>[]) => void): Disposable {
    return this.#storeOf<CollectionNode<T>>(collection).watch(onChanges);
  }

  settle(): void {
    this.step(() => false);
  }

  step(shouldYield: () => boolean): boolean {
    if (this.#isBusy) throw new Error('settle or step called from within a derivation or a watcher');
    this.#isBusy = true;
    try {
      return this.#runUntil(shouldYield);
    } finally {
      this.#isBusy = false;
      this.#throwUntaken();
    }
  }

  dump(collection: string, key: string): EngineDump {
    return dumpKey(this.#stores, collection, key);
  }

  rootsOf(collection: string, key: string): readonly string[] {
    return findRoots(this.#stores, collection, key);
  }

  #runUntil(shouldYield: () => boolean): boolean {
    for (let epochs = 0; epochs < MAX_EPOCHS_PER_CALL; epochs++) {
      this.#running ??= this.#beginEpoch();
      if (this.#running === undefined) return true;
      while (this.#running.next().done !== true) {
        if (shouldYield()) return false;
      }
      this.#running = undefined;
    }
    throw new Error('the graph does not come to rest: a watcher keeps setting sources');
  }

  #beginEpoch(): Generator<void, void> | undefined {
    const hasQueue = this.#sources.some((source) => source.hasQueue);
    const hasNew = [...this.#stores.values()].some((store) => !store.isInitialised);
    if (!hasQueue && !hasNew) return undefined;
    for (const source of this.#sources) source.takeQueue();
    return this.#runEpoch();
  }

  *#runEpoch(): Generator<void, void> {
    // What is created while the epoch is interrupted comes last in the map and is visited too.
    for (const store of this.#stores.values()) {
      yield* store.evaluate();
      yield* store.spread();
    }
    this.#publish();
  }

  #publish(): void {
    const notices: (() => void)[] = [];
    for (const store of this.#stores.values()) {
      if (store instanceof CollectionNode) notices.push(...store.noticesOfChanges());
      store.publish();
    }
    this.counters.epochs++;
    for (const notify of notices) notify();
  }

  #newPlace(name: string): Place {
    if (this.#graph.recorder.isRecording) throw new Error(`"${name}" created within a derivation`);
    if (this.#stores.has(name)) throw new Error(`a collection or index called "${name}" exists already`);
    return { graph: this.#graph, id: this.#stores.size, name };
  }

  #add<S extends CellStore<unknown>>(store: S): S {
    this.#stores.set(store.name, store);
    return store;
  }

  #storeOf<S>(collection: { readonly name: string }): S {
    if ((this.#stores.get(collection.name) as unknown) !== collection) {
      throw new Error(`"${collection.name}" is not of this engine`);
    }
    return collection as S;
  }

  #throwUntaken(): void {
    const errors = this.#untaken.splice(0);
    if (errors.length > 0)
      throw new AggregateError(errors, `derivations failed: ${errors.map(String).join('; ')}`);
  }
}
