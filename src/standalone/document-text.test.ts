import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { appendDocument, removeDocument, replaceDocument, splitDocuments } from './document-text.ts';

const THREE = '# first\na: 1\n---\n# second\nb: |\n  text\n --- no marker\n---\nc: 3\n';

function texts(text: string): string[] {
  return splitDocuments(text).map(({ start, end }) => text.slice(start, end));
}

test('documents are parted at marker lines only, and keep their comments', () => {
  deepStrictEqual(texts(THREE), [
    '# first\na: 1\n',
    '\n# second\nb: |\n  text\n --- no marker\n',
    '\nc: 3\n',
  ]);
  deepStrictEqual(
    splitDocuments(THREE).map(({ line }) => line),
    [1, 3, 8],
  );
});

test('a text that begins with a marker has no document before it', () => {
  deepStrictEqual(texts('---\na: 1\n'), ['\na: 1\n']);
  deepStrictEqual(texts(''), ['']);
});

function place(text: string, index: number) {
  const found = splitDocuments(text)[index];
  if (found === undefined) throw new Error('no such document');
  return found;
}

test('exchanging one document leaves every other byte as it was', () => {
  strictEqual(
    replaceDocument(THREE, place(THREE, 1), '\n\nb: 5 # new\n\n'),
    '# first\na: 1\n---\nb: 5 # new\n---\nc: 3\n',
  );
  strictEqual(replaceDocument(THREE, place(THREE, 0), 'a: 2'), THREE.replace('# first\na: 1', 'a: 2'));
  strictEqual(replaceDocument(THREE, place(THREE, 2), 'c: 4\n'), THREE.replace('c: 3', 'c: 4'));
});

test('removing documents leaves the others, and nothing in the end', () => {
  strictEqual(
    removeDocument(THREE, place(THREE, 2)),
    '# first\na: 1\n---\n# second\nb: |\n  text\n --- no marker\n',
  );
  const twoLeft = removeDocument(THREE, place(THREE, 0));
  strictEqual(twoLeft, '---\n# second\nb: |\n  text\n --- no marker\n---\nc: 3\n');
  strictEqual(removeDocument('---\na: 1\n', place('---\na: 1\n', 0)), '');
});

test('a document more goes behind a marker, or alone into an empty file', () => {
  strictEqual(appendDocument('a: 1', 'b: 2'), 'a: 1\n---\nb: 2\n');
  strictEqual(appendDocument('', 'b: 2'), 'b: 2\n');
});
