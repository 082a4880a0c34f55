/** Delays between attempts: each about `factor` times the last up to a cap, spread by chance so that callers don't come in step. */
import type { Rng } from './rng.ts';

export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  /** Growth per attempt. Default: 2. */
  readonly factor?: number;
  /** How much of a delay is left to chance, 0 (nothing) to 1 (all of it). Default: 0.5. */
  readonly jitter?: number;
}

export class Backoff {
  readonly #options: Required<BackoffOptions>;
  readonly #rng: Rng;
  #nextMs: number;

  constructor(options: BackoffOptions, rng: Rng) {
    this.#options = { factor: 2, jitter: 0.5, ...options };
    this.#rng = rng;
    this.#nextMs = options.initialMs;
  }

  /** The delay before the next attempt in milliseconds; between (1 - jitter) and 1 times the undisturbed one. */
  nextMs(): number {
    const { factor, jitter, maxMs } = this.#options;
    const fullMs = Math.min(this.#nextMs, maxMs);
    this.#nextMs = Math.min(fullMs * factor, maxMs);
    return fullMs * (1 - jitter * this.#rng.float());
  }

  /** To be called after a success. */
  reset(): void {
    this.#nextMs = this.#options.initialMs;
  }
}
