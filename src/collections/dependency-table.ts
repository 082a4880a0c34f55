/**
 * Who depends on what: the two ends of a recorded dependency. A Target (one key, one bucket, a whole collection) knows
 * its dependents, a Dependent (one item of a derived collection) its targets. An edge costs a
 * pointer on either side; only hubs have a Set, which costs some four times that.
 */
import { addToBag, type Bag, removeFromBag } from './bag.ts';

/** One item of a derived collection: what is computed again when something it fetched changes. */
export interface Dependent {
  readonly owner: DependentOwner;
  /** Key of the input that the item is computed from. */
  readonly key: string;
  /** What the last run fetched, each target once. */
  targets: readonly Target[];
}

/** The derived collection that an item belongs to. */
export interface DependentOwner {
  readonly id: number;
  readonly name: string;
  markDirty(item: Dependent): void;
  /** Keys of the outputs of the item with this input key. */
  outputKeysOf(itemKey: string): readonly string[];
}

/** Something that can be fetched. */
export interface Target {
  readonly owner: TargetOwner;
  /** A key or a bucket; undefined stands for the whole collection. */
  readonly key: string | undefined;
  dependents: Bag<Dependent>;
  /** Scratch of the recorder: in which run it was seen last. */
  stamp: number;
}

/** The collection or index that a target belongs to. */
export interface TargetOwner {
  readonly name: string;
  /** The target lost its last dependent. */
  release(target: Target): void;
}

/** The target of `fetch.all`. */
export class WholeTarget implements Target {
  readonly owner: TargetOwner;
  readonly key = undefined;
  dependents: Bag<Dependent> = undefined;
  stamp = 0;

  constructor(owner: TargetOwner) {
    this.owner = owner;
  }
}

/** What an item has fetched that has not run. */
export const NO_TARGETS: readonly Target[] = [];

/** Adds an edge that does not exist yet. */
export function addDependent(target: Target, dependent: Dependent): void {
  target.dependents = addToBag(target.dependents, dependent);
}

/** Removes an edge; a target without dependents is given back to its owner. */
export function removeDependent(target: Target, dependent: Dependent): void {
  target.dependents = removeFromBag(target.dependents, dependent);
  if (target.dependents === undefined) target.owner.release(target);
}

/** Removes all edges of an item that is no more. */
export function forgetTargets(dependent: Dependent): void {
  for (const target of dependent.targets) removeDependent(target, dependent);
  dependent.targets = NO_TARGETS;
}
