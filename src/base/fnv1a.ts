/**
 * A hash that is the same on every replica and after every restart (unlike key-hash.ts), for places that are chosen by name:
 * shards of tables, automatically allocated addresses. Not for anything that must resist collisions made on purpose.
 */

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** FNV-1a, 32 bits, over UTF-16 code units. */
export function fnv1a(text: string): number {
  let hash = FNV_OFFSET;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME);
  return hash >>> 0;
}
