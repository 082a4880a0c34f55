/** The buckets of an index as a collection, so that something can be derived per bucket. Shares the index's maps. */
import { Cell, type CellStore, type Origin } from './cell-store.ts';
import { CollectionNode } from './collection-node.ts';
import type { TargetOwner } from './dependency-table.ts';
import type { Place } from './graph.ts';
import type { PersistentMap } from './persistent-map.ts';

/** The collection that Engine.group makes. */
export class GroupNode<T> extends CollectionNode<PersistentMap<T>> {
  readonly #index: CellStore<PersistentMap<T>>;

  constructor(place: Place, index: CellStore<PersistentMap<T>>) {
    super(place);
    this.#index = index;
  }

  override *evaluate(): Generator<void, void> {
    for (const { key, now } of this.#index.changesFor(this)) {
      this.assign(this.cell(key), now);
      yield;
    }
  }

  override originsOf(key: string): readonly Origin[] {
    return this.current(key) === undefined ? [] : [{ store: this.#index, key }];
  }

  override keysFrom(store: TargetOwner, key: string): readonly string[] {
    return store === this.#index && this.current(key) !== undefined ? [key] : [];
  }

  protected override newCell(key: string): Cell<PersistentMap<T>> {
    return new Cell<PersistentMap<T>>(this, key);
  }
}
