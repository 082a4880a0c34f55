/**
 * The common part of collections and indices: current values by key in cells, which also hold who depends on them, and
 * the changes of the running epoch. Readers outside see a value as it was before the epoch (the change remembers it)
 * until `publish`. Memory: one cell and one table entry per key that has a value or a dependent.
 */
import { type Bag, bagMembers } from './bag.ts';
import type { Change } from './collection.ts';
import { type Dependent, type Target, type TargetOwner, WholeTarget } from './dependency-table.ts';
import type { Graph, Place } from './graph.ts';

/** One key: its value (undefined: none) and the items that fetched it, whether or not it has a value. */
export class Cell<T> implements Target {
  readonly owner: TargetOwner;
  readonly key: string;
  value: T | undefined = undefined;
  dependents: Bag<Dependent> = undefined;
  stamp = 0;

  constructor(owner: TargetOwner, key: string) {
    this.owner = owner;
    this.key = key;
  }

  /** True when nothing needs the cell. */
  get isIdle(): boolean {
    return this.value === undefined && this.dependents === undefined;
  }
}

/** A key of a store, or with `key` undefined all of it: one step on the way from a value to what it came from. */
export interface Origin {
  readonly store: TargetOwner;
  readonly key: string | undefined;
}

/** Dependents to mark before the slice may end. */
const MARKS_PER_SLICE = 1024;

/** What collections and indices have in common; subclasses say how values come about. */
export abstract class CellStore<T, C extends Cell<T> = Cell<T>> implements TargetOwner {
  readonly graph: Graph;
  /** Place in the order of creation, which is the order of evaluation. */
  readonly id: number;
  readonly name: string;
  /** True when keys are buckets. */
  readonly isIndex: boolean = false;
  readonly cells = new Map<string, C>();
  readonly whole: WholeTarget = new WholeTarget(this);
  /** Net changes of the running epoch by key. */
  changes: Map<string, Change<T>> = new Map();
  /** False until the first evaluation, which looks at all inputs instead of changes. */
  isInitialised = false;
  #count = 0;
  #publishedCount = 0;

  constructor(place: Place) {
    this.graph = place.graph;
    this.id = place.id;
    this.name = place.name;
  }

  /** Brings the values up to date with those of the stores before this one; may be interrupted at each yield. */
  abstract evaluate(): Generator<void, void>;

  /** What the value of the key came from, for dumps. */
  abstract originsOf(key: string): readonly Origin[];

  /** Keys of this store that come straight from a key of another (recorded dependencies not counted), for dumps. */
  abstract keysFrom(store: TargetOwner, key: string): readonly string[];

  protected abstract newCell(key: string): C;

  /** Number of values as of the last finished epoch. */
  get size(): number {
    return this.#publishedCount;
  }

  /** The cell of a key; made if need be, so that a missing key can be depended on. */
  cell(key: string): C {
    let cell = this.cells.get(key);
    if (cell === undefined) {
      cell = this.newCell(key);
      this.cells.set(key, cell);
    }
    return cell;
  }

  current(key: string): T | undefined {
    return this.cells.get(key)?.value;
  }

  /** The value as of the last finished epoch. */
  published(key: string): T | undefined {
    this.refuseInDerivation();
    const change = this.changes.get(key);
    return change === undefined ? this.current(key) : change.old;
  }

  *currentEntries(): Generator<readonly [string, T]> {
    for (const [key, cell] of this.cells) {
      if (cell.value !== undefined) yield [key, cell.value];
    }
  }

  *publishedEntries(): Generator<readonly [string, T]> {
    for (const entry of this.currentEntries()) {
      if (!this.changes.has(entry[0])) yield entry;
    }
    for (const { key, old } of this.changes.values()) {
      if (old !== undefined) yield [key, old];
    }
  }

  /** All current entries at first, later those that changed in this epoch: what a reader of this store must look at. */
  changesFor(reader: { readonly isInitialised: boolean }): Iterable<Change<T>> {
    if (reader.isInitialised) return this.changes.values();
    return Array.from(this.currentEntries(), ([key, now]) => ({ key, old: undefined, now }));
  }

  /** Sets a value that differs from the old one, at most once per key and epoch. */
  protected assign(cell: C, now: T | undefined): void {
    const old = cell.value;
    cell.value = now;
    if (old === undefined) this.#count++;
    if (now === undefined) this.#count--;
    this.changes.set(cell.key, { key: cell.key, old, now });
  }

  /** After `evaluate`: marks what depends on the changes, and drops cells that nothing needs. */
  *spread(): Generator<void, void> {
    this.isInitialised = true;
    if (this.changes.size === 0) return;
    yield* markDirty(this.whole);
    for (const key of this.changes.keys()) {
      const cell = this.cells.get(key);
      if (cell === undefined) continue;
      yield* markDirty(cell);
      this.release(cell);
    }
  }

  /** Ends the epoch: readers outside see the current values. */
  publish(): void {
    this.#publishedCount = this.#count;
    if (this.changes.size > 0) this.changes = new Map();
  }

  release(target: Target): void {
    if (target.key !== undefined && this.cells.get(target.key)?.isIdle) this.cells.delete(target.key);
  }

  /** A derivation that reads past its fetch would not be run again when what it read changes. */
  protected refuseInDerivation(): void {
    if (this.graph.recorder.isRecording) {
      throw new Error(`a derivation reads "${this.name}" directly: it must read through its fetch`);
    }
  }
}

function* markDirty(target: Target): Generator<void, void> {
  let marks = 0;
  for (const item of bagMembers(target.dependents)) {
    item.owner.markDirty(item);
    if (++marks % MARKS_PER_SLICE === 0) yield;
  }
}
