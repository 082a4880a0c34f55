/** The page of security cases tells the truth: every case is there, and the tests that it names have its number in theirs. */
import { deepStrictEqual } from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..');
const CASES = 41;
const ROW = /^\| T(\d+) \|[^|]*\|([^|]*)\|([^|]*)\|$/gm;

const page = readFileSync(join(root, 'docs', 'security-cases.md'), 'utf8');
const rows = Array.from(page.matchAll(ROW), ([, number = '', tests = '', open = '']) => ({
  number: Number(number),
  tests: Array.from(tests.matchAll(/`([^`]+)`/g), ([, file = '']) => file),
  isOpen: open.trim() !== '',
}));

test('every security case has a row, with tests or with what they wait for', () => {
  deepStrictEqual(
    rows.map(({ number }) => number),
    Array.from({ length: CASES }, (_, i) => i + 1),
  );
  deepStrictEqual(
    rows.filter(({ tests, isOpen }) => tests.length === 0 && !isOpen),
    [],
  );
});

test('the tests that the page names carry the number of the case', () => {
  const untrue = rows.flatMap(({ number, tests }) =>
    tests.filter((file) => {
      const path = join(root, file);
      return !existsSync(path) || !new RegExp(`\\bT${number}\\b`).test(readFileSync(path, 'utf8'));
    }),
  );
  deepStrictEqual(untrue, []);
});
