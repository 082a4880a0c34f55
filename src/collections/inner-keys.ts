/**
 * Which collection keys claim each inner key of an index's buckets. Nearly always one; of several the first in byte
 * order has it, and the next one takes over when it goes, whatever the order of events.
 * Memory: one map entry per value and bucket.
 */
import { compareBytes } from '#base/bytes-order.ts';

export class InnerKeys {
  readonly #claims: Map<string, Map<string, string | readonly string[]>> = new Map();

  /** Adds a claim. */
  add(bucket: string, inner: string, key: string): void {
    const claims = this.#claims.get(bucket) ?? new Map<string, string | readonly string[]>();
    if (claims.size === 0) this.#claims.set(bucket, claims);
    const held = claims.get(inner);
    if (held === undefined) claims.set(inner, key);
    else claims.set(inner, [...new Set([...listed(held), key])].sort(compareBytes));
  }

  /** Takes a claim back. */
  remove(bucket: string, inner: string, key: string): void {
    const claims = this.#claims.get(bucket);
    const held = claims?.get(inner);
    if (claims === undefined || held === undefined) return;
    const left = listed(held).filter((other) => other !== key);
    const [only] = left;
    if (only === undefined) claims.delete(inner);
    else claims.set(inner, left.length === 1 ? only : left);
    if (claims.size === 0) this.#claims.delete(bucket);
  }

  /** The collection key that has the inner key, undefined when nobody claims it. */
  owner(bucket: string, inner: string): string | undefined {
    const held = this.#claims.get(bucket)?.get(inner);
    return held === undefined ? undefined : listed(held)[0];
  }
}

function listed(held: string | readonly string[]): readonly string[] {
  return typeof held === 'string' ? [held] : held;
}
