/** Waits for what is fetched from elsewhere, so that readiness can wait for the first try of each, and for no longer than it should. */
import type { Clock } from '#base/clock.ts';

/** Resolves when each of them has been tried once, or after `limitMs`. */
export async function firstTries(
  kept: Iterable<{ readonly tried: Promise<unknown> }>,
  clock: Clock,
  limitMs: number,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _limit = clock.schedule(limitMs, resolve);
  await Promise.race([promise, Promise.all(Array.from(kept, ({ tried }) => tried))]);
}
