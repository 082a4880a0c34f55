/**
 * Runs one derivation at a time and records what it fetches: the Fetch that derivations read through. After a run only
 * the difference to the last run's dependencies is written, which mostly is nothing. Cost: O(fetches) per run.
 */
import { CellStore } from './cell-store.ts';
import type { Collection, Index } from './collection.ts';
import { CollectionNode } from './collection-node.ts';
import { addDependent, type Dependent, removeDependent, type Target } from './dependency-table.ts';
import type { DependencyRecorder } from './graph.ts';
import { emptyMap, type PersistentMap } from './persistent-map.ts';

/** The engine's one recorder; a derivation must not keep it beyond its run. */
export class Recorder implements DependencyRecorder {
  #item: Dependent | undefined;
  readonly #fetched: Target[] = [];
  /** Stamp of a target that the last run fetched; one more: that this run fetched. */
  #run = 1;

  get isRecording(): boolean {
    return this.#item !== undefined;
  }

  begin(item: Dependent): void {
    this.#item = item;
    this.#run += 2;
    for (const target of item.targets) target.stamp = this.#run;
  }

  end(): void {
    const item = this.#item;
    this.#item = undefined;
    if (item === undefined) return;
    const last = item.targets;
    if (last.length !== this.#fetched.length || last.some((target) => target.stamp === this.#run)) {
      item.targets = this.#fetched.slice();
      for (const target of last) {
        if (target.stamp === this.#run) removeDependent(target, item);
      }
    }
    this.#fetched.length = 0;
  }

  get<T>(collection: Collection<T>, key: string): T | undefined {
    const cell = this.#open<CellStore<T>>(collection).cell(key);
    this.#record(cell);
    return cell.value;
  }

  bucket<T>(index: Index<T>, bucket: string): PersistentMap<T> {
    const cell = this.#open<CellStore<PersistentMap<T>>>(index).cell(bucket);
    this.#record(cell);
    return cell.value ?? emptyMap();
  }

  all<T>(collection: Collection<T>): PersistentMap<T> {
    const node = this.#open<CollectionNode<T>>(collection);
    this.#record(node.whole);
    return node.currentAll();
  }

  /** The implementation behind a collection or an index, once it is known that the running derivation may read it. */
  #open<S>(source: { readonly name: string }): S {
    const item = this.#item;
    if (item === undefined) throw new Error(`fetch from "${source.name}" after its derivation has returned`);
    if (!(source instanceof CellStore) || source.graph.recorder !== this) {
      throw new Error(`"${item.owner.name}" fetches from "${source.name}", which is not of this engine`);
    }
    if (source.id >= item.owner.id) {
      throw new Error(
        `"${item.owner.name}" fetches from "${source.name}", which was created later: a derivation may fetch only from what was created before it`,
      );
    }
    return source as S;
  }

  #record(target: Target): void {
    const item = this.#item as Dependent;
    if (target.stamp === this.#run + 1) return;
    if (target.stamp !== this.#run) addDependent(target, item);
    target.stamp = this.#run + 1;
    this.#fetched.push(target);
  }
}
