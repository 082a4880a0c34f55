/**
 * Reads the body of a watch: JSON events, one per line. All events of a chunk are handed over together, so that a burst is
 * one change. A watch that lies still is given up: after its own time limit in any case, and after three minutes of silence when
 * the server sends bookmarks (it does so about every minute, whether or not something happens).
 */
import type { Readable } from 'node:stream';
import type { Clock } from '#base/clock.ts';
import { JsonLines } from './json-lines.ts';

const MAX_EVENT_BYTES = 16 * 1024 * 1024;
const SILENCE_LIMIT_MS = 180_000;

/** One line of a watch. */
export interface WatchEvent {
  readonly type: string;
  readonly object: unknown;
}

/** How a watch is read. */
export interface WatchReading {
  readonly clock: Clock;
  /** The server should have ended the watch by then. */
  readonly maxMs: number;
  readonly onEvents: (events: readonly WatchEvent[]) => void;
}

/** Resolves when the server ends the watch. Errors: rejects when it breaks, lies still or `onEvents` throws. */
export async function readWatch(body: Readable, { clock, maxMs, onEvents }: WatchReading): Promise<void> {
  const lines = new JsonLines(MAX_EVENT_BYTES);
  let silence: Disposable | undefined;
  let sendsBookmarks = false;
  const limit = clock.schedule(maxMs, () =>
    body.destroy(new Error('the watch did not end when it should have')),
  );
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  body.on('data', (chunk: Buffer) => {
    try {
      const events = lines.push(chunk).map(asEvent);
      sendsBookmarks ||= events.some((event) => event.type === 'BOOKMARK');
      silence?.[Symbol.dispose]();
      if (sendsBookmarks) {
        silence = clock.schedule(SILENCE_LIMIT_MS, () => body.destroy(new Error('the watch lies still')));
      }
      if (events.length > 0) onEvents(events);
    } catch (error) {
      body.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  });
  body.once('end', resolve);
  body.once('error', reject);
  body.once('close', () => reject(new Error('the watch was cut')));
  try {
    await promise;
  } finally {
    limit[Symbol.dispose]();
    silence?.[Symbol.dispose]();
    body.destroy();
  }
}

function asEvent(value: unknown): WatchEvent {
  const { type, object } = value as { readonly type?: unknown; readonly object?: unknown };
  if (typeof type !== 'string') throw new Error('a line of the watch is no event');
  return { type, object };
}
