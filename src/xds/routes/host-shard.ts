/**
 * A part of a route table: the hosts of one shard, in order of their names, and their bytes in one piece. Tables are
 * put together from shards, so that a changed host costs the copy of its own shard's hosts one by one and of the others
 * piece by piece; viewers that see the same of a shard share it.
 */
import { hashHex } from '#base/hash.ts';
import type { Interner } from '#collections/interner.ts';
import { viewerKey } from '#scope/viewer.ts';
import { concatenate } from './bytes.ts';
import type { OutboundVirtualHost } from './outbound-virtual-host.ts';
import type { EncodedVirtualHost } from './virtual-host.ts';

/** Records of virtual hosts, one behind the other. */
export interface EncodedHosts {
  readonly records: Uint8Array;
  readonly hash: string;
  readonly clusters: readonly string[];
}

/** One shard of one port, for each view of a viewer. Keyed `viewer|port|listener|shard`. */
export interface HostShard {
  readonly viewer: string;
  /** '' for tables of ports, else the Sidecar's listener (see RouteContext) whose table it is a part of. */
  readonly listener: string;
  readonly port: number;
  readonly variants: readonly ShardVariant[];
}

export interface ShardVariant {
  readonly view: string;
  /** In order of their names. */
  readonly hosts: readonly OutboundVirtualHost[];
  readonly encoded: EncodedHosts;
}

/** Key of a shard of the tables of ports, or of a Sidecar's listener. */
export function hostShardKey(viewer: string, port: number, shard: string, listener = ''): string {
  return `${viewerKey(viewer, String(port))}|${listener}|${shard}`;
}

/** Joins records, once per distinct content. */
export function internHosts(interner: Interner, hosts: readonly EncodedVirtualHost[]): EncodedHosts {
  const hashes = hosts.map((host) => host.hash).join(' ');
  return interner.intern('encodedHosts', { hashes }, () => ({
    records: concatenate(hosts.map((host) => host.record)),
    hash: hashHex(hashes),
    clusters: [...new Set(hosts.flatMap((host) => host.clusters))],
  }));
}

/** What a view gets of a shard. */
export function variantFor(shard: HostShard, view: string): ShardVariant | undefined {
  // Nearly always there is one view.
  const [first] = shard.variants;
  return first?.view === view ? first : shard.variants.find((variant) => variant.view === view);
}
