/**
 * A log file that children write by themselves: they get it as their stdout (a real file, since Envoy opens /dev/stdout by
 * name and the kernel refuses that for the sockets that node makes of pipes). Kept small by copying it to `FILE.1` and
 * emptying it, which works because everybody appends; what is written in between those two steps is lost.
 */
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { dirname } from 'node:path';

const DEFAULT_MAX_BYTES = 4 * 1024 * 1024;

export class LogFile {
  readonly path: string;
  readonly #maxBytes: number;

  constructor(path: string, maxBytes: number = DEFAULT_MAX_BYTES) {
    this.path = path;
    this.#maxBytes = maxBytes;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    closeSync(this.open());
  }

  /** A file descriptor for a child; the caller closes it when the child has its own. */
  open(): number {
    return openSync(this.path, 'a', 0o600);
  }

  /** Adds a line of the runner's own. A full disk loses the line, not the mesh. */
  note(line: string): void {
    this.write(`lateen: ${line}`);
  }

  /** Adds a line as it is; otherwise like note. */
  write(line: string): void {
    try {
      appendFileSync(this.path, `${line}\n`, { mode: 0o600 });
    } catch {
      // No place for a log line is no reason to stop.
    }
  }

  /** The last lines, for a message; few ones, and none when it cannot be read. */
  lastLines(count: number): readonly string[] {
    try {
      const lines = readFileSync(this.path, 'utf8')
        .split('\n')
        .filter((line) => line !== '');
      return lines.slice(-count);
    } catch {
      return [];
    }
  }

  /** Moves the content aside when there is too much of it; to be called now and then. */
  trim(): void {
    try {
      if (statSync(this.path).size <= this.#maxBytes) return;
      copyFileSync(this.path, `${this.path}.1`);
    } catch {
      // Gone, or no space for the copy: emptying the file below is what helps.
    }
    try {
      truncateSync(this.path);
    } catch {
      // Gone: nothing to keep small.
    }
  }
}
