import { deepStrictEqual, match } from 'node:assert/strict';
import { test } from 'node:test';
import { chooseMesh } from './mesh-search.ts';

const a = { dir: '/home/a', pid: 1, socket: '/a.sock' };
const b = { dir: '/home/a/inner', pid: 2, socket: '/b.sock' };

test('a named mesh is taken, or said not to run', () => {
  deepStrictEqual(chooseMesh([a, b], '/home/a', '/'), { ok: true, value: a });
  const missing = chooseMesh([a], '/other', '/');
  match(missing.ok ? '' : missing.error, /no mesh is running from \/other/);
});

test('without a name it is the mesh around the current folder, the nearest one first', () => {
  deepStrictEqual(chooseMesh([a, b], '', '/home/a/inner/deep'), { ok: true, value: b });
  deepStrictEqual(chooseMesh([a, b], '', '/home/a'), { ok: true, value: a });
});

test('elsewhere it is the only one, and several have to be told apart', () => {
  deepStrictEqual(chooseMesh([a], '', '/'), { ok: true, value: a });
  const several = chooseMesh([a, b], '', '/home/ab');
  match(several.ok ? '' : several.error, /--dir \/home\/a\n {2}--dir \/home\/a\/inner/);
  const none = chooseMesh([], '', '/');
  match(none.ok ? '' : none.error, /no mesh is running/);
});
