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

/** What part of a certificate's life is left when it is renewed, give or take `jitter`. */
export interface RenewalRatio {
  readonly ratio: number;
  readonly jitter: number;
}

const HALF_LIFE: RenewalRatio = { ratio: 0.5, jitter: 0.05 };

/** The time to renew at, Unix milliseconds; it may lie in the past. Source: Istio SECRET_GRACE_PERIOD_RATIO, SECRET_GRACE_PERIOD_RATIO_JITTER. */
export function findRenewalTime(
  validity: Validity,
  rng: Rng,
  { ratio, jitter }: RenewalRatio = HALF_LIFE,
): number {
  const lifeMs = validity.notAfterUnixMs - validity.notBeforeUnixMs;
  const lived = 1 - ratio + jitter * (2 * rng.float() - 1);
  return Math.round(validity.notBeforeUnixMs + lifeMs * Math.min(1, Math.max(0, lived)));
}
