/**
 * Patches on a route configuration, part by part: its bytes are taken apart into virtual hosts and what stands around them,
 * and only parts that a patch means are decoded, patched and encoded. The bytes of all others go in again as they are.
 * Costs one comparison for each host that is as it was in the table's last version, and a copy of the bytes.
 * Source: istio pilot/pkg/networking/core/envoyfilter/rc_patch.go ApplyRouteConfigurationPatches.
 */
import { fromBinary } from '@bufbuild/protobuf';
import type { EnvoyPatch } from '#model/envoy-filter.ts';
import { VirtualHostSchema } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { encodeCanonical } from '#xds/encode.ts';
import { concatenate } from '#xds/routes/bytes.ts';
import type { PatchTrace } from './patch-list.ts';
import { isMerge, mergeNamed, valueAs } from './patch-value.ts';
import { meansVirtualHost } from './route-match.ts';
import { type HostPatches, patchVirtualHost } from './route-patches.ts';
import {
  contentOf,
  faceOf,
  type HostFace,
  putTogether,
  recordOf,
  type TableParts,
  takeApart,
} from './route-table-bytes.ts';

/** Patches that mean one route configuration. */
export interface TablePatches extends HostPatches {
  readonly tables: readonly EnvoyPatch[];
}

/** The patches of a list that mean a route configuration. */
export function tablePatches(
  patches: readonly EnvoyPatch[],
  means: (patch: EnvoyPatch) => boolean,
): TablePatches | undefined {
  const meant = patches.filter(means);
  const of = (applyTo: EnvoyPatch['applyTo']): EnvoyPatch[] =>
    meant.filter((patch) => patch.applyTo === applyTo);
  const found = { tables: of('ROUTE_CONFIGURATION'), hosts: of('VIRTUAL_HOST'), routes: of('HTTP_ROUTE') };
  return found.tables.length + found.hosts.length + found.routes.length === 0 ? undefined : found;
}

/** A virtual host after the patches. */
interface HostPart {
  /** What it was, and what it is now. */
  readonly source: Uint8Array;
  readonly record: Uint8Array;
  /** Under which it may be removed. */
  readonly name: string;
  readonly isRemoved: boolean;
  /** Undefined when no patch means it. */
  readonly trace: PatchTrace | undefined;
}

/** The hosts of a table's last version under the same patches, in order. */
export type KnownHosts = readonly HostPart[];

/** The table, and what to remember for its next version. */
export interface PatchedTable {
  /** The same array when nothing changed. */
  readonly bytes: Uint8Array;
  readonly hosts: KnownHosts;
  /** How many hosts were looked into. */
  readonly lookedInto: number;
}

/** Patches a table; `known` are the hosts of its last version. */
export function patchRouteTable(
  bytes: Uint8Array,
  patches: TablePatches,
  trace: PatchTrace,
  known: KnownHosts = [],
): PatchedTable {
  const { head, hosts, tail } = mergeTable(takeApart(bytes), patches.tables, trace);
  const recall = memoryOf(known);
  let lookedInto = 0;
  const parts = hosts.map((record): HostPart => {
    const recalled = recall(record);
    if (recalled !== undefined) return recalled;
    lookedInto++;
    return patchHost(record, patches, trace.another());
  });
  for (const part of parts) if (part.trace !== undefined) trace.include(part.trace);
  const added = addedHosts(patches.hosts, trace);
  if (!trace.hasApplied) return { bytes, hosts: parts, lookedInto };
  // By name, as in Istio: a host that is added under the name of a removed one goes too.
  const removed = new Set(parts.filter(({ isRemoved }) => isRemoved).map(({ name }) => name));
  const kept = [...parts, ...added].filter(({ name }) => !removed.has(name)).map(({ record }) => record);
  return { bytes: putTogether({ head, hosts: kept, tail }), hosts: parts, lookedInto };
}

/** How far ahead a host is looked for, when those before it are gone or others. */
const LOOK_AHEAD = 8;

/** Finds hosts of the last version again. They come in the same order, mostly, so looking is cheap, and need not find. */
function memoryOf(known: KnownHosts): (record: Uint8Array) => HostPart | undefined {
  let next = 0;
  return (record) => {
    const end = Math.min(next + LOOK_AHEAD, known.length);
    for (let at = next; at < end; at++) {
      const part = known[at];
      if (part === undefined || !isSame(part.source, record)) continue;
      next = at + 1;
      return part;
    }
    return undefined;
  };
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

function addedHosts(
  patches: readonly EnvoyPatch[],
  trace: PatchTrace,
): readonly Pick<HostPart, 'name' | 'record'>[] {
  return patches.flatMap((patch) => {
    const host = patch.operation === 'ADD' ? valueAs(patch, VirtualHostSchema) : undefined;
    if (host === undefined) return [];
    trace.mark(patch);
    return [{ name: host.name, record: recordOf(host) }];
  });
}

/** Virtual hosts of a merged value come behind those that are there, or in their place. */
function mergeTable(parts: TableParts, patches: readonly EnvoyPatch[], trace: PatchTrace): TableParts {
  if (patches.length === 0) return parts;
  const table = fromBinary(RouteConfigurationSchema, concatenate([parts.head, parts.tail]));
  let { hosts } = parts;
  for (const patch of patches) {
    if (!isMerge(patch)) continue;
    mergeNamed(table, patch);
    trace.mark(patch);
    if (table.virtualHosts.length === 0) continue;
    const added = table.virtualHosts.map(recordOf);
    hosts = patch.operation === 'MERGE' ? [...hosts, ...added] : added;
    table.virtualHosts = [];
  }
  return { ...takeApart(encodeCanonical(RouteConfigurationSchema, table)), hosts };
}

function patchHost(source: Uint8Array, patches: HostPatches, trace: PatchTrace): HostPart {
  const face = faceOf(source);
  if (!isMeant(face, patches))
    return { source, record: source, name: face.name, isRemoved: false, trace: undefined };
  const { host, isRemoved } = patchVirtualHost(
    fromBinary(VirtualHostSchema, contentOf(source)),
    patches,
    trace,
  );
  return { source, record: recordOf(host), name: host.name, isRemoved, trace };
}

/** What no patch on hosts means keeps name and domains, by which patches on routes go. */
function isMeant(face: HostFace, { hosts, routes }: HostPatches): boolean {
  const means = (patch: EnvoyPatch): boolean => meansVirtualHost(patch, face);
  return hosts.some((patch) => patch.operation !== 'ADD' && means(patch)) || routes.some(means);
}
