/**
 * Looks into the graph for people and tests: where a value comes from and what reads it. Computed on demand from the
 * recorded dependencies; costs nothing until asked.
 */
import { compareBytes } from '#base/bytes-order.ts';
import { bagMembers } from './bag.ts';
import type { CellStore, Origin } from './cell-store.ts';
import { SourceNode } from './source-collection.ts';

/** A key, a bucket of an index, or a whole collection. */
export type DumpRef =
  | { readonly collection: string; readonly key: string }
  | { readonly collection: string; readonly bucket: string }
  | { readonly collection: string; readonly all: true };

/** What Engine.dump returns. `inputs` made the value, `outputs` are made from it; both in byte order, direct ones only. */
export interface EngineDump {
  readonly value: unknown;
  readonly inputs: readonly DumpRef[];
  readonly outputs: readonly DumpRef[];
  /** Set when there were more outputs than are listed. */
  readonly outputsOmitted?: number;
}

/** A hub may have hundreds of thousands of dependents; nobody reads more than this. */
const MAX_OUTPUTS = 1000;

/** All collections and indices of an engine by name. */
export type Stores = ReadonlyMap<string, CellStore<unknown>>;

/** One key with its direct inputs and outputs. Errors: throws for an unknown collection. */
export function dumpKey(stores: Stores, collection: string, key: string): EngineDump {
  const store = requireStore(stores, collection);
  const inputs = store.originsOf(key).map((origin) => refTo(stores, origin));
  const outputs = sortRefs(readersOf(stores, store, key));
  const dump = {
    value: store.current(key),
    inputs: sortRefs(inputs),
    outputs: outputs.slice(0, MAX_OUTPUTS),
  };
  return outputs.length > MAX_OUTPUTS ? { ...dump, outputsOmitted: outputs.length - MAX_OUTPUTS } : dump;
}

function readersOf(stores: Stores, store: CellStore<unknown>, key: string): DumpRef[] {
  const refs = new Map<string, DumpRef>();
  function add(owner: string, ownerKeys: readonly string[]): void {
    const reader = requireStore(stores, owner);
    for (const ownerKey of ownerKeys) {
      refs.set(`${reader.id}/${ownerKey}`, refTo(stores, { store: reader, key: ownerKey }));
    }
  }
  for (const other of stores.values()) add(other.name, other.keysFrom(store, key));
  const dependents = [store.cells.get(key)?.dependents, store.whole.dependents].map((bag) => [
    ...bagMembers(bag),
  ]);
  for (const item of dependents.flat()) add(item.owner.name, item.owner.outputKeysOf(item.key));
  return [...refs.values()];
}

/** Walks from a value back to the source keys it depends on: `collection/key`, in byte order. A key that was looked for and is not there counts. */
export function findRoots(stores: Stores, collection: string, key: string): readonly string[] {
  const roots = new Set<string>();
  const seen = new Set<string>();
  const pending: Origin[] = [{ store: requireStore(stores, collection), key }];
  for (let origin = pending.pop(); origin !== undefined; origin = pending.pop()) {
    const store = requireStore(stores, origin.store.name);
    const id = origin.key === undefined ? `${store.id}` : `${store.id}/${origin.key}`;
    if (seen.has(id)) continue;
    seen.add(id);
    if (origin.key === undefined) {
      for (const [entryKey] of store.currentEntries()) pending.push({ store, key: entryKey });
    } else if (store instanceof SourceNode) {
      roots.add(`${store.name}/${origin.key}`);
    } else {
      for (const next of store.originsOf(origin.key)) pending.push(next);
    }
  }
  return [...roots].sort(compareBytes);
}

function requireStore(stores: Stores, name: string): CellStore<unknown> {
  const store = stores.get(name);
  if (store === undefined) throw new Error(`no collection or index is called "${name}"`);
  return store;
}

function refTo(stores: Stores, { store, key }: Origin): DumpRef {
  if (key === undefined) return { collection: store.name, all: true };
  const isIndex = requireStore(stores, store.name).isIndex;
  return isIndex ? { collection: store.name, bucket: key } : { collection: store.name, key };
}

function sortRefs(refs: readonly DumpRef[]): DumpRef[] {
  return refs
    .map((ref) => ({ ref, text: JSON.stringify(ref) }))
    .sort((a, b) => compareBytes(a.text, b.text))
    .map(({ ref }) => ref);
}
