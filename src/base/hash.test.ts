/** Known hashes. */
import { deepStrictEqual, notStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { hashHex, sha256Hex } from './hash.ts';
import { keyHash } from './key-hash.ts';

test('hashes are those of SHA-256 over UTF-8', () => {
  const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  deepStrictEqual([sha256Hex('abc'), hashHex('abc')], [abc, abc.slice(0, 16)]);
  strictEqual(sha256Hex('é'), sha256Hex(Buffer.from('é')));
});

test('key hashes depend on every character and on the length, and spread', () => {
  strictEqual(keyHash('service-1'), keyHash(`service-${1}`));
  for (const [a, b] of [
    ['', '\0'],
    ['a', 'a\0'],
    ['ab', 'ba'],
    ['abc', 'abd'],
  ] as const) {
    notStrictEqual(keyHash(a), keyHash(b));
  }
  const hashes = new Set(Array.from({ length: 10_000 }, (_, i) => keyHash(`service-${i}`)));
  ok(hashes.size > 9_990, `${hashes.size} of 10000`);
  const negative = [...hashes].filter((hash) => hash < 0).length;
  ok(negative > 4_500 && negative < 5_500, `${negative} negative`);
});
