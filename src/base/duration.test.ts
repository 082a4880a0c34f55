/** Durations as Go reads and protobuf writes them. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  durationOfMs,
  durationToMs,
  formatProtoDuration,
  parseDuration,
  parseDurationMs,
} from './duration.ts';

const PARSED: readonly (readonly [string, number, number])[] = [
  ['0', 0, 0],
  ['0s', 0, 0],
  ['1.5s', 1, 500_000_000],
  ['100ms', 0, 100_000_000],
  ['1h2m3.5s', 3723, 500_000_000],
  ['-1.5s', -1, -500_000_000],
  ['+5m', 300, 0],
  ['.5s', 0, 500_000_000],
  ['1.s', 1, 0],
  ['1.5h', 5400, 0],
  ['3us', 0, 3000],
  ['3µs', 0, 3000],
  ['1ns', 0, 1],
  ['0.0000000019s', 0, 1],
  ['1s1s', 2, 0],
  ['2562047h47m16.854775807s', 9223372036, 854775807],
];

for (const [text, seconds, nanos] of PARSED) {
  test(`"${text}" is ${seconds} seconds and ${nanos} nanoseconds`, () => {
    deepStrictEqual(parseDuration(text), { ok: true, value: { seconds, nanos } });
  });
}

for (const text of [
  '',
  '-',
  '1',
  's',
  '.s',
  '1.5',
  '1 s',
  '1d',
  '--1s',
  '1s ',
  '1.2.3s',
  '1e3s',
  '٣s',
  `${'1'.repeat(64)}s`,
]) {
  test(`"${text.slice(0, 10)}" is malformed`, () =>
    deepStrictEqual(parseDuration(text), { ok: false, error: 'malformed' }));
}

for (const text of ['2562047h47m16.854775808s', '9999999999999h', '-9999999999999h']) {
  test(`"${text}" is out of range`, () =>
    deepStrictEqual(parseDuration(text), { ok: false, error: 'out of range' }));
}

const FORMATTED: readonly (readonly [number, string])[] = [
  [0, '0s'],
  [-0, '0s'],
  [1000, '1s'],
  [1500, '1.500s'],
  [0.25, '0.000250s'],
  [0.000001, '0.000000001s'],
  [-1500, '-1.500s'],
  [-20, '-0.020s'],
  [999.9999999, '1s'],
  [3_600_000, '3600s'],
];

for (const [ms, text] of FORMATTED) {
  test(`${ms} ms is written ${text}`, () => strictEqual(formatProtoDuration(ms), text));
}

test('what was written is read back', () => {
  fc.assert(
    fc.property(fc.integer({ min: -1e9, max: 1e9 }), fc.nat(999_999_999), (seconds, nanos) => {
      const duration = { seconds, nanos: seconds < 0 ? -nanos + 0 : nanos };
      deepStrictEqual(parseDuration(formatProtoDuration(duration)), { ok: true, value: duration });
    }),
  );
});

test('milliseconds come back from a duration', () => {
  fc.assert(
    fc.property(fc.integer({ min: -1e12, max: 1e12 }), (ms) =>
      strictEqual(durationToMs(durationOfMs(ms)), ms + 0),
    ),
  );
  deepStrictEqual(parseDurationMs('1.5ms'), { ok: true, value: 1.5 });
});
