import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { FileEdits, withNamespace } from './file-edits.ts';

const TWO = `# the way to reviews
kind: VirtualService
metadata: { name: reviews }
spec: { hosts: [reviews] } # all of them
---
kind: VirtualService
metadata: { name: ratings, namespace: shop }
`;
const reviews = { kind: 'VirtualService', namespace: 'default', name: 'reviews' };
const ratings = { kind: 'VirtualService', namespace: 'shop', name: 'ratings' };

function edits(files: Record<string, string>): FileEdits {
  return new FileEdits((file) => files[file] ?? '');
}

test('an object is exchanged where it stands, its neighbours keep their comments', () => {
  const some = edits({ 'a.yaml': TWO });
  some.put(
    'a.yaml',
    ratings,
    'kind: VirtualService\nmetadata: { name: ratings, namespace: shop, labels: { x: y } }',
  );
  const text = some.changes.get('a.yaml') ?? '';
  strictEqual(text, TWO.replace('namespace: shop }', 'namespace: shop, labels: { x: y } }'));
});

test('several changes of one file add up', () => {
  const some = edits({ 'a.yaml': TWO });
  strictEqual(some.remove('a.yaml', reviews), true);
  strictEqual(some.remove('a.yaml', reviews), false);
  some.put('a.yaml', { ...reviews, name: 'new' }, 'kind: VirtualService\nmetadata: { name: new }');
  strictEqual(
    some.changes.get('a.yaml'),
    '---\nkind: VirtualService\nmetadata: { name: ratings, namespace: shop }\n---\nkind: VirtualService\nmetadata: { name: new }\n',
  );
});

test('a file without objects left is to go', () => {
  const some = edits({ 'a.yaml': TWO });
  some.remove('a.yaml', reviews);
  some.remove('a.yaml', ratings);
  deepStrictEqual([...some.changes], [['a.yaml', '']]);
});

test('an item of a List is exchanged and removed within it', () => {
  const list =
    'apiVersion: v1\nkind: List\nitems:\n  # keep\n  - kind: Service\n    metadata: { name: a }\n  - kind: Service\n    metadata: { name: b }\n';
  const some = edits({ 'l.yaml': list });
  const b = { kind: 'Service', namespace: 'default', name: 'b' };
  strictEqual(some.find('l.yaml', b)?.text, 'kind: Service\nmetadata: { name: b }\n');
  some.put('l.yaml', b, 'kind: Service\nmetadata: { name: b, labels: { x: y } }');
  strictEqual(some.changes.get('l.yaml'), list.replace('name: b }', 'name: b, labels: { x: y } }'));
  some.remove('l.yaml', { ...b, name: 'a' });
  some.remove('l.yaml', b);
  strictEqual(some.changes.get('l.yaml'), '');
});

test('a namespace is written only into objects that name none', () => {
  strictEqual(
    withNamespace('metadata:\n  name: a # mine\n', 'shop'),
    'metadata:\n  name: a # mine\n  namespace: shop\n',
  );
  strictEqual(
    withNamespace('metadata: { name: a, namespace: x }', 'shop'),
    'metadata: { name: a, namespace: x }',
  );
});
