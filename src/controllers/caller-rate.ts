/** How often one caller may do something that costs others: so many times at once, so many per second after that; no memory but of late ones. */
import type { Clock } from '#base/clock.ts';
import { Lru } from '#base/lru.ts';

/** Limits of one caller. */
export interface CallerRateOptions {
  readonly clock: Clock;
  readonly perSecond: number;
  readonly burst: number;
}

const MAX_CALLERS = 10_000;

export class CallerRate {
  readonly #options: CallerRateOptions;
  /** When each caller would be as if it had never called, by the monotonic clock. */
  readonly #freshAtMs = new Lru<string, number>(MAX_CALLERS);

  constructor(options: CallerRateOptions) {
    this.#options = options;
  }

  /** False when it is too often; such a call does not count. */
  take(caller: string): boolean {
    const { clock, perSecond, burst } = this.#options;
    const nowMs = clock.monotonicMs();
    const freshAtMs = Math.max(this.#freshAtMs.get(caller) ?? 0, nowMs) + 1000 / perSecond;
    if (freshAtMs - nowMs > (burst * 1000) / perSecond) return false;
    this.#freshAtMs.set(caller, freshAtMs);
    return true;
  }
}
