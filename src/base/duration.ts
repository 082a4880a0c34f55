/**
 * Durations as users write them: Go's form (`1h2m3.5s`, `100ms`) of which protobuf's (`1.5s`) is a part; Istio reads both
 * in the same fields. Exact to the nanosecond; milliseconds are for our own timers.
 */
import { fail, ok, type Result } from './result.ts';

/** As google.protobuf.Duration: both parts have the same sign. */
export interface Duration {
  readonly seconds: number;
  readonly nanos: number;
}

/** Why a text is no duration: how it is written, or how long it is (Go holds about 292 years). */
export type DurationError = 'malformed' | 'out of range';

const NANOS_PER_SECOND = 1_000_000_000n;
const MAX_NANOS = 2n ** 63n - 1n;
/** Longer texts are no durations that anybody writes. */
const MAX_TEXT_LENGTH = 64;

const UNIT_NANOS: ReadonlyMap<string, bigint> = new Map([
  ['ns', 1n],
  ['us', 1_000n],
  ['µs', 1_000n],
  ['μs', 1_000n],
  ['ms', 1_000_000n],
  ['s', NANOS_PER_SECOND],
  ['m', 60n * NANOS_PER_SECOND],
  ['h', 3600n * NANOS_PER_SECOND],
]);

const PART = /(?<whole>[0-9]*)(?:\.(?<fraction>[0-9]*))?(?<unit>ns|us|µs|μs|ms|s|m|h)/y;

/** Reads a duration exactly; what is finer than a nanosecond is cut off, as Go does. */
export function parseDuration(text: string): Result<Duration, DurationError> {
  if (text.length > MAX_TEXT_LENGTH) return fail('malformed');
  const isNegative = text.startsWith('-');
  const body = isNegative || text.startsWith('+') ? text.slice(1) : text;
  const nanos = body === '0' ? 0n : sumParts(body);
  if (nanos === undefined) return fail('malformed');
  if (nanos > MAX_NANOS) return fail('out of range');
  const signed = isNegative ? -nanos : nanos;
  return ok({ seconds: Number(signed / NANOS_PER_SECOND), nanos: Number(signed % NANOS_PER_SECOND) });
}

function sumParts(body: string): bigint | undefined {
  if (body === '') return undefined;
  let sum = 0n;
  PART.lastIndex = 0;
  while (PART.lastIndex < body.length) {
    const { whole = '', fraction = '', unit = '' } = PART.exec(body)?.groups ?? {};
    if (whole === '' && fraction === '') return undefined;
    const unitNanos = UNIT_NANOS.get(unit) ?? 0n;
    sum +=
      BigInt(`0${whole}`) * unitNanos + (BigInt(`0${fraction}`) * unitNanos) / 10n ** BigInt(fraction.length);
  }
  return sum;
}

/** Milliseconds of a duration text, with a fraction where it has one. */
export function parseDurationMs(text: string): Result<number, DurationError> {
  const parsed = parseDuration(text);
  return parsed.ok ? ok(durationToMs(parsed.value)) : parsed;
}

export function durationToMs(duration: Duration): number {
  return duration.seconds * 1000 + duration.nanos / 1_000_000;
}

/** Milliseconds as an exact duration, rounded to the nanosecond. */
export function durationOfMs(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  const nanos = Math.round((ms - seconds * 1000) * 1_000_000);
  // Rounding may fill the second up. Adding 0 turns -0 into 0.
  const isFull = Math.abs(nanos) === 1_000_000_000;
  return isFull
    ? { seconds: seconds + Math.sign(nanos), nanos: 0 }
    : { seconds: seconds + 0, nanos: nanos + 0 };
}

/** Protobuf's JSON form: seconds with 0, 3, 6 or 9 decimals, `1.500s`. */
export function formatProtoDuration(duration: Duration | number): string {
  const { seconds, nanos } = typeof duration === 'number' ? durationOfMs(duration) : duration;
  const sign = seconds < 0 || nanos < 0 ? '-' : '';
  const whole = `${sign}${Math.abs(seconds)}`;
  if (nanos === 0) return `${whole}s`;
  const decimals = String(Math.abs(nanos))
    .padStart(9, '0')
    .replace(/(?:000){1,2}$/, '');
  return `${whole}.${decimals}s`;
}
