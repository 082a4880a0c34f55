/** The catalogue: every code has words, and a finding prints as two lines. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import {
  diagnosticCure,
  diagnosticEntries,
  istioCode,
  makeDiagnostic,
  printDiagnostic,
} from './diagnostic-catalog.ts';

test('a finding prints with place, code, object and path, and its cure on a second line', () => {
  const resource = { kind: 'VirtualService', namespace: 'default', name: 'reviews' };
  const finding = makeDiagnostic(
    'LTN1002',
    { resource, path: 'spec.hots' },
    { field: 'hots', suggestion: 'hosts' },
  );
  strictEqual(
    printDiagnostic({ ...finding, at: { file: 'a.yaml', line: 3, column: 5 } }),
    'a.yaml:3:5: error LTN1002: unknown field hots (VirtualService default/reviews, spec.hots)\n  Did you mean hosts?',
  );
});

test('the first cure of which all arguments are given is shown', () => {
  const cures = [
    { field: 'a' },
    { field: 'a', known: 'b, c' },
    { field: 'a', known: 'b', suggestion: 'b' },
  ].map((args) => diagnosticCure(makeDiagnostic('LTN1002', {}, args)));
  deepStrictEqual(cures, ['Remove the field.', 'Known fields here: b, c.', 'Did you mean b?']);
});

test('an argument that looks like a template is not filled again', () => {
  strictEqual(
    printDiagnostic(makeDiagnostic('LTN1001', {}, { problem: '{problem} $& {x}' })).split('\n')[0],
    'error LTN1001: the YAML cannot be read: {problem} $& {x}',
  );
});

test('findings have the code that istioctl analyze uses', () => {
  deepStrictEqual(
    (['IST0101', 'LTN1002', 'LTN2022', 'LTN1104'] as const).map((code) =>
      istioCode(makeDiagnostic(code, {})),
    ),
    ['IST0101', 'IST0106', 'IST0133', ''],
  );
});

test('every code has a text without loose ends, and codes of ours are numbered by range', () => {
  const odd = diagnosticEntries().filter(
    ([code, entry]) =>
      entry.text === '' ||
      /[{}]/.test(entry.text.replace(/\{[a-zA-Z]+\}/g, '')) ||
      !/^(?:LTN[1-5]\d{3}|IST\d{4})$/.test(code),
  );
  deepStrictEqual(odd, []);
});
