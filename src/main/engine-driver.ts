/**
 * Runs the incremental engine: whoever changed a source pokes it, and it computes in slices of at most 10 ms with I/O
 * in between, until idle. An isolated change is computed at once, in the same turn of the event loop.
 */
import type { Engine } from '#collections/collection.ts';

const SLICE_MS = 10;

export class EngineDriver {
  readonly #engine: Engine;
  #running = false;
  #again = false;
  #waiting: (() => void)[] = [];

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Says that sources have changed. Cheap; may be called often. */
  poke(): void {
    this.#again = true;
    if (!this.#running) {
      this.#running = true;
      this.#slice();
    }
  }

  /** Pokes, and resolves when everything queued until then has been computed and published. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.poke();
    });
  }

  #slice(): void {
    this.#again = false;
    const until = performance.now() + SLICE_MS;
    const idle = this.#engine.step(() => performance.now() >= until);
    if (!idle || this.#again) {
      setImmediate(() => this.#slice());
      return;
    }
    this.#running = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
