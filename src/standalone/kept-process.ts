/**
 * Keeps one program running: started again when it ends, the first time at once, then ever slower while it keeps falling.
 * After ten seconds of running it counts as well again. Its pid is on disk while it runs, so that the next owner of the
 * folder finds what a killed one left behind (see left-overs.ts).
 */
import { rmSync, writeFileSync } from 'node:fs';
import { Backoff } from '#base/backoff.ts';
import type { Clock } from '#base/clock.ts';
import type { Rng } from '#base/rng.ts';
import type { Child, ChildExit, ChildOptions } from './child.ts';
import { startChild } from './child.ts';
import { startTicks } from './process-table.ts';

export interface KeptProcessOptions {
  /** Asked before each start, since tokens and such may have changed. */
  readonly child: () => ChildOptions;
  readonly pidFile: string;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly onStart: () => void;
  /** Not called for a stop that was asked for. */
  readonly onCrash: (exit: ChildExit, restartInMs: number) => void;
}

const WELL_AFTER_MS = 10_000;
const BACKOFF = { initialMs: 500, maxMs: 10_000 };

export class KeptProcess {
  readonly #options: KeptProcessOptions;
  readonly #backoff: Backoff;
  #child: Child | undefined;
  #timer: Disposable | undefined;
  #stopped = false;
  #crashes = 0;
  #crashesInARow = 0;
  #lastExit: ChildExit | undefined;

  constructor(options: KeptProcessOptions) {
    this.#options = options;
    this.#backoff = new Backoff(BACKOFF, options.rng);
  }

  /** 0 while it does not run. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** How often it ended by itself. */
  get crashes(): number {
    return this.#crashes;
  }

  get lastExit(): ChildExit | undefined {
    return this.#lastExit;
  }

  start(): void {
    if (this.#stopped || this.#child !== undefined) return;
    const { child: childOptions, clock, pidFile, onStart } = this.#options;
    const child = startChild(childOptions());
    this.#child = child;
    if (child.pid > 0) notePid(pidFile, child.pid);
    const startMs = clock.monotonicMs();
    void child.exited.then((exit) => this.#ended(exit, clock.monotonicMs() - startMs));
    onStart();
  }

  /** SIGTERM, after the grace SIGKILL; resolves when it is gone and will not come back. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
    await this.#child?.stop(graceMs);
  }

  #ended(exit: ChildExit, ranMs: number): void {
    this.#child = undefined;
    rmSync(this.#options.pidFile, { force: true });
    if (this.#stopped) return;
    this.#crashes += 1;
    this.#lastExit = exit;
    const delayMs = this.#nextDelayMs(ranMs);
    this.#options.onCrash(exit, delayMs);
    this.#timer = this.#options.clock.schedule(delayMs, () => this.start());
  }

  #nextDelayMs(ranMs: number): number {
    if (ranMs >= WELL_AFTER_MS) {
      this.#backoff.reset();
      this.#crashesInARow = 0;
    }
    this.#crashesInARow += 1;
    return this.#crashesInARow === 1 ? 0 : this.#backoff.nextMs();
  }
}

/** Without space for the file the program runs all the same. */
function notePid(file: string, pid: number): void {
  try {
    writeFileSync(file, `${pid} ${startTicks(pid)}`, { mode: 0o600 });
  } catch {
    // Only needed should this process be killed.
  }
}

/** How a program ended, in words. */
export function printExit(exit: ChildExit): string {
  if (exit.error !== undefined) return `could not be started: ${exit.error}`;
  return exit.signal === null ? `exited with code ${exit.code}` : `was ended by ${exit.signal}`;
}
