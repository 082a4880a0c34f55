/** A bucket of tokens in front of an API server: so many requests at once, so many per second after that. */
import type { Clock } from '#base/clock.ts';

/** Limits of one client. */
export interface RateLimitOptions {
  readonly clock: Clock;
  readonly perSecond: number;
  readonly burst: number;
}

/** Callers wait their turn, first come first served. */
export class RateLimit {
  readonly #options: RateLimitOptions;
  /** Time at which the bucket would be full: the whole state of a bucket. */
  #fullAtMs: number;

  constructor(options: RateLimitOptions) {
    this.#options = options;
    this.#fullAtMs = options.clock.monotonicMs();
  }

  /** Resolves when a request may be made. */
  async take(): Promise<void> {
    const { clock, perSecond, burst } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#fullAtMs = Math.max(this.#fullAtMs, nowMs) + 1000 / perSecond;
    const waitMs = this.#fullAtMs - nowMs - (burst * 1000) / perSecond;
    if (waitMs <= 0) return;
    await new Promise<void>((resolve) => {
      clock.schedule(waitMs, resolve);
    });
  }
}
