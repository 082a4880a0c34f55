/** Addresses in statuses: written by the one that leads, once, and nothing else is touched. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { after, before, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { toDisposable } from '#base/disposable.ts';
import { silentLogger } from '#base/logger.ts';
import { seededRng } from '#base/rng.ts';
import { createEngine } from '#collections/engine.ts';
import type { KubeObject } from '#kube/api-resource.ts';
import { ApiServerFixture } from '#kube/api-server-fixture.ts';
import { KubeClient } from '#kube/kube-client.ts';
import type { AddressRecord } from '#model/address-record.ts';
import { AddressRecords } from './address-records.ts';

const ENTRIES = { group: 'networking.istio.io', plural: 'serviceentries' };
const KEY = 'shop/db';
const RECORD: AddressRecord = [{ host: 'db.com', value: '240.240.1.1' }];
const ENTRY: KubeObject = { metadata: { namespace: 'shop', name: 'db' }, spec: { hosts: ['db.com'] } };

const server = new ApiServerFixture();
let client: KubeClient;

before(async () => {
  await server.start();
  client = new KubeClient(server.target, { clock: systemClock(), env: {}, userAgent: 'test' });
});

after(async () => {
  client[Symbol.dispose]();
  await server.stop();
});

function rig(isLeader: boolean) {
  const engine = createEngine();
  const records = engine.source<AddressRecord>('records');
  const vote = { isLeader, changed: () => {} };
  const controller = new AddressRecords({
    client,
    leadership: {
      get isLeader() {
        return vote.isLeader;
      },
      watch(changed) {
        vote.changed = changed;
        return toDisposable(() => {});
      },
    },
    engine,
    records,
    version: () => 'v1',
    clock: systemClock(),
    rng: seededRng(1),
    log: silentLogger(),
  });
  const set = (key: string, record: AddressRecord): void => {
    records.set(key, record);
    engine.settle();
  };
  const lead = (): void => {
    vote.isLeader = true;
    vote.changed();
  };
  return { set, lead, [Symbol.dispose]: () => controller[Symbol.dispose]() };
}

const status = () => server.get(ENTRIES, KEY)?.['status'];
const isRecorded = () => JSON.stringify(status() ?? '').includes('240.240.1.1');

test('the leader writes, and what else the status says stays', async () => {
  server.put(ENTRIES, { ...ENTRY, status: { conditions: [{ type: 'x' }] } });
  using records = rig(true);
  records.set(KEY, RECORD);
  await server.until(isRecorded);
  deepStrictEqual(status(), { conditions: [{ type: 'x' }], addresses: RECORD });
});

test('who does not lead writes nothing, until it leads', async () => {
  server.put(ENTRIES, { ...ENTRY, status: undefined });
  const before = server.requests.length;
  using records = rig(false);
  records.set(KEY, RECORD);
  strictEqual(server.requests.length, before);
  records.lead();
  await server.until(isRecorded);
});

test('what stands there already is not written again', async () => {
  server.put(ENTRIES, { ...ENTRY, status: { addresses: RECORD } });
  const version = server.get(ENTRIES, KEY)?.metadata.resourceVersion;
  const before = server.requests.length;
  using records = rig(true);
  records.set(KEY, RECORD);
  records.set('shop/gone', RECORD);
  await server.until(() => server.requests.length >= before + 2);
  strictEqual(server.get(ENTRIES, KEY)?.metadata.resourceVersion, version);
});
