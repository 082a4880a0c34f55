import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import { allOutcomes, type Chance } from './chance.ts';

const CASES: readonly (readonly [string, (chance: Chance) => string, Readonly<Record<string, number>>])[] = [
  ['no decision has one outcome', () => 'x', { x: 1 }],
  ['weights are relative', ({ pick }) => 'ab'[pick([1, 3])] ?? '', { a: 0.25, b: 0.75 }],
  ['what has no weight does not happen', ({ pick }) => 'abc'[pick([0, 5, 0])] ?? '', { b: 1 }],
  ['with no weights at all the first is taken', ({ pick }) => 'ab'[pick([0, 0])] ?? '', { a: 1 }],
  [
    'a later decision may depend on an earlier one',
    ({ pick }) => (pick([1, 1]) === 0 ? 'a' : `b${pick([1, 4])}`),
    { a: 0.5, b0: 0.1, b1: 0.4 },
  ],
];

for (const [name, run, expected] of CASES) {
  it(name, () => {
    const outcomes = allOutcomes(run).map(({ value, probability }) => [
      value,
      Number(probability.toFixed(9)),
    ]);
    deepStrictEqual(Object.fromEntries(outcomes), expected);
  });
}

it('an explosion of outcomes is cut off', () => {
  const run = ({ pick }: Chance): number => Array.from({ length: 40 }, () => pick([1, 1])).length;
  strictEqual(allOutcomes(run).length, 4096);
});
