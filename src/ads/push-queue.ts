/**
 * Which proxies are to be looked at, and when. An isolated change leaves at once; changes that follow one another closely
 * wait, each batch longer than the last up to a cap. A batch for many proxies is worked off in slices, so that
 * the event loop gets its turn.
 */
import type { Clock } from '#base/clock.ts';

export interface PushQueueOptions {
  /** Wait after the first change of a storm; doubles with each batch. */
  readonly minDelayMs: number;
  /** Longest wait, and the quiet time after which a change counts as isolated again. */
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
  #lastBatchMs = Number.NEGATIVE_INFINITY;
  #delayMs = 0;

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
    const sinceLastMs = this.#clock.monotonicMs() - this.#lastBatchMs;
    if (sinceLastMs >= this.#options.maxDelayMs) this.#delayMs = 0;
    this.#timer = this.#clock.schedule(Math.max(0, this.#delayMs - sinceLastMs), () => this.#runBatch());
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#pending.clear();
  }

  #runBatch(): void {
    this.#lastBatchMs = this.#clock.monotonicMs();
    const { minDelayMs, maxDelayMs } = this.#options;
    this.#delayMs = Math.min(maxDelayMs, Math.max(minDelayMs, this.#delayMs * 2));
    this.#runSlice();
  }

  #runSlice(): void {
    this.#timer = undefined;
    const endMs = this.#clock.monotonicMs() + this.#options.sliceMs;
    for (const proxyId of this.#pending) {
      this.#pending.delete(proxyId);
      this.#push(proxyId);
      if (this.#pending.size > 0 && this.#clock.monotonicMs() >= endMs) {
        this.#timer = this.#clock.schedule(0, () => this.#runSlice());
        return;
      }
    }
  }
}
