/** What counts as the same data. */
import { strictEqual } from 'node:assert';
import { isDeepStrictEqual } from 'node:util';
import { test } from 'node:test';
import fc from 'fast-check';
import { deepEqual, EQUALS } from './deep-equal.ts';

class Opaque {
  readonly n: number;
  constructor(n: number) {
    this.n = n;
  }
}

class Money extends Opaque {
  [EQUALS](other: Money): boolean {
    return this.n === other.n;
  }
}

function nullProto(fields: object): object {
  return Object.assign(Object.create(null), fields);
}

const message = { port: 80 };

const SAME: readonly (readonly [string, unknown, unknown])[] = [
  ['numbers', 1, 1],
  ['NaN', Number.NaN, Number.NaN],
  ['bigints', 10n, 10n],
  ['nested data', { a: [1, { b: 'x' }] }, { a: [1, { b: 'x' }] }],
  ['fields in another order', { a: 1, b: 2 }, { b: 2, a: 1 }],
  ['an object without prototype', { a: 1 }, nullProto({ a: 1 })],
  ['two objects without prototype', nullProto({ a: 1 }), nullProto({ a: 1 })],
  ['bytes', new Uint8Array([1, 2]), new Uint8Array([1, 2])],
  ['a Buffer and bytes', Buffer.from([1]), new Uint8Array([1])],
  [
    'Maps in another order',
    new Map([
      ['a', [1]],
      ['b', [2]],
    ]),
    new Map([
      ['b', [2]],
      ['a', [1]],
    ]),
  ],
  ['Sets in another order', new Set(['a', 'b']), new Set(['b', 'a'])],
  ['Dates', new Date(5), new Date(5)],
  ['instances that say so', new Money(1), new Money(1)],
  ['messages with inherited defaults', Object.create(message), Object.create(message)],
];

const DIFFERENT: readonly (readonly [string, unknown, unknown])[] = [
  ['numbers', 1, 2],
  ['types', 1, '1'],
  ['null and undefined', null, undefined],
  ['null and an object', null, {}],
  ['an array and an object', [], {}],
  ['lengths', [1], [1, 2]],
  ['a missing and an undefined field', {}, { a: undefined }],
  ['names of undefined fields', { a: undefined }, { b: undefined }],
  ['an own field and an inherited one', { toString: 1 }, { valueOf: 1 }],
  ['zero and minus zero', 0, -0],
  ['bytes', new Uint8Array([1, 2]), new Uint8Array([1, 3])],
  ['values of a Map', new Map([['a', 1]]), new Map([['a', 2]])],
  ['keys of a Map', new Map([['a', undefined]]), new Map([['b', undefined]])],
  ['Sets', new Set(['a']), new Set(['b'])],
  ['instances of a class that does not say', new Opaque(1), new Opaque(1)],
  ['instances that say so', new Money(1), new Money(2)],
  ['a class and a literal', new Opaque(1), { n: 1 }],
  ['functions', () => 1, () => 1],
];

for (const [what, a, b] of SAME) {
  test(`same: ${what}`, () => strictEqual(deepEqual(a, b) && deepEqual(b, a), true));
}

for (const [what, a, b] of DIFFERENT) {
  test(`different: ${what}`, () => strictEqual(deepEqual(a, b) || deepEqual(b, a), false));
}

test('plain data compares as node:util compares it', () => {
  const data = fc.object({
    maxDepth: 3,
    key: fc.constantFrom('a', 'b', '__proto__'),
    values: [fc.nat(1), fc.constant('x')],
  });
  fc.assert(
    fc.property(data, data, (a, b) => {
      strictEqual(deepEqual(a, b), isDeepStrictEqual(a, b));
      strictEqual(deepEqual(a, structuredClone(a)), true);
    }),
  );
});

test('cycles and very deep data end, as different', () => {
  const [a, b] = [{}, {}] as [{ self?: unknown }, { self?: unknown }];
  a.self = a;
  b.self = b;
  let [x, y]: unknown[] = [{}, {}];
  for (let i = 0; i < 100_000; i++) [x, y] = [[x], [y]];
  strictEqual(deepEqual(a, b) || deepEqual(x, y), false);
});
