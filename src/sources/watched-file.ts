/**
 * One file that is followed: its text at the start, and each text that it has afterwards. Watches the folder, since editors and
 * Kubernetes' mounted ConfigMaps replace the file (or the folder behind a link) instead of writing into it; looks again every
 * few seconds should the system not tell. A file that cannot be read has no text.
 */
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '#base/clock.ts';

/** Other events of one save. */
const COALESCE_MS = 4;
const RESCAN_MS = 3000;
const MAX_BYTES = 16 * 1024 * 1024;

export class WatchedFile implements Disposable {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #onChange: (text: string | undefined) => void;
  #text: string | undefined;
  #watcher: FSWatcher | undefined;
  #timer: Disposable | undefined;
  #isSoon = false;

  /** Reads the file at once; `onChange` hears of later texts only. */
  constructor(path: string, clock: Clock, onChange: (text: string | undefined) => void) {
    this.#path = path;
    this.#clock = clock;
    this.#onChange = onChange;
    this.#text = readText(path);
    this.#watch();
    this.#schedule(RESCAN_MS);
  }

  /** What the file says now; undefined when there is none. */
  get text(): string | undefined {
    return this.#text;
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    this.#timer?.[Symbol.dispose]();
  }

  #watch(): void {
    try {
      this.#watcher = watch(dirname(this.#path), () => this.#touched());
      // The folder may go; looking again goes on.
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch {
      this.#watcher = undefined;
    }
  }

  #touched(): void {
    if (this.#isSoon) return;
    this.#isSoon = true;
    this.#schedule(COALESCE_MS);
  }

  #schedule(delayMs: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#clock.schedule(delayMs, () => {
      this.#isSoon = false;
      this.#look();
      this.#schedule(RESCAN_MS);
    });
  }

  #look(): void {
    const text = readText(this.#path);
    if (text === this.#text) return;
    this.#text = text;
    this.#onChange(text);
  }
}

function readText(path: string): string | undefined {
  try {
    const bytes = readFileSync(path);
    return bytes.length > MAX_BYTES ? undefined : bytes.toString();
  } catch {
    return undefined;
  }
}
