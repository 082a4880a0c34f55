/** The cells of the path table of security-cases.md, and what random paths against Envoy have taught. */
import { deepStrictEqual } from 'node:assert/strict';
import { it } from 'node:test';
import { HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { normalizePath } from './path-normalization.ts';

const { KEEP_UNCHANGED, UNESCAPE_AND_FORWARD } = EscapedSlashes;
const NONE = { mergeSlashes: false, pathWithEscapedSlashesAction: KEEP_UNCHANGED };
const BASE = { ...NONE, normalizePath: true };
const MERGE = { ...BASE, mergeSlashes: true };
const DECODE = { ...MERGE, pathWithEscapedSlashesAction: UNESCAPE_AND_FORWARD };

/** Path under NONE, BASE, MERGE_SLASHES and DECODE_AND_MERGE_SLASHES; '400' for refused. */
const TABLE: readonly (readonly [path: string, ...expected: readonly [string, string, string, string]])[] = [
  ['/admin?x=1', '/admin?x=1', '/admin?x=1', '/admin?x=1', '/admin?x=1'],
  ['/admin#x', '/admin', '/admin', '/admin', '/admin'],
  ['//admin', '//admin', '//admin', '/admin', '/admin'],
  ['/./admin', '/./admin', '/admin', '/admin', '/admin'],
  ['/x/../admin', '/x/../admin', '/admin', '/admin', '/admin'],
  ['/%61dmin', '/%61dmin', '/admin', '/admin', '/admin'],
  ['/x/%2e%2e/admin', '/x/%2e%2e/admin', '/admin', '/admin', '/admin'],
  ['/%2fadmin', '/%2fadmin', '/%2fadmin', '/%2fadmin', '/admin'],
  ['/x%2f..%2fadmin', '/x%2f..%2fadmin', '/x%2f..%2fadmin', '/x%2f..%2fadmin', '/admin'],
  ['/admin/', '/admin/', '/admin/', '/admin/', '/admin/'],
  ['/admin;v=1', '/admin;v=1', '/admin;v=1', '/admin;v=1', '/admin;v=1'],
  ['/admin\\', '/admin\\', '/admin/', '/admin/', '/admin/'],
  ['/admin%00', '/admin%00', '400', '400', '400'],
  ['/x/..;v=1/admin', '/x/..;v=1/admin', '/admin', '/admin', '/admin'],
  ['/x/%2e%2e;v=1/admin', '/x/%2e%2e;v=1/admin', '/x/..;v=1/admin', '/x/..;v=1/admin', '/x/..;v=1/admin'],
  [
    '/a"<>^`{|}[]',
    '/a"<>^`{|}[]',
    '/a%22%3C%3E%5E%60%7B%7C%7D[]',
    '/a%22%3C%3E%5E%60%7B%7C%7D[]',
    '/a%22%3C%3E%5E%60%7B%7C%7D[]',
  ],
  ['/%0%61', '/%0%61', '/%250a', '/%250a', '/%250a'],
  ['///', '///', '///', '//', '//'],
  ['/a/..', '/a/..', '/', '/', '/'],
  ['/a/b/..', '/a/b/..', '/a/', '/a/', '/a/'],
  ['/a?b=../c%2f', '/a?b=../c%2f', '/a?b=../c%2f', '/a?b=../c%2f', '/a?b=../c%2f'],
];

for (const [path, ...expected] of TABLE) {
  it(path, () => {
    const actual = [NONE, BASE, MERGE, DECODE].map((settings) => {
      const normalized = normalizePath(settings, path);
      return normalized.kind === 'refused' ? '400' : normalized.path;
    });
    deepStrictEqual(actual, expected);
  });
}
