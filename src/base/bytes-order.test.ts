/** Byte order against Buffer.compare. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareBytes, sortedBy } from './bytes-order.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({
    unit: fc.constantFrom('a', 'b', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}'),
    maxLength: 4,
  }),
);

test('strings compare as their UTF-8 bytes do', () => {
  fc.assert(
    fc.property(text, text, (a, b) => {
      strictEqual(Math.sign(compareBytes(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
    { numRuns: 1000 },
  );
});

test('sortedBy sorts by key, keeps equals in order and leaves its input alone', () => {
  const items = [
    ['b', 1],
    ['a', 2],
    ['b', 0],
    ['\u{1f600}', 3],
    ['\uffee', 4],
  ] as const;
  const sorted = sortedBy(items, ([key]) => key);
  deepStrictEqual(
    sorted.map(([, n]) => n),
    [2, 1, 0, 4, 3],
  );
  strictEqual(items[0][0], 'b');
});
