/** Randomness as a thing that is handed in, so that tests can repeat it. Not for keys and tokens: those take node:crypto. */
import { randomInt } from 'node:crypto';

export interface Rng {
  /** At least 0, less than 1. */
  float(): number;
  /** A whole number, at least 0, less than `limit` (a positive whole number up to 2^31). */
  int(limit: number): number;
}

const UNIT = 2 ** 32;

export function systemRng(): Rng {
  return { float: () => randomInt(UNIT) / UNIT, int: (limit) => randomInt(limit) };
}

/** The same sequence for the same seed (a 32-bit xorshift; good enough for jitter and test data). */
export function seededRng(seed: number): Rng {
  // Xorshift stays at zero for ever, so zero becomes another number; the factor spreads small seeds.
  let state = Math.imul(seed, 0x9e3779b1) | 0 || 1;
  function float(): number {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / UNIT;
  }
  return { float, int: (limit) => Math.floor(float() * limit) };
}
