import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_MESH_FLAGS, readMeshFlags } from './mesh-flags.ts';

test('without variables all flags have their defaults', () => {
  deepStrictEqual(readMeshFlags({ PATH: '/bin' }), { flags: DEFAULT_MESH_FLAGS, unreadable: [] });
  strictEqual(DEFAULT_MESH_FLAGS.http10, false);
  strictEqual(DEFAULT_MESH_FLAGS.gatewayHandshakeTimeoutMs, 15_000);
});

const cases: readonly (readonly [keyof typeof DEFAULT_MESH_FLAGS, string, string, unknown])[] = [
  ['http10', 'PILOT_HTTP10', 'true', true],
  ['http10', 'PILOT_HTTP10', '1', true],
  ['mongoFilter', 'PILOT_ENABLE_MONGO_FILTER', 'F', false],
  ['connectionsPerSocketEvent', 'MAX_CONNECTIONS_PER_SOCKET_EVENT_LOOP', '0', 0],
  ['gatewayHandshakeTimeoutMs', 'PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT', '1m1.5s', 61_500],
  ['traceSampling', 'PILOT_TRACE_SAMPLING', '0', 0],
  ['traceSampling', 'PILOT_TRACE_SAMPLING', '12.5', 12.5],
  ['traceSampling', 'PILOT_TRACE_SAMPLING', '1e2', 100],
  ['persistentSessionLabel', 'PILOT_PERSISTENT_SESSION_LABEL', '', ''],
];

for (const [flag, variable, text, expected] of cases) {
  test(`${variable}=${text} is read`, () => {
    const { flags, unreadable } = readMeshFlags({ [variable]: text });
    deepStrictEqual([flags[flag], unreadable], [expected, []]);
  });
}

const refused: readonly (readonly [string, string])[] = [
  ['PILOT_HTTP10', 'yes'],
  ['MAX_CONNECTIONS_PER_SOCKET_EVENT_LOOP', '-1'],
  ['MAX_CONNECTIONS_PER_SOCKET_EVENT_LOOP', '1e3'],
  ['PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT', '-1s'],
  ['PILOT_TRACE_SAMPLING', '-0.5'],
  ['PILOT_TRACE_SAMPLING', '100.1'],
  ['PILOT_TRACE_SAMPLING', 'all'],
];

for (const [variable, text] of refused) {
  test(`${variable}=${text} cannot be read, and leaves the default`, () => {
    deepStrictEqual(readMeshFlags({ [variable]: text }), {
      flags: DEFAULT_MESH_FLAGS,
      unreadable: [variable],
    });
  });
}

test('an empty text of a flag that is no text is no value', () => {
  deepStrictEqual(readMeshFlags({ PILOT_HTTP10: '' }), { flags: DEFAULT_MESH_FLAGS, unreadable: [] });
});
