/**
 * When to renew a certificate: at half its life, spread by ten percent of that life's half either way, so that workloads that
 * started together do not renew together. Pure; the waiting is the caller's, by Clock (safe for a root's ten years).
 */
import type { Rng } from '#base/rng.ts';

/** A span in which something holds. */
export interface Validity {
  readonly notBeforeUnixMs: number;
  readonly notAfterUnixMs: number;
}

const jitter = 0.1;

/** The time to renew at, Unix milliseconds; it may lie in the past. Source: Istio SECRET_GRACE_PERIOD_RATIO 0.5. */
export function findRenewalTime(validity: Validity, rng: Rng): number {
  const halfMs = (validity.notAfterUnixMs - validity.notBeforeUnixMs) / 2;
  const spread = 1 + jitter * (2 * rng.float() - 1);
  return Math.round(validity.notBeforeUnixMs + halfMs * spread);
}
