/**
 * Which proxies are to be looked at, and when. A change leaves at once unless a batch has just gone out: then it waits
 * as long as that batch took, so that a storm is gathered to at most half of the time and a trickle is never held up.
 * A batch for many proxies is worked off in slices, so that the event loop gets its turn.
 */
import type { Clock } from '#base/clock.ts';

export interface PushQueueOptions {
  /** Shortest time between the end of a batch and the next one. */
  readonly minDelayMs: number;
  /** Longest such time, however long batches take. */
  readonly maxDelayMs: number;
  /** How long one slice may take. */
  readonly sliceMs: number;
}

export const DEFAULT_PUSH_QUEUE: PushQueueOptions = { minDelayMs: 5, maxDelayMs: 100, sliceMs: 8 };

/** Calls `push` once per proxy and batch. */
export class PushQueue implements Disposable {
  readonly #clock: Clock;
  readonly #options: PushQueueOptions;
  readonly #push: (proxyId: string) => void;
  readonly #pending: Set<string> = new Set();
  #timer: Disposable | undefined;
  /** When the last batch ended, and the work that it was. */
  #lastEndMs = Number.NEGATIVE_INFINITY;
  #workMs = 0;

  constructor(clock: Clock, options: PushQueueOptions, push: (proxyId: string) => void) {
    this.#clock = clock;
    this.#options = options;
    this.#push = push;
  }

  get size(): number {
    return this.#pending.size;
  }

  enqueue(proxyIds: Iterable<string>): void {
    for (const proxyId of proxyIds) this.#pending.add(proxyId);
    if (this.#timer !== undefined || this.#pending.size === 0) return;
    const { minDelayMs, maxDelayMs } = this.#options;
    const restMs = Math.min(maxDelayMs, Math.max(minDelayMs, this.#workMs));
    const sinceLastMs = this.#clock.monotonicMs() - this.#lastEndMs;
    this.#timer = this.#clock.schedule(Math.max(0, restMs - sinceLastMs), () => this.#runBatch());
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#pending.clear();
  }

  #runBatch(): void {
    this.#workMs = 0;
    this.#runSlice();
  }

  #runSlice(): void {
    this.#timer = undefined;
    const startMs = this.#clock.monotonicMs();
    for (const proxyId of this.#pending) {
      this.#pending.delete(proxyId);
      this.#push(proxyId);
      if (this.#pending.size > 0 && this.#clock.monotonicMs() >= startMs + this.#options.sliceMs) {
        this.#timer = this.#clock.schedule(0, () => this.#runSlice());
        break;
      }
    }
    this.#lastEndMs = this.#clock.monotonicMs();
    this.#workMs += this.#lastEndMs - startMs;
  }
}
