/**
 * Asks again and again whether something is ready, quickly until it first is, then once per period. Ready again after one good
 * answer; not ready after `failureThreshold` bad ones in a row. Tells of changes only.
 */
import type { Clock } from '#base/clock.ts';

export interface ReadinessWatchOptions {
  /** '' when ready, else why not. */
  readonly check: () => Promise<string>;
  readonly periodMs: number;
  readonly failureThreshold: number;
  readonly clock: Clock;
  readonly onChange: (ready: boolean) => void;
}

const FIRST_PERIOD_MS = 50;

export class ReadinessWatch implements Disposable {
  readonly #options: ReadinessWatchOptions;
  #ready = false;
  #reason = 'not checked yet';
  #failures = 0;
  #stopped = false;
  #timer: Disposable | undefined;

  constructor(options: ReadinessWatchOptions) {
    this.#options = options;
    this.#wait(0);
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** Why it is not ready; '' when it is. */
  get reason(): string {
    return this.#reason;
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
  }

  #wait(delayMs: number): void {
    this.#timer = this.#options.clock.schedule(delayMs, () => void this.#ask());
  }

  async #ask(): Promise<void> {
    const { check, clock, periodMs, failureThreshold, onChange } = this.#options;
    const startMs = clock.monotonicMs();
    const reason = await check();
    if (this.#stopped) return;
    this.#failures = reason === '' ? 0 : this.#failures + 1;
    const ready = reason === '' || (this.#ready && this.#failures < failureThreshold);
    this.#reason = ready ? '' : reason;
    const everyMs = ready || this.#ready ? periodMs : Math.min(FIRST_PERIOD_MS, periodMs);
    this.#wait(Math.max(0, everyMs - (clock.monotonicMs() - startMs)));
    if (ready === this.#ready) return;
    this.#ready = ready;
    onChange(ready);
  }
}
