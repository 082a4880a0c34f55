/** YAML as kubectl and istioctl read it, document by document, within bounds. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { parseDocuments } from './yaml-documents.ts';
import { locate } from './yaml-position.ts';

function valueOf(yaml: string): unknown {
  return (parseDocuments(`v: ${yaml}`, 'f')[0]?.value as { v: unknown } | undefined)?.v;
}

const SCALARS: readonly (readonly [yaml: string, value: unknown])[] = [
  ['yes', true],
  ['On', true],
  ['y', true],
  ['NO', false],
  ['off', false],
  ['n', false],
  ['yES', 'yES'],
  ['"yes"', 'yes'],
  ['~', null],
  ['', null],
  ['010', 8],
  ['0o10', 8],
  ['08', 8],
  ['0x1F', 31],
  ['0b11', 3],
  ['-0b11', -3],
  ['1_000', 1000],
  ['+5', 5],
  ['1e3', 1000],
  ['.5', 0.5],
  ['1.', 1],
  ['-1.50', -1.5],
  ['1:20', '1:20'],
  ['2020-01-01', '2020-01-01'],
  ['2020-01-01T00:00:00Z', '2020-01-01T00:00:00Z'],
  ['1.2.3', '1.2.3'],
  ['0.1.0', '0.1.0'],
  ['1s', '1s'],
  ['!!str 1', '1'],
];

for (const [yaml, value] of SCALARS) {
  test(`the word ${yaml || '(nothing)'} is ${JSON.stringify(value)}`, () => {
    strictEqual(valueOf(yaml), value);
  });
}

test('keys are texts, whatever word they are', () => {
  const [document] = parseDocuments('on: 1\n1.0: 2\n010: 3\n"n": 4\n', 'f');
  deepStrictEqual(document?.value, { true: 1, '1': 2, '8': 3, n: 4 });
});

test('merge keys and aliases are resolved', () => {
  const [document] = parseDocuments('a: &a {x: 1, z: 2}\nb: {<<: *a, z: 3}\nc: *a\n', 'f');
  deepStrictEqual(document?.value, { a: { x: 1, z: 2 }, b: { x: 1, z: 3 }, c: { x: 1, z: 2 } });
});

test('empty documents are skipped and not counted', () => {
  const documents = parseDocuments('---\n# nothing\n---\na: 1\n---\n---\n~\n---\nb: 2\n...\n', 'f');
  deepStrictEqual(documents, [
    { index: 0, value: { a: 1 } },
    { index: 1, value: { b: 2 } },
  ]);
});

test('directives belong to the document behind them', () => {
  deepStrictEqual(parseDocuments('# c\n%YAML 1.1\n---\na: 1\n', 'f'), [{ index: 0, value: { a: 1 } }]);
});

test('JSON is read as YAML, with its duplicate keys found', () => {
  deepStrictEqual(parseDocuments('{\n\t"a": [1, true, null]\n}', 'f'), [
    { index: 0, value: { a: [1, true, null] } },
  ]);
  deepStrictEqual(parseDocuments('{"a": 1, "a": 2}', 'f.json')[0]?.diagnostic?.at, {
    file: 'f.json',
    line: 1,
    column: 11,
  });
});

test('a broken document says where, and the others are read', () => {
  const documents = parseDocuments('a: 1\n---\nb:\n  - c: "x\n---\nd: 1\n', 'f');
  deepStrictEqual(
    documents.map(({ index, value, diagnostic }) => [index, value, diagnostic?.code, diagnostic?.at?.line]),
    [
      [0, { a: 1 }, undefined, undefined],
      [1, undefined, 'LTN1001', 5],
      [2, { d: 1 }, undefined, undefined],
    ],
  );
});

test('a key named __proto__ is a key', () => {
  const [document] = parseDocuments('__proto__: {polluted: true}\n', 'f');
  deepStrictEqual(Object.keys(document?.value as object), ['__proto__']);
  strictEqual(({} as { polluted?: boolean }).polluted, undefined);
});

/** Each line has ten times the line before. */
function bomb(lines: number): string {
  const line = (i: number): string =>
    `a${i}: &a${i} [${Array(10)
      .fill(`*a${i - 1}`)
      .join(', ')}]\n`;
  return `a0: &a0 x\n${Array.from({ length: lines }, (_, i) => line(i + 1)).join('')}`;
}

const TOO_MUCH: readonly (readonly [name: string, text: string, code: string])[] = [
  ['more than 8 MiB', '#'.repeat(8 * 1024 * 1024 + 1), 'LTN1202'],
  ['100,000 levels of lists', '['.repeat(100_000), 'LTN1001'],
  ['100,000 levels of maps', `${'{a: '.repeat(100_000)}`, 'LTN1001'],
  ['aliases that stand for ten billion values', bomb(10), 'LTN1207'],
  ['aliases of themselves', 'a: &a [*a]\n', 'LTN1208'],
  ['20,000 documents', '---\na: 1\n'.repeat(20_000), 'LTN1206'],
];

for (const [name, text, code] of TOO_MUCH) {
  test(`T27: ${name} are refused`, () => {
    const startedMs = performance.now();
    strictEqual(parseDocuments(text, 'f').at(-1)?.diagnostic?.code, code);
    ok(performance.now() - startedMs < 1_000, `${performance.now() - startedMs} ms`);
  });
}

const PLACES: readonly (readonly [path: string, line: number, column: number])[] = [
  ['kind', 3, 7],
  ['spec', 4, 1],
  ['spec.http[0].match[0].uri.prefix', 7, 21],
  ['spec.http[0].route', 8, 5],
  ['spec.http[0].route[0].destination.host', 10, 15],
  ['spec.http[0].headers["x-a b"]', 11, 24],
  ['spec.http[0].timeout', 6, 5],
  ['nothing.at.all', 2, 1],
];

const TEXT = `# comment
apiVersion: v1
kind: X
spec:
  http:
  - match:
    - uri: {prefix: /a}
    route:
    - destination:
        host: "x"
    headers: {"x-a b": 1}
`;

for (const [path, line, column] of PLACES) {
  test(`${path} is found at ${line}:${column}`, () => {
    deepStrictEqual(locate(TEXT, 0, path), { line, column });
  });
}
