/**
 * One input, any number of outputs under keys of their own. Two passes per epoch: run the dirty items and note which
 * output keys they touched, then settle each touched key once. Of several inputs that give one key the first in byte
 * order wins, whatever came first; when it goes, the next takes over.
 */
import { compareBytes } from '#base/bytes-order.ts';
import { addToBag, type Bag, bagMembers, removeFromBag } from './bag.ts';
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

/** The function of Engine.deriveMany. */
export type ManyDerivation<I, O> = (fetch: Fetch, item: I, key: string) => Iterable<readonly [string, O]>;

/** One input's computation and all that it gave, also under keys that another input won. */
class ManyItem<O> implements Dependent {
  readonly owner: Dependent['owner'];
  readonly key: string;
  targets: readonly Target[] = NO_TARGETS;
  outputs: Map<string, O> = new Map();
  hasRun = false;

  constructor(owner: Dependent['owner'], key: string) {
    this.owner = owner;
    this.key = key;
  }
}

class ManyCell<O> extends Cell<O> {
  claimants: Bag<ManyItem<O>> = undefined;

  override get isIdle(): boolean {
    return this.claimants === undefined && super.isIdle;
  }
}

/** The collection that Engine.deriveMany makes. */
export class ManyNode<I, O> extends CollectionNode<O, ManyCell<O>> {
  readonly #from: CellStore<I>;
  readonly #derive: ManyDerivation<I, O>;
  readonly #equals: (a: O, b: O) => boolean;
  readonly #items: Map<string, ManyItem<O>> = new Map();
  readonly #dirty: Set<ManyItem<O>> = new Set();
  readonly #touched: Set<ManyCell<O>> = new Set();

  constructor(
    place: Place,
    from: CellStore<I>,
    derive: ManyDerivation<I, O>,
    equals: (a: O, b: O) => boolean,
  ) {
    super(place);
    this.#from = from;
    this.#derive = derive;
    this.#equals = equals;
  }

  markDirty(item: Dependent): void {
    this.#dirty.add(item as ManyItem<O>);
  }

  override *evaluate(): Generator<void, void> {
    for (const { key, now } of this.#from.changesFor(this)) {
      if (now !== undefined) {
        this.#dirty.add(this.#item(key));
      } else {
        this.#remove(key);
        yield;
      }
    }
    for (const item of this.#dirty) {
      this.#recompute(item);
      this.#dirty.delete(item);
      yield;
    }
    for (const cell of this.#touched) {
      this.#settle(cell);
      this.#touched.delete(cell);
      yield;
    }
  }

  #item(key: string): ManyItem<O> {
    let item = this.#items.get(key);
    if (item === undefined) {
      item = new ManyItem<O>(this, key);
      this.#items.set(key, item);
    }
    return item;
  }

  #recompute(item: ManyItem<O>): void {
    const { graph } = this;
    const input = this.#from.current(item.key) as I;
    const isFirstRun = !item.hasRun;
    item.hasRun = true;
    graph.counters.recomputed++;
    graph.recorder.begin(item);
    try {
      const outputs = new Map(this.#derive(graph.recorder, input, item.key));
      const hasChanged = this.#replaceOutputs(item, outputs);
      if (!hasChanged && !isFirstRun) graph.counters.cutOff++;
    } catch (error) {
      // The last good outputs stay; the next change of anything it read runs it again.
      graph.reportError(this.name, item.key, error);
    } finally {
      graph.recorder.end();
    }
  }

  /** Takes over what differs, keeping old references for what does not; true when anything differs. */
  #replaceOutputs(item: ManyItem<O>, outputs: Map<string, O>): boolean {
    const changedKeys: string[] = [];
    for (const [key, now] of outputs) {
      const old = item.outputs.get(key);
      if (old !== undefined && this.#equals(old, now)) outputs.set(key, old);
      else changedKeys.push(key);
    }
    // From here on nothing throws: either all of a run counts or none of it.
    for (const key of item.outputs.keys()) {
      if (!outputs.has(key)) this.#dropClaim(item, key);
    }
    for (const key of changedKeys) {
      const cell = this.cell(key);
      if (!item.outputs.has(key)) cell.claimants = addToBag(cell.claimants, item);
      this.#touched.add(cell);
    }
    const hasChanged = changedKeys.length > 0 || outputs.size !== item.outputs.size;
    item.outputs = outputs;
    return hasChanged;
  }

  #dropClaim(item: ManyItem<O>, key: string): void {
    const cell = this.cell(key);
    cell.claimants = removeFromBag(cell.claimants, item);
    this.#touched.add(cell);
  }

  #remove(key: string): void {
    const item = this.#items.get(key);
    if (item === undefined) return;
    this.#items.delete(key);
    this.#dirty.delete(item);
    forgetTargets(item);
    for (const outputKey of item.outputs.keys()) this.#dropClaim(item, outputKey);
  }

  #settle(cell: ManyCell<O>): void {
    const old = cell.value;
    const now = winnerOf(cell)?.outputs.get(cell.key);
    if (old === now) return this.release(cell);
    if (old === undefined || now === undefined || !this.#isEqual(cell.key, old, now)) this.assign(cell, now);
  }

  #isEqual(key: string, old: O, now: O): boolean {
    try {
      return this.#equals(old, now);
    } catch (error) {
      this.graph.reportError(this.name, key, error);
      return false;
    }
  }

  outputKeysOf(itemKey: string): readonly string[] {
    return [...(this.#items.get(itemKey)?.outputs.keys() ?? [])];
  }

  override originsOf(key: string): readonly Origin[] {
    const cell = this.cells.get(key);
    const winner = cell && winnerOf(cell);
    if (winner === undefined) return [];
    const fetched = winner.targets.map((target) => ({ store: target.owner, key: target.key }));
    return [{ store: this.#from, key: winner.key }, ...fetched];
  }

  override keysFrom(store: TargetOwner, key: string): readonly string[] {
    return store === this.#from ? this.outputKeysOf(key) : [];
  }

  protected override newCell(key: string): ManyCell<O> {
    return new ManyCell<O>(this, key);
  }
}

function winnerOf<O>(cell: ManyCell<O>): ManyItem<O> | undefined {
  let winner: ManyItem<O> | undefined;
  for (const item of bagMembers(cell.claimants)) {
    if (winner === undefined || compareBytes(item.key, winner.key) < 0) winner = item;
  }
  return winner;
}
