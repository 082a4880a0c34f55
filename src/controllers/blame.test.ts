import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findOffenders, firstRefused } from './blame.ts';

const NUMBERS = Array.from({ length: 100 }, (_, i) => i);

/** Refuses while one of the bad ones is not held back; counts the questions. */
function judge(...bad: readonly number[]) {
  const asked = { count: 0 };
  const accepts = async (held: readonly number[]): Promise<boolean> => {
    asked.count++;
    return bad.every((one) => held.includes(one));
  };
  return { asked, accepts };
}

const FINDS: readonly (readonly [
  suspects: readonly number[],
  bad: readonly number[],
  mostQuestions: number,
])[] = [
  [[0], [0], 1],
  [NUMBERS, [0], 1],
  [NUMBERS, [5], 8],
  [NUMBERS, [99], 17],
  [NUMBERS, [3, 64], 40],
  [NUMBERS, [0, 1, 2, 97, 98, 99], 80],
  [NUMBERS, NUMBERS, 203],
];

describe('finding offenders', () => {
  for (const [suspects, bad, mostQuestions] of FINDS) {
    it(`${bad.length} of ${suspects.length}, from number ${bad[0]} on`, async () => {
      const { asked, accepts } = judge(...bad);
      deepStrictEqual(
        [...(await findOffenders(suspects, accepts))].sort((a, b) => a - b),
        bad,
      );
      ok(asked.count <= mostQuestions, `${asked.count} questions`);
    });
  }

  it('finds nobody when it does not help to hold back all', async () => {
    const { accepts } = judge(-1);
    deepStrictEqual(await findOffenders(NUMBERS, accepts), []);
    deepStrictEqual(await findOffenders([], accepts), []);
  });
});

describe('finding the refused of many', () => {
  for (const bad of [[], [0], [99], [41, 42]]) {
    it(`${bad.length} bad: ${bad.join(', ')}`, async () => {
      const first = await firstRefused(NUMBERS, async (items) => !items.some((item) => bad.includes(item)));
      strictEqual(first, bad[0]);
    });
  }
});
