/**
 * A collection as the engine holds it: a cell store with snapshots and watchers. Snapshots are made when first asked for
 * and kept up to date from then on, so that collections nobody lists pay nothing.
 */
import { compareBytes } from '#base/bytes-order.ts';
import { type Cell, CellStore } from './cell-store.ts';
import type { Change, Collection } from './collection.ts';
import { mapOf, type PersistentMap } from './persistent-map.ts';

type OnChanges<T> = (changes: readonly Change<T>[]) => void;

/** What all kinds of collections have in common. */
export abstract class CollectionNode<T, C extends Cell<T> = Cell<T>>
  extends CellStore<T, C>
  implements Collection<T>
{
  readonly #watchers: Set<{ readonly onChanges: OnChanges<T> }> = new Set();
  #currentAll: PersistentMap<T> | undefined;
  #publishedAll: PersistentMap<T> | undefined;

  get(key: string): T | undefined {
    return this.published(key);
  }

  all(): PersistentMap<T> {
    this.refuseInDerivation();
    if (this.#publishedAll === undefined) {
      this.#publishedAll = this.changes.size === 0 ? this.currentAll() : mapOf(this.publishedEntries());
    }
    return this.#publishedAll;
  }

  /** All values as the running epoch has them. */
  currentAll(): PersistentMap<T> {
    this.#currentAll ??= mapOf(this.currentEntries());
    return this.#currentAll;
  }

  override *spread(): Generator<void, void> {
    this.#currentAll = this.#currentAll?.patch(this.#changedEntries());
    yield* super.spread();
  }

  override publish(): void {
    super.publish();
    this.#publishedAll = this.#currentAll;
  }

  watch(onChanges: OnChanges<T>): Disposable {
    // An object per call: the same function may watch twice.
    const watcher = { onChanges };
    this.#watchers.add(watcher);
    return { [Symbol.dispose]: () => this.#watchers.delete(watcher) };
  }

  /** What to call once the epoch, whose changes these still are, is published. Watchers disposed of meanwhile stay silent. */
  noticesOfChanges(): readonly (() => void)[] {
    if (this.changes.size === 0 || this.#watchers.size === 0) return [];
    const changes = [...this.changes.values()].sort((a, b) => compareBytes(a.key, b.key));
    return Array.from(this.#watchers, (watcher) => () => {
      if (this.#watchers.has(watcher)) this.#notify(watcher.onChanges, changes);
    });
  }

  #notify(onChanges: OnChanges<T>, changes: readonly Change<T>[]): void {
    try {
      onChanges(changes);
    } catch (error) {
      this.graph.reportError(this.name, '', error);
    }
  }

  *#changedEntries(): Generator<readonly [string, T | undefined]> {
    for (const { key, now } of this.changes.values()) yield [key, now];
  }
}
