/**
 * Time as a thing that is handed in: the only way to read the clock or to wait outside the pure layers (which get time
 * as data). Tests drive a TestClock and wait for nothing.
 */
import { toDisposable } from './disposable.ts';

export interface Clock {
  /** Wall clock, Unix milliseconds; may jump. */
  nowMs(): number;
  /** Milliseconds from some fixed point; never goes back. For measuring. */
  monotonicMs(): number;
  /** Calls `run` once after `delayMs` (at once in the next turn when not positive) unless disposed of before. */
  schedule(delayMs: number, run: () => void): Disposable;
}

/** Node fires timers beyond this at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The real clock. Long delays are chained from timers that Node can hold. */
export function systemClock(): Clock {
  return {
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    schedule: scheduleTimer,
  };
}

function scheduleTimer(delayMs: number, run: () => void): Disposable {
  let timer: NodeJS.Timeout;
  function wait(restMs: number): void {
    if (restMs <= MAX_TIMER_MS) timer = setTimeout(run, restMs);
    else timer = setTimeout(() => wait(restMs - MAX_TIMER_MS), MAX_TIMER_MS);
  }
  wait(delayMs);
  return toDisposable(() => clearTimeout(timer));
}

interface Waiting {
  readonly dueMs: number;
  readonly run: () => void;
}

/** A clock that stands still until `advance`. */
export class TestClock implements Clock {
  #nowMs: number;
  readonly #startMs: number;
  readonly #waiting: Set<Waiting> = new Set();

  constructor(startUnixMs = 0) {
    this.#nowMs = startUnixMs;
    this.#startMs = startUnixMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs - this.#startMs;
  }

  /** Number of timers that wait; a suite asserts that none is left. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  schedule(delayMs: number, run: () => void): Disposable {
    const waiting = { dueMs: this.#nowMs + Math.max(0, delayMs), run };
    this.#waiting.add(waiting);
    return toDisposable(() => this.#waiting.delete(waiting));
  }

  /** Moves time on and runs what falls due, in order of time, also what that schedules within the span. */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (let next = this.#nextUntil(endMs); next !== undefined; next = this.#nextUntil(endMs)) {
      this.#waiting.delete(next);
      this.#nowMs = next.dueMs;
      next.run();
    }
    this.#nowMs = endMs;
  }

  #nextUntil(endMs: number): Waiting | undefined {
    let next: Waiting | undefined;
    for (const waiting of this.#waiting) {
      if (waiting.dueMs <= endMs && (next === undefined || waiting.dueMs < next.dueMs)) next = waiting;
    }
    return next;
  }
}
