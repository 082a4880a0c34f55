/**
 * What EnvoyFilters make of a proxy's configuration: the maps of its snapshot with patched resources in place of generated
 * ones, and with what is added. A proxy that no patch meets has no patches and costs nothing; parts that no patch is for
 * stay the maps that they were.
 */
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import { emptyMap } from '#collections/persistent-map.ts';
import type { EnvoyPatch } from '#model/envoy-filter.ts';
import type { Proxy } from '#model/proxy.ts';
import { ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { createEnvoyFilterScope, type EnvoyFilterDeps, type PatchSet } from '#scope/envoy-filter.ts';
import { encodeResource } from '#xds/encode.ts';
import {
  type Resource,
  type ResourceEntry,
  TYPE_CLUSTER,
  TYPE_EXTENSION,
  TYPE_LISTENER,
} from '#xds/resource.ts';
import { type CausedPatches, type OwnContext, type PatchLists, patchListsOf } from './patch-list.ts';
import { type EntryMap, PatchedMaps } from './patched-map.ts';
import {
  clusterPatcher,
  listenerPatcher,
  type PatchedResource,
  type ResourcePatcher,
} from './patched-resource.ts';
import { valueAs } from './patch-value.ts';
import { type MeansTable, RouteTablePatcher } from './route-table-patcher.ts';

/** One part of a snapshot as it is generated. */
export interface PartToPatch {
  readonly context: OwnContext;
  /** Who shares the part, so that the next version of it is known when it comes. */
  readonly lineage: string;
  readonly base: EntryMap;
}

/** The patches of one proxy. */
export interface ProxyPatches {
  clusters(part: PartToPatch): EntryMap;
  listeners(part: PartToPatch): EntryMap;
  /** `means` says which patches are for a table of that name. */
  routes(part: PartToPatch, means: MeansTable): EntryMap;
  /** The map with what is added in these contexts; what has the name of something that is there is not added. */
  withAddedClusters(map: EntryMap, contexts: readonly OwnContext[]): EntryMap;
  withAddedListeners(map: EntryMap, contexts: readonly OwnContext[]): EntryMap;
  extensions(): EntryMap;
}

/** Finds the patches of a proxy; undefined when there are none. */
export type PatchesOf = (fetch: Fetch, proxy: Proxy) => ProxyPatches | undefined;

/** What is shared by the patches of all proxies. */
interface Shared {
  readonly maps: PatchedMaps;
  readonly clusters: ResourcePatcher;
  readonly listeners: ResourcePatcher;
  readonly tables: RouteTablePatcher;
  readonly addition: (patch: EnvoyPatch) => Resource | undefined;
  readonly extensions: (lists: PatchLists) => EntryMap;
}

export interface PatchDeps extends EnvoyFilterDeps {
  readonly engine: Engine;
}

/** The patches of all connected proxies. */
export interface Patches {
  /** By proxy id. */
  readonly sets: Collection<PatchSet>;
  readonly of: PatchesOf;
}

/** Derives which patches meet which proxy, and prepares their application. */
export function createPatches({ engine, ...deps }: PatchDeps): Patches {
  const { interner } = deps;
  const sets = createEnvoyFilterScope(engine, deps);
  const addition = identityMemo<[EnvoyPatch], Resource | undefined>(encodeAddition);
  const shared: Shared = {
    maps: new PatchedMaps(),
    clusters: clusterPatcher(),
    listeners: listenerPatcher(),
    tables: new RouteTablePatcher(),
    addition,
    extensions: identityMemo<[PatchLists], EntryMap>((lists) =>
      withAdded({ addition }, emptyMap(), lists.extensions, () => true),
    ),
  };
  const listsOf = patchListsOf(interner);
  return {
    sets,
    of(fetch, proxy) {
      const set = fetch.get(sets, proxy.id);
      return set === undefined ? undefined : proxyPatches(shared, listsOf(set));
    },
  };
}

function proxyPatches(shared: Shared, lists: PatchLists): ProxyPatches {
  const { clusters, listeners, tables } = shared;
  return {
    clusters: (part) => patchPart(shared, 'clusters', part, lists[part.context].clusters, clusters),
    listeners: (part) => patchPart(shared, 'listeners', part, lists[part.context].listeners, listeners),
    routes: (part, means) =>
      patchPart(shared, 'routes', part, lists[part.context].routes, (resource, list) =>
        tables.patch(part.lineage, resource, list, means),
      ),
    withAddedClusters: (map, contexts) =>
      contexts.reduce(
        (result, context) => withAdded(shared, result, lists[context].clusters, addedIn(context)),
        map,
      ),
    withAddedListeners: (map, contexts) =>
      contexts.reduce(
        (result, context) => withAdded(shared, result, lists[context].listeners, addedIn(context)),
        map,
      ),
    extensions: () => shared.extensions(lists),
  };
}

/** A cluster or listener of a patch without context is added where requests leave. Source: istio InsertedClusters, patchListeners. */
function addedIn(context: OwnContext): (patch: EnvoyPatch) => boolean {
  return (patch) => patch.context !== 'ANY' || context !== 'SIDECAR_INBOUND';
}

function patchPart(
  { maps }: Shared,
  kind: string,
  { context, lineage, base }: PartToPatch,
  patches: CausedPatches | undefined,
  patch: ResourcePatcher,
): EntryMap {
  if (patches === undefined) return base;
  const { key, list, causes } = patches;
  return maps.patched(`${key}|${context}|${kind}|${lineage}`, base, (entry) =>
    patchedEntry(entry, patch(entry.resource, list), causes),
  );
}

function patchedEntry(
  entry: ResourceEntry,
  { resource, applied }: PatchedResource,
  causes: CausedPatches['causes'],
): ResourceEntry | undefined {
  if (resource === undefined || resource === entry.resource) return resource && entry;
  const added = applied.flatMap((position) => causes[position] ?? []);
  return { resource, causes: [...entry.causes, ...added] };
}

/** A resource whose name is taken is not added: the first of that name stays. Source: istio normalizeClusters. */
function withAdded(
  { addition }: Pick<Shared, 'addition'>,
  map: EntryMap,
  patches: CausedPatches | undefined,
  isMeant: (patch: EnvoyPatch) => boolean,
): EntryMap {
  let result = map;
  for (const [position, patch] of (patches?.list.patches ?? []).entries()) {
    const resource = patch.operation === 'ADD' && isMeant(patch) ? addition(patch) : undefined;
    const cause = patches?.causes[position];
    if (resource === undefined || cause === undefined || result.has(resource.name)) continue;
    result = result.set(resource.name, { resource, causes: [cause] });
  }
  return result;
}

/** Undefined for patches that add no resource, and for one without a name, which nobody could ask for. */
function encodeAddition(patch: EnvoyPatch): Resource | undefined {
  switch (patch.applyTo) {
    case 'CLUSTER':
      return encodeValue(patch, ClusterSchema, TYPE_CLUSTER);
    case 'LISTENER':
      return encodeValue(patch, ListenerSchema, TYPE_LISTENER);
    case 'EXTENSION_CONFIG':
      return encodeValue(patch, TypedExtensionConfigSchema, TYPE_EXTENSION);
    default:
      return undefined;
  }
}

function encodeValue(
  patch: EnvoyPatch,
  schema: typeof ClusterSchema | typeof ListenerSchema | typeof TypedExtensionConfigSchema,
  typeUrl: string,
): Resource | undefined {
  const value = valueAs(patch, schema);
  if (value === undefined || value.name === '') return undefined;
  return encodeResource(schema, value, typeUrl, value.name, patch.references);
}
