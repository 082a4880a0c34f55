/** Sharing by content and by identity. */
import { deepStrictEqual, notStrictEqual, strictEqual, throws } from 'node:assert';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Secret } from '#base/secret.ts';
import { identityMemo } from './identity-memo.ts';
import { Interner } from './interner.ts';

interface Input {
  readonly name: string;
  readonly ports: readonly number[];
}

function build({ name, ports }: Input): { readonly text: string } {
  return { text: `${name}:${ports.join('+')}` };
}

test('equal inputs give the same object, built once', () => {
  const interner = new Interner();
  const first = interner.intern('build', { name: 'a', ports: [1] }, build);
  const again = interner.intern('build', { ports: [1], name: 'a' }, build);
  strictEqual(again, first);
  deepStrictEqual([first, interner.encoded, interner.reused, interner.size], [{ text: 'a:1' }, 1, 1, 1]);
});

test('other inputs and other builders give other objects', () => {
  const interner = new Interner();
  const results = [
    interner.intern('build', { name: 'a', ports: [1] }, build),
    interner.intern('build', { name: 'a', ports: [2] }, build),
    interner.intern('other', { name: 'a', ports: [1] }, build),
  ];
  deepStrictEqual([new Set(results).size, interner.encoded], [3, 3]);
});

test('frozen inputs find out a builder that writes to them', () => {
  const interner = new Interner({ freezeInputs: true });
  const input = { name: 'a', ports: [3, 1] };
  throws(
    () => interner.intern('sorting', input, ({ ports }) => ({ ports: (ports as number[]).sort() })),
    TypeError,
  );
});

test('a secret is no input: all of them look the same', () => {
  const interner = new Interner();
  throws(() => interner.intern('build', { key: new Secret('s') }, () => ({})), TypeError);
});

test('a builder that throws leaves nothing behind', () => {
  const interner = new Interner();
  const input = { name: 'a', ports: [] };
  throws(() =>
    interner.intern('build', input, () => {
      throw new Error('no');
    }),
  );
  deepStrictEqual([interner.size, interner.intern('build', input, build)], [0, { text: 'a:' }]);
});

test('a result that nobody holds goes, and is built again when asked for', async () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const interner = new Interner();
  const kept = interner.intern('build', { name: 'kept', ports: [] }, build);
  for (let i = 0; i < 100; i++) interner.intern('build', { name: 'gone', ports: [i] }, build);
  for (let turns = 0; interner.size > 1 && turns < 1000; turns++) {
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
  }
  deepStrictEqual(
    [interner.size, interner.intern('build', { name: 'kept', ports: [] }, build) === kept],
    [1, true],
  );
  interner.intern('build', { name: 'gone', ports: [0] }, build);
  deepStrictEqual([interner.encoded, interner.reused], [102, 1]);
});

test('identityMemo remembers by all of its arguments', () => {
  let calls = 0;
  const pair = identityMemo((a: object, b: object) => {
    calls++;
    return [a, b] as const;
  });
  const [x, y, z] = [{}, {}, {}];
  strictEqual(pair(x, y), pair(x, y));
  notStrictEqual(pair(x, y), pair(x, z));
  notStrictEqual(pair(x, y), pair(y, x));
  strictEqual(calls, 3);
});

test('identityMemo takes one to three arguments and remembers undefined', () => {
  let calls = 0;
  const one = identityMemo((_a: object) => {
    calls++;
    return undefined;
  });
  const three = identityMemo((_a: object, _b: object, _c: object) => ++calls);
  const [x, y] = [{}, {}];
  deepStrictEqual([one(x), one(x), calls], [undefined, undefined, 1]);
  deepStrictEqual([three(x, y, x), three(x, y, x), three(x, y, y)], [2, 2, 3]);
});
