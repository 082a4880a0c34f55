/**
 * A collection fed from outside. Sets and deletes wait in a queue, the last one per key counts; the engine takes the
 * queue when an epoch begins, so that what comes during an epoch belongs to the next.
 */
import { Cell } from './cell-store.ts';
import type { SourceCollection } from './collection.ts';
import { CollectionNode } from './collection-node.ts';
import type { Place } from './graph.ts';

/** The collection that Engine.source makes. */
export class SourceNode<T> extends CollectionNode<T> implements SourceCollection<T> {
  readonly #equals: (a: T, b: T) => boolean;
  #queue: Map<string, T | undefined> = new Map();
  #taken: Map<string, T | undefined> = new Map();

  constructor(place: Place, equals: (a: T, b: T) => boolean) {
    super(place);
    this.#equals = equals;
  }

  get hasQueue(): boolean {
    return this.#queue.size > 0;
  }

  set(key: string, value: T): void {
    this.refuseInDerivation();
    this.#queue.set(key, value);
  }

  delete(key: string): void {
    this.refuseInDerivation();
    this.#queue.set(key, undefined);
  }

  /** Fixes what the epoch that begins now will apply. */
  takeQueue(): void {
    this.#taken = this.#queue;
    this.#queue = new Map();
  }

  override *evaluate(): Generator<void, void> {
    for (const [key, value] of this.#taken) {
      const old = this.current(key);
      if (!this.#isSame(key, old, value)) this.assign(this.cell(key), value);
      yield;
    }
    this.#taken = new Map();
  }

  #isSame(key: string, old: T | undefined, value: T | undefined): boolean {
    if (old === undefined || value === undefined) return old === value;
    try {
      return this.#equals(old, value);
    } catch (error) {
      this.graph.reportError(this.name, key, error);
      return false;
    }
  }

  override originsOf(): readonly [] {
    return [];
  }

  override keysFrom(): readonly [] {
    return [];
  }

  protected override newCell(key: string): Cell<T> {
    return new Cell<T>(this, key);
  }
}
