/** Findings about texts: each with file, line, column, field path and cure. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { diagnosticCure, diagnosticText, printDiagnostic } from '#base/diagnostic-catalog.ts';
import { TextSet } from './text-set.ts';

function setOf(texts: Readonly<Record<string, string>>): TextSet {
  const set = new TextSet({ defaultNamespace: 'default', readText: (file) => texts[file] });
  for (const [file, text] of Object.entries(texts)) set.put(file, text);
  return set;
}

const BAD_TEXTS: readonly (readonly [name: string, text: string, printed: string])[] = [
  [
    'YAML that cannot be parsed',
    'apiVersion: v1\nkind: Service\nmetadata: {name: a\n',
    'f.yaml:4:1: error LTN1001: the YAML cannot be read: deficient indentation\n  Correct the syntax here; what this document said before stays in force.',
  ],
  [
    'an unknown field',
    'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: reviews\nspec:\n  hosts: [reviews]\n  http:\n  - rout:\n    - destination: {host: reviews}\n    redirect: {uri: /x}\n',
    'f.yaml:8:5: error LTN1002: unknown field rout (VirtualService default/reviews, spec.http[0].rout)\n  Did you mean route?',
  ],
  [
    'a value of the wrong type',
    'apiVersion: v1\nkind: Service\nmetadata:\n  name: reviews\n  labels:\n    version: 1.0\nspec:\n  ports: [{port: 80}]\n',
    'f.yaml:6:14: error LTN1003: a text wanted, found the number 1 (Service default/reviews, metadata.labels.version)\n  Put quotes around the value, like "1".',
  ],
  [
    'an unknown kind',
    'apiVersion: networking.istio.io/v1\nkind: VirtualServce\nmetadata: {name: reviews}\n',
    'f.yaml:2:7: error LTN1103: unknown kind "VirtualServce" (kind)\n  Did you mean VirtualService?',
  ],
  [
    'a duplicate in one file',
    'apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n',
    'f.yaml:8:9: error LTN1201: Namespace a is already defined in f.yaml (Namespace a, metadata.name)\n  Remove one of the two; until then the one in f.yaml counts.',
  ],
  [
    'a duplicate key',
    'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  name: b\n',
    'f.yaml:5:3: error LTN1001: the YAML cannot be read: duplicated mapping key\n  Correct the syntax here; what this document said before stays in force.',
  ],
];

for (const [name, text, printed] of BAD_TEXTS) {
  test(`${name} is reported with file, line, column, path and cure`, () => {
    deepStrictEqual(setOf({ 'f.yaml': text }).diagnostics().map(printDiagnostic), [printed]);
  });
}

test('the same object in two files is reported in the one that does not count, naming both', () => {
  const text = 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n';
  const [finding] = setOf({ 'b.yaml': text, 'a.yaml': `# first\n${text}` }).diagnostics();
  deepStrictEqual(finding?.at, { file: 'b.yaml', line: 4, column: 9 });
  strictEqual(diagnosticText(finding), 'Namespace a is already defined in a.yaml');
  strictEqual(diagnosticCure(finding), 'Remove one of the two; until then the one in a.yaml counts.');
});

test('one bad document keeps the others of its file', () => {
  const text = 'a: [\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: good}\n---\n{{{\n';
  const set = setOf({ 'f.yaml': text });
  const batch = set.takeBatch();
  deepStrictEqual(
    [
      batch?.set.map((object) => object.name),
      batch?.diagnostics.map((finding) => [finding.code, finding.at?.line]),
    ],
    [
      ['good'],
      [
        ['LTN1001', 2],
        ['LTN1001', 8],
      ],
    ],
  );
});

test('hostile texts are refused in bounded time', () => {
  const names = 'abcdefghij'.split('');
  const bomb = names
    .map((name, i) => `${name}: &${name} [${i === 0 ? 'x' : `*${names[i - 1]}, `.repeat(9)}]`)
    .join('\n');
  const deep = '['.repeat(100_000);
  const set = setOf({ 'bomb.yaml': bomb, 'deep.yaml': deep, 'loop.yaml': 'a: &a [*a]' });
  deepStrictEqual(
    set.diagnostics().map((finding) => [finding.at?.file, finding.code]),
    [
      ['bomb.yaml', 'LTN1207'],
      ['deep.yaml', 'LTN1001'],
      ['loop.yaml', 'LTN1208'],
    ],
  );
});

test('labels named like members of JavaScript objects are labels', () => {
  const text =
    'apiVersion: lateen.dev/v1alpha1\nkind: LocalWorkload\nmetadata: {name: a, labels: {constructor: x, toString: z}}\nspec: {command: [run]}\n';
  const [object] = setOf({ 'f.yaml': text }).takeBatch()?.set ?? [];
  deepStrictEqual(Object.entries(object?.labels ?? {}), [
    ['constructor', 'x'],
    ['toString', 'z'],
  ]);
  strictEqual(object?.labels['hasOwnProperty'], undefined);
});
