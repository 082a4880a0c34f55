/**
 * Host names spread over a fixed number of shards: the unit of work and of encoding for large tables. A change costs one
 * shard instead of the whole table, and dependencies are per shard, not per host. Which shard a host is in decides its
 * place in a route table, so the hash is the same on every replica and after every restart (unlike base/key-hash.ts).
 */
import { fnv1a } from '#base/fnv1a.ts';

/** Enough that a shard is small in a large mesh (40 hosts of 10,000), few enough that empty ones cost nothing. */
const SHARDS = 256;

/** All shards, in order. */
export const SHARD_NAMES: readonly string[] = Array.from({ length: SHARDS }, (_, i) => shardName(i));

/** The shard of a host name, as two hex digits. */
export function shardOf(hostname: string): string {
  return shardName(fnv1a(hostname) % SHARDS);
}

function shardName(number: number): string {
  return number.toString(16).padStart(2, '0');
}
