/**
 * One input, at most one output under the same key. The output's cell is at the same time the item that is computed
 * again: with ten thousand services in forty scopes this record is what the engine's memory goes into.
 */
import { Cell, type CellStore, type Origin } from './cell-store.ts';
import type { Fetch } from './collection.ts';
import { CollectionNode } from './collection-node.ts';
import {
  type Dependent,
  forgetTargets,
  NO_TARGETS,
  type Target,
  type TargetOwner,
} from './dependency-table.ts';
import type { Place } from './graph.ts';

/** The function of Engine.derive. */
export type Derivation<I, O> = (fetch: Fetch, item: I, key: string) => O | undefined;

/** An output, and the computation that makes it. */
class DerivedCell<O> extends Cell<O> implements Dependent {
  declare readonly owner: TargetOwner & Dependent['owner'];
  targets: readonly Target[] = NO_TARGETS;
  /** True from the first run on while the input is there; the output may be missing all the same. */
  hasRun = false;

  override get isIdle(): boolean {
    return !this.hasRun && super.isIdle;
  }
}

/** The collection that Engine.derive makes. */
export class DerivedNode<I, O> extends CollectionNode<O, DerivedCell<O>> {
  readonly #from: CellStore<I>;
  readonly #derive: Derivation<I, O>;
  readonly #equals: (a: O, b: O) => boolean;
  readonly #dirty: Set<DerivedCell<O>> = new Set();

  constructor(place: Place, from: CellStore<I>, derive: Derivation<I, O>, equals: (a: O, b: O) => boolean) {
    super(place);
    this.#from = from;
    this.#derive = derive;
    this.#equals = equals;
  }

  markDirty(item: Dependent): void {
    this.#dirty.add(item as DerivedCell<O>);
  }

  override *evaluate(): Generator<void, void> {
    for (const { key, now } of this.#from.changesFor(this)) {
      if (now !== undefined) {
        this.#dirty.add(this.cell(key));
      } else {
        this.#remove(key);
        yield;
      }
    }
    for (const cell of this.#dirty) {
      this.#recompute(cell);
      this.#dirty.delete(cell);
      yield;
    }
  }

  #recompute(cell: DerivedCell<O>): void {
    const { graph } = this;
    const input = this.#from.current(cell.key) as I;
    const isFirstRun = !cell.hasRun;
    cell.hasRun = true;
    graph.counters.recomputed++;
    graph.recorder.begin(cell);
    try {
      const output = this.#derive(graph.recorder, input, cell.key);
      if (!this.#isSame(cell.value, output)) this.assign(cell, output);
      else if (!isFirstRun) graph.counters.cutOff++;
    } catch (error) {
      // The last good output stays; the next change of anything it read runs it again.
      graph.reportError(this.name, cell.key, error);
    } finally {
      graph.recorder.end();
    }
  }

  #isSame(old: O | undefined, now: O | undefined): boolean {
    if (old === undefined || now === undefined) return old === now;
    return this.#equals(old, now);
  }

  #remove(key: string): void {
    const cell = this.cells.get(key);
    if (cell === undefined) return;
    this.#dirty.delete(cell);
    cell.hasRun = false;
    forgetTargets(cell);
    if (cell.value !== undefined) this.assign(cell, undefined);
    else this.release(cell);
  }

  outputKeysOf(itemKey: string): readonly string[] {
    return [itemKey];
  }

  override originsOf(key: string): readonly Origin[] {
    const cell = this.cells.get(key);
    if (!cell?.hasRun) return [];
    return [
      { store: this.#from, key },
      ...cell.targets.map((target) => ({ store: target.owner, key: target.key })),
    ];
  }

  override keysFrom(store: TargetOwner, key: string): readonly string[] {
    return store === this.#from && this.cells.get(key)?.hasRun ? [key] : [];
  }

  protected override newCell(key: string): DerivedCell<O> {
    return new DerivedCell<O>(this, key);
  }
}
