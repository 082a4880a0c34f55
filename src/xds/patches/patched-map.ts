/**
 * Maps of resources with some of them patched. The result is a function of the map alone; what is remembered is only how
 * the last result of a lineage (one part of one viewer, under one list of patches) came about, so that the next costs the
 * difference of the two maps and shares structure with the last.
 */
import { Lru } from '#base/lru.ts';
import { diffMaps, type PersistentMap } from '#collections/persistent-map.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { isSameEntry } from '#xds/resource-entry.ts';

/** Resources by name. */
export type EntryMap = PersistentMap<ResourceEntry>;

/** An entry after the patches: the same object when they changed nothing, undefined when it is removed. */
export type PatchEntry = (entry: ResourceEntry) => ResourceEntry | undefined;

/** Lineages remembered; one more costs its next change a walk over the map. */
const MAX_LINEAGES = 4_096;

export class PatchedMaps {
  readonly #latest: Lru<string, WeakRef<EntryMap>> = new Lru(MAX_LINEAGES);
  /** What each result was made of. */
  readonly #bases: WeakMap<EntryMap, EntryMap> = new WeakMap();

  /** The map with every entry patched. */
  patched(lineage: string, base: EntryMap, patch: PatchEntry): EntryMap {
    const last = this.#latest.get(lineage)?.deref();
    const lastBase = last && this.#bases.get(last);
    const result =
      last === undefined || lastBase === undefined
        ? fromScratch(base, patch)
        : follow(last, lastBase, base, patch);
    this.#latest.set(lineage, new WeakRef(result));
    this.#bases.set(result, base);
    return result;
  }
}

function fromScratch(base: EntryMap, patch: PatchEntry): EntryMap {
  const changes: [string, ResourceEntry | undefined][] = [];
  for (const [name, entry] of base) {
    const patched = patch(entry);
    if (patched !== entry) changes.push([name, patched]);
  }
  return base.patch(changes);
}

function follow(last: EntryMap, lastBase: EntryMap, base: EntryMap, patch: PatchEntry): EntryMap {
  const { set, deleted } = diffMaps(lastBase, base, isSameEntry);
  return last.patch([
    ...set.map(([name, entry]) => [name, patch(entry)] as const),
    ...deleted.map((name) => [name, undefined] as const),
  ]);
}
