import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { countConnections } from './active-connections.ts';

const STATS = `http.inbound_0.0.0.0_80;.downstream_cx_active: 7
listener.0.0.0.0_15006.downstream_cx_active: 2
listener.0.0.0.0_15006.worker_0.downstream_cx_active: 1
listener.0.0.0.0_15021.downstream_cx_active: 4
listener.admin.downstream_cx_active: 1
listener.admin.main_thread.downstream_cx_active: 1
listener.envoy_internal_connect_originate.downstream_cx_active: 3
listener.10.0.0.1_80.downstream_cx_active: 1
`;

test('clients of listeners count, once, and not those of the own doors', () => {
  deepStrictEqual(
    [
      countConnections(STATS, ['0.0.0.0_15021']),
      countConnections(STATS, []),
      countConnections('', ['0.0.0.0_15021']),
    ],
    [3, 7, undefined],
  );
});
