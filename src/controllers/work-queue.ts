/**
 * Work by key: each key is worked on by one at a time, a few keys at once; a key that is added while it is worked on is looked at
 * again. Work says what is to be done from what it finds, so that it may run once too often. What fails is tried again, later and later.
 */
import { Backoff, type BackoffOptions } from '#base/backoff.ts';
import type { Clock } from '#base/clock.ts';
import type { Rng } from '#base/rng.ts';

export interface WorkQueueOptions {
  /** Puts one key right. Rejects: tried again after a while. */
  readonly work: (key: string) => Promise<void>;
  /** Told of each failure. */
  readonly failed: (key: string, error: unknown) => void;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Default: eight. */
  readonly workers?: number;
  /** Default: from one second to one minute. */
  readonly retry?: BackoffOptions;
}

const WORKERS = 8;
const RETRY: BackoffOptions = { initialMs: 1_000, maxMs: 60_000 };

export class WorkQueue implements Disposable {
  readonly #options: WorkQueueOptions;
  readonly #backoff: Backoff;
  readonly #due = new Set<string>();
  readonly #busy = new Set<string>();
  /** Keys that are tried again when the timer ends. */
  readonly #failures = new Set<string>();
  readonly #idle = new Set<() => void>();
  #retry: Disposable | undefined;
  #isDisposed = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.retry ?? RETRY, options.rng);
  }

  add(key: string): void {
    if (this.#isDisposed) return;
    this.#due.add(key);
    this.#start();
  }

  /** Forgets what is due; what is being worked on ends by itself. */
  clear(): void {
    this.#due.clear();
    this.#failures.clear();
    this.#retry?.[Symbol.dispose]();
    this.#retry = undefined;
  }

  /** Resolves when nothing is due but what has failed. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.add(resolve);
      this.#start();
    });
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.clear();
  }

  #start(): void {
    const { workers = WORKERS } = this.#options;
    for (const key of this.#due) {
      if (this.#busy.size >= workers) return;
      if (this.#busy.has(key)) continue;
      this.#due.delete(key);
      this.#busy.add(key);
      void this.#run(key);
    }
    if (this.#busy.size > 0) return;
    for (const resolve of this.#idle) resolve();
    this.#idle.clear();
  }

  async #run(key: string): Promise<void> {
    try {
      await this.#options.work(key);
      this.#failures.delete(key);
      if (this.#failures.size === 0) this.#backoff.reset();
    } catch (error) {
      this.#fail(key, error);
    }
    this.#busy.delete(key);
    this.#start();
  }

  #fail(key: string, error: unknown): void {
    if (this.#isDisposed) return;
    this.#options.failed(key, error);
    this.#failures.add(key);
    this.#retry ??= this.#options.clock.schedule(this.#backoff.nextMs(), () => {
      this.#retry = undefined;
      const again = [...this.#failures];
      this.#failures.clear();
      for (const one of again) this.add(one);
    });
  }
}
