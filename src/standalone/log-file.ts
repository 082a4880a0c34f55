/**
 * A log file that keeps itself small: at `maxBytes` it becomes `FILE.1` and a new one begins, so at most twice that
 * lies on disk. Writes are synchronous appends: lines survive a crash of the writer.
 */
import { appendFileSync, renameSync, statSync, truncateSync } from 'node:fs';

const DEFAULT_MAX_BYTES = 4 * 1024 * 1024;

export class LogFile {
  readonly path: string;
  readonly #maxBytes: number;
  #size: number;

  constructor(path: string, maxBytes: number = DEFAULT_MAX_BYTES) {
    this.path = path;
    this.#maxBytes = maxBytes;
    this.#size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Appends bytes as they come. A full disk loses the log, not the mesh: the file is emptied and writing goes on. */
  write(chunk: Uint8Array | string): void {
    const size = typeof chunk === 'string' ? Buffer.byteLength(chunk) : chunk.byteLength;
    try {
      if (this.#size > 0 && this.#size + size > this.#maxBytes) {
        renameSync(this.path, `${this.path}.1`);
        this.#size = 0;
      }
      appendFileSync(this.path, chunk, { mode: 0o600 });
      this.#size += size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      truncateSync(this.path);
      this.#size = 0;
    }
  }
}
