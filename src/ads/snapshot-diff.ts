/**
 * Differences between resource maps, computed once per pair of maps and shared by every stream that moves from the one
 * to the other. Costs what changed; remembered for as long as both maps live.
 */
import { diffMaps, emptyMap, type MapDiff, type PersistentMap } from '#collections/persistent-map.ts';
import { Lru } from '#base/lru.ts';
import type { ResourceEntry } from '#xds/resource.ts';

export type ResourceMap = PersistentMap<ResourceEntry>;
export type ResourceDiff = MapDiff<ResourceEntry>;

const NO_DIFF: ResourceDiff = { set: [], deleted: [] };

/** Looks names up in a map. */
export interface Lookup {
  get(name: string): ResourceEntry | undefined;
}

/** From so many names on a hash table is worth making, and for so many maps it is kept (a storm of connects has few views). */
const INDEX_FROM = 256;
const MAX_INDEXES = 8;

/** The differences between snapshots' maps. Equal versions mean equal bytes: a change of causes alone is none. */
export class DiffCache {
  readonly #indexes: Lru<ResourceMap, ReadonlyMap<string, ResourceEntry>> = new Lru(MAX_INDEXES);
  readonly #diffs: WeakMap<ResourceMap, WeakMap<ResourceMap, ResourceDiff>> = new WeakMap();

  between(old: ResourceMap, now: ResourceMap): ResourceDiff {
    if (old === now) return NO_DIFF;
    let toNow = this.#diffs.get(now);
    if (toNow === undefined) {
      toNow = new WeakMap();
      this.#diffs.set(now, toNow);
    }
    let diff = toNow.get(old);
    if (diff === undefined) {
      diff = diffMaps(old, now, isSameResource);
      toNow.set(old, diff);
    }
    return diff;
  }

  /** For about `count` look-ups: the map itself, or a hash table made of it once for all who come together. */
  lookup(map: ResourceMap, count: number): Lookup {
    if (count < INDEX_FROM) return map;
    let index = this.#indexes.get(map);
    if (index === undefined) {
      index = new Map(map);
      this.#indexes.set(map, index);
    }
    return index;
  }

  /** Everything in the map, as the difference to nothing. */
  whole(map: ResourceMap): ResourceDiff {
    return this.between(emptyMap(), map);
  }
}

function isSameResource(a: ResourceEntry, b: ResourceEntry): boolean {
  return a === b || a.resource === b.resource || a.resource.version === b.resource.version;
}
