/**
 * The names that a stream subscribed to. A sidecar names thousands of clusters' endpoints, nearly always just those that
 * its snapshot holds: then the set is a reference to that shared map and the few differences.
 */
import type { Lookup, ResourceDiff, ResourceMap } from './snapshot-diff.ts';

/** Below this many own names a plain set is as good. */
const COMPACT_FROM = 128;

/** A set of names that costs little while it resembles the keys of a map. */
export class NameSet {
  #base: ResourceMap | undefined;
  /** Names beside `#base`. */
  readonly #added: Set<string> = new Set();
  /** Names of `#base` that are not in the set. */
  readonly #dropped: Set<string> = new Set();

  get size(): number {
    return (this.#base?.size ?? 0) - this.#dropped.size + this.#added.size;
  }

  has(name: string): boolean {
    if (this.#added.has(name)) return true;
    return this.#base !== undefined && this.#base.has(name) && !this.#dropped.has(name);
  }

  add(name: string): void {
    if (this.#dropped.delete(name) || this.has(name)) return;
    this.#added.add(name);
  }

  delete(name: string): void {
    if (this.#added.delete(name)) return;
    if (this.#base?.has(name)) this.#dropped.add(name);
  }

  clear(): void {
    this.#base = undefined;
    this.#added.clear();
    this.#dropped.clear();
  }

  *[Symbol.iterator](): Iterator<string> {
    if (this.#base !== undefined) {
      for (const name of this.#base.keys()) if (!this.#dropped.has(name)) yield name;
    }
    yield* this.#added;
  }

  /** Rests the set on `map` (and `lookup`, the same) if that leaves far fewer names of its own. O(names): for after a large subscription. */
  compact(map: ResourceMap, lookup: Lookup): void {
    const own = this.#added.size + this.#dropped.size;
    if (own < COMPACT_FROM || own * 4 < this.size) return;
    const names = new Set(this);
    const outside = [...names].filter((name) => lookup.get(name) === undefined);
    const missing = map.size - (names.size - outside.length);
    if ((outside.length + missing) * 2 > own) return;
    this.clear();
    this.#base = map;
    for (const name of outside) this.#added.add(name);
    if (missing > 0) for (const name of map.keys()) if (!names.has(name)) this.#dropped.add(name);
  }

  /** Rests on the next version of the map, so that the old one can go. `diff` leads from `old` to `now`. */
  rebase(old: ResourceMap, now: ResourceMap, diff: ResourceDiff): void {
    if (this.#base !== old || old === now) return;
    for (const name of diff.deleted) if (!this.#dropped.delete(name)) this.#added.add(name);
    for (const [name] of diff.set) {
      if (!old.has(name) && !this.#added.delete(name)) this.#dropped.add(name);
    }
    this.#base = now;
  }
}
