/** A secret does not get out by any way of printing. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { inspect } from 'node:util';
import { test } from 'node:test';
import { deepEqual } from './deep-equal.ts';
import { Secret } from './secret.ts';

test('every way of printing gives [redacted]', () => {
  const secret = new Secret('s3cret');
  const texts = [
    `${secret}`,
    String(secret),
    `${[secret]}`,
    JSON.stringify({ secret }),
    inspect(secret),
    inspect({ nested: { deep: [secret] } }, { depth: 9, showHidden: true }),
    JSON.stringify(Object.entries(secret)),
    JSON.stringify({ ...secret }),
  ];
  deepStrictEqual(
    texts.filter((text) => text.includes('s3cret')),
    [],
  );
  strictEqual(
    texts.slice(0, 6).every((text) => text.includes('[redacted]')),
    true,
  );
});

test('reveal gives the value, equality compares it', () => {
  strictEqual(new Secret('a').reveal(), 'a');
  const bytes = (n: number) => new Secret(new Uint8Array([n]));
  deepStrictEqual(
    [
      deepEqual(new Secret('a'), new Secret('a')),
      deepEqual(new Secret('a'), new Secret('b')),
      deepEqual(bytes(1), bytes(1)),
      deepEqual(bytes(1), bytes(2)),
    ],
    [true, false, true, false],
  );
});
