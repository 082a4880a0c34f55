/**
 * Reads log files that others write: the last lines, and then what is added. A file that was emptied (log-file.ts) is read from its
 * start again. At most the last mebibyte is read for the first part.
 */
import { open } from 'node:fs/promises';
import type { Clock } from '#base/clock.ts';

const MAX_TAIL_BYTES = 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;
const POLL_MS = 200;

/** The last `lines` lines of a file, and where it ends. `lines` below 0: as many as there are within the limit. */
export async function readTail(
  path: string,
  lines: number,
): Promise<{ readonly text: string; readonly end: number }> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  const start = Math.max(0, size - MAX_TAIL_BYTES);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
  const whole = buffer.subarray(0, bytesRead).toString();
  const text = start === 0 ? whole : whole.slice(whole.indexOf('\n') + 1);
  return { text: lines < 0 ? text : lastLines(text, lines), end: start + bytesRead };
}

/** Gives what is appended after `position`, until the signal fires. */
export async function followLog(
  path: string,
  position: number,
  clock: Clock,
  signal: AbortSignal,
  onText: (text: Buffer) => void,
): Promise<void> {
  let at = position;
  while (!signal.aborted) {
    at = await readOn(path, at, onText);
    await pause(clock, signal);
  }
}

async function readOn(path: string, position: number, onText: (text: Buffer) => void): Promise<number> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  let at = size < position ? 0 : position;
  while (at < size) {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, at);
    if (bytesRead === 0) break;
    onText(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  return at;
}

function pause(clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.schedule(POLL_MS, () => {
      signal.removeEventListener('abort', end);
      resolve();
    });
    function end(): void {
      timer[Symbol.dispose]();
      resolve();
    }
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
  });
}

function lastLines(text: string, count: number): string {
  if (count === 0) return '';
  const lines = text.split('\n');
  const closing = lines.at(-1) === '' ? 1 : 0;
  return lines.slice(Math.max(0, lines.length - count - closing)).join('\n');
}
