/**
 * Several collections as one. On equal keys the earlier part wins; when its value goes, the next part's shows.
 * Cost: O(changed keys * parts).
 */
import { deepEqual } from '#base/deep-equal.ts';
import { Cell, type CellStore, type Origin } from './cell-store.ts';
import { CollectionNode } from './collection-node.ts';
import type { TargetOwner } from './dependency-table.ts';
import type { Place } from './graph.ts';

/** The collection that Engine.union makes. */
export class UnionNode<T> extends CollectionNode<T> {
  readonly #parts: readonly CellStore<T>[];

  constructor(place: Place, parts: readonly CellStore<T>[]) {
    super(place);
    this.#parts = parts;
  }

  override *evaluate(): Generator<void, void> {
    const keys = new Set<string>();
    for (const part of this.#parts) {
      for (const { key } of part.changesFor(this)) keys.add(key);
    }
    for (const key of keys) {
      const old = this.current(key);
      const now = this.#firstPartWith(key)?.current(key);
      if (!deepEqual(old, now)) this.assign(this.cell(key), now);
      yield;
    }
  }

  #firstPartWith(key: string): CellStore<T> | undefined {
    return this.#parts.find((part) => part.current(key) !== undefined);
  }

  override originsOf(key: string): readonly Origin[] {
    const part = this.#firstPartWith(key);
    return part === undefined ? [] : [{ store: part, key }];
  }

  override keysFrom(store: TargetOwner, key: string): readonly string[] {
    return store === this.#firstPartWith(key) ? [key] : [];
  }

  protected override newCell(key: string): Cell<T> {
    return new Cell<T>(this, key);
  }
}
