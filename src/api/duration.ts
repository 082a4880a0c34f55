/**
 * Durations as users write them (Go's form: 1h30m, 500ms, 1.5s) and as proto3 JSON has them ("1.5s").
 * Istio reads both; specs hold the second form. Nanoseconds are exact (bigint inside), results are in milliseconds.
 */

const NANOS_PER_UNIT: ReadonlyMap<string, bigint> = new Map([
  ['ns', 1n],
  ['us', 1_000n],
  ['µs', 1_000n],
  ['μs', 1_000n],
  ['ms', 1_000_000n],
  ['s', 1_000_000_000n],
  ['m', 60_000_000_000n],
  ['h', 3_600_000_000_000n],
]);

const PART = /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/y;
const MAX_TEXT_LENGTH = 40;
/** Largest duration of protobuf, about 10,000 years. */
const MAX_NANOS = 315_576_000_000n * 1_000_000_000n;

/** Parses a duration into nanoseconds; undefined when it is not one. Source: Go time.ParseDuration. */
export function parseDurationNanos(text: string): bigint | undefined {
  if (text.length === 0 || text.length > MAX_TEXT_LENGTH) return undefined;
  const negative = text.startsWith('-');
  const body = negative || text.startsWith('+') ? text.slice(1) : text;
  if (body === '0') return 0n;
  if (body === '') return undefined;
  const part = new RegExp(PART);
  let total = 0n;
  while (part.lastIndex < body.length) {
    const match = part.exec(body);
    if (match === null) return undefined;
    const [, whole = '', fraction = '', unit = ''] = match;
    if (whole === '' && fraction === '') return undefined;
    const unitNanos = NANOS_PER_UNIT.get(unit) as bigint;
    total += BigInt(whole === '' ? '0' : whole) * unitNanos;
    if (fraction !== '') total += (BigInt(fraction) * unitNanos) / 10n ** BigInt(fraction.length);
  }
  if (total > MAX_NANOS) return undefined;
  return negative ? -total : total;
}

/** A duration in proto3 JSON's canonical form: seconds with 0, 3, 6 or 9 decimals. */
export function printDurationNanos(nanos: bigint): string {
  const sign = nanos < 0n ? '-' : '';
  const positive = nanos < 0n ? -nanos : nanos;
  const seconds = positive / 1_000_000_000n;
  const rest = (positive % 1_000_000_000n).toString().padStart(9, '0');
  const decimals = rest.replace(/(000)+$/, '');
  return decimals === '' ? `${sign}${seconds}s` : `${sign}${seconds}.${decimals}s`;
}

/**
 * Milliseconds of a duration in a spec, with fractions; `absentMs` when the field is not set.
 * Errors: none; a malformed duration never reaches a spec, and counts as absent.
 */
export function durationMs(text: string | undefined, absentMs = 0): number {
  if (text === undefined) return absentMs;
  const nanos = parseDurationNanos(text);
  return nanos === undefined ? absentMs : Number(nanos) / 1e6;
}
