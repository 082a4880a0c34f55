/**
 * Host names spread over a fixed number of shards: the unit of work and of encoding for large tables. A change costs one
 * shard instead of the whole table, and dependencies are per shard, not per host. Which shard a host is in decides its
 * place in a route table, so the hash is the same on every replica and after every restart (unlike base/key-hash.ts).
 */

/** Enough that a shard is small in a large mesh (40 hosts of 10,000), few enough that empty ones cost nothing. */
const SHARDS = 256;

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** All shards, in order. */
export const SHARD_NAMES: readonly string[] = Array.from({ length: SHARDS }, (_, i) => shardName(i));

/** The shard of a host name, as two hex digits. Source: FNV-1a, 32 bits, over UTF-16 code units. */
export function shardOf(hostname: string): string {
  let hash = FNV_OFFSET;
  for (let i = 0; i < hostname.length; i++) hash = Math.imul(hash ^ hostname.charCodeAt(i), FNV_PRIME);
  return shardName((hash >>> 0) % SHARDS);
}

function shardName(number: number): string {
  return number.toString(16).padStart(2, '0');
}
