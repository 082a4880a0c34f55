import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { HttpConnectionManager_PathWithEscapedSlashesAction as Slashes } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { HttpSettings } from '#scope/http-settings.ts';
import { type Manager, setPaths } from './connection-settings.ts';

const MODES = [
  ['NONE', false, false, Slashes.KEEP_UNCHANGED],
  ['BASE', true, false, Slashes.KEEP_UNCHANGED],
  ['MERGE_SLASHES', true, true, Slashes.KEEP_UNCHANGED],
  ['DECODE_AND_MERGE_SLASHES', true, true, Slashes.UNESCAPE_AND_FORWARD],
] as const;

for (const [pathNormalization, normalizePath, mergeSlashes, pathWithEscapedSlashesAction] of MODES) {
  test(`paths under ${pathNormalization}, every part of it said`, () => {
    const manager: Manager = {};
    setPaths({ pathNormalization, connections: {} } as HttpSettings, manager);
    deepStrictEqual(manager, { normalizePath, mergeSlashes, pathWithEscapedSlashesAction });
  });
}
