/**
 * Route tables under lists of patches. Remembers the last version of each, so that a change of one virtual host patches
 * that host and no other.
 */
import { Lru } from '#base/lru.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import type { EnvoyPatch } from '#model/envoy-filter.ts';
import type { Resource } from '#xds/resource.ts';
import { type PatchList, PatchTrace } from './patch-list.ts';
import { type PatchedResource, unchanged, withBytes } from './patched-resource.ts';
import { type KnownHosts, patchRouteTable, tablePatches } from './route-table-patches.ts';

/** Whether a patch is for the table of that name. */
export type MeansTable = (patch: EnvoyPatch, tableName: string) => boolean;

/** Tables remembered. */
const MAX_TABLES = 1_024;

export class RouteTablePatcher {
  readonly #known: Lru<string, KnownHosts> = new Lru(MAX_TABLES);
  /** Results by which patches mean the table: at gateways that depends on more than its name. */
  readonly #results = identityMemo<[Resource, PatchList], Map<string, PatchedResource>>(() => new Map());

  #hostsLookedInto = 0;

  /** How many virtual hosts were looked into since start: for tests and benchmarks. */
  get hostsLookedInto(): number {
    return this.#hostsLookedInto;
  }

  patch(lineage: string, resource: Resource, list: PatchList, means: MeansTable): PatchedResource {
    const patches = tablePatches(list.patches, (patch) => means(patch, resource.name));
    if (patches === undefined) return unchanged(resource);
    const meant = [...patches.tables, ...patches.hosts, ...patches.routes];
    const positions = meant.map((patch) => list.patches.indexOf(patch)).join(' ');
    const results = this.#results(resource, list);
    const before = results.get(positions);
    if (before !== undefined) return before;
    const place = `${list.key} ${positions}|${lineage}|${resource.name}`;
    const trace = new PatchTrace(list);
    const table = patchRouteTable(resource.bytes, patches, trace, this.#known.get(place));
    const { bytes } = table;
    this.#known.set(place, table.hosts);
    this.#hostsLookedInto += table.lookedInto;
    const { applied } = trace;
    const patched = bytes === resource.bytes ? resource : withBytes(resource, bytes, list, applied);
    const result = { resource: patched, applied };
    results.set(positions, result);
    return result;
  }
}
