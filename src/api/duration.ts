/**
 * Durations in specs, on top of base/duration.ts: exact nanoseconds for rules, milliseconds for those who use a spec.
 */
import { parseDuration, parseDurationMs } from '#base/duration.ts';

/** Nanoseconds of a duration in Go's or proto3 JSON's form; undefined when it is none. */
export function parseDurationNanos(text: string): bigint | undefined {
  const parsed = parseDuration(text);
  return parsed.ok ? BigInt(parsed.value.seconds) * 1_000_000_000n + BigInt(parsed.value.nanos) : undefined;
}

/**
 * Milliseconds of a duration in a spec, with fractions; `absentMs` when the field is not set.
 * Errors: none; a malformed duration never reaches a spec, and counts as absent.
 */
export function durationMs(text: string | undefined, absentMs = 0): number {
  const parsed = text === undefined ? undefined : parseDurationMs(text);
  return parsed?.ok === true ? parsed.value : absentMs;
}
