/** One text per value. */
import { strictEqual, throws } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalJson } from './canonical-json.ts';
import { Secret } from './secret.ts';

const CASES: readonly (readonly [string, unknown, string])[] = [
  ['keys by bytes', { b: 1, a: 2, '\u{1f600}': 3, '\uffee': 4 }, '{"a":2,"b":1,"\uffee":4,"\u{1f600}":3}'],
  ['undefined fields left out', { a: undefined, b: null }, '{"b":null}'],
  ['undefined in arrays', [undefined, 1], '[null,1]'],
  ['bigints', { n: 18446744073709551615n }, '{"n":"18446744073709551615"}'],
  ['bytes', new Uint8Array([0, 255, 16]), '"AP8Q"'],
  ['numbers without a JSON form', [Number.NaN, -Infinity, -0, 0, 1e21], '["NaN","-Infinity",-0,0,1e+21]'],
  [
    'Maps and Sets by content',
    [
      new Map([
        ['b', 1],
        ['a', 2],
      ]),
      new Set(['y', 'x']),
    ],
    '[[["a",2],["b",1]],["x","y"]]',
  ],
  ['odd keys', JSON.parse('{"__proto__":{"x":1}}'), '{"__proto__":{"x":1}}'],
  ['text', 'a"\n\u2028', JSON.stringify('a"\n\u2028')],
  ['a shared part is no cycle', Array(2).fill({ a: 1 }), '[{"a":1},{"a":1}]'],
];

for (const [what, value, text] of CASES) {
  test(`writes ${what}`, () => strictEqual(canonicalJson(value), text));
}

test('the order in which fields were set does not show, and JSON data comes back', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = canonicalJson(value);
      strictEqual(canonicalJson(JSON.parse(text)), text);
      strictEqual(canonicalJson(withFieldsReversed(value)), text);
    }),
  );
});

function withFieldsReversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withFieldsReversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, part]) => [key, withFieldsReversed(part)]),
  );
}

test('refuses cycles, depth, functions, and classes whose content it does not know', () => {
  const cycle: { self?: unknown } = {};
  cycle.self = [cycle];
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i++) deep = [deep];
  for (const value of [cycle, deep, () => 1, Symbol('s'), new Secret('x'), new Date()]) {
    throws(() => canonicalJson({ value }), TypeError);
  }
});
