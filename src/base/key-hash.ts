/**
 * A 32-bit keyed hash of strings (HalfSipHash-1-3 over UTF-16 code units) for data structures whose balance rests on
 * hashes. Keys are names that users choose: with a fixed hash somebody could choose ten thousand names that turn a tree
 * into a list. The key is drawn once per process, as V8 does for its own tables; no result may depend on it.
 */
import { randomBytes } from 'node:crypto';

const secret = randomBytes(8);
const SECRET_LOW = secret.readInt32LE(0);
const SECRET_HIGH = secret.readInt32LE(4);

const FINAL_ROUNDS = 3;

/** A signed 32-bit hash, the same for the same text within this process. */
export function keyHash(text: string): number {
  let v0 = SECRET_LOW;
  let v1 = SECRET_HIGH;
  let v2 = 0x6c796765 ^ SECRET_LOW;
  let v3 = 0x74656462 ^ SECRET_HIGH;
  const words = text.length >> 1;
  for (let i = 0; i <= words + FINAL_ROUNDS; i++) {
    const word = wordAt(text, i, words);
    if (i === words + 1) v2 ^= 0xff;
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return v1 ^ v3;
}

/** Two code units per word; the last word holds the length and an odd last unit; final rounds take zero. */
function wordAt(text: string, i: number, words: number): number {
  if (i < words) return text.charCodeAt(2 * i) | (text.charCodeAt(2 * i + 1) << 16);
  if (i > words) return 0;
  const rest = text.length & 1 ? text.charCodeAt(text.length - 1) : 0;
  return rest | (text.length << 16);
}
