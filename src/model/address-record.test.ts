/** What is to stand in statuses of ServiceEntries: what the mesh uses, and nothing where that stands there already. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { MeshObject } from '#api/mesh-object.ts';
import type { ObjectStatus } from '#api/object-status.ts';
import type { ServiceEntrySpec } from '#api/service-entry.ts';
import { createAddressRecords } from './address-record.ts';
import { serviceEntry, serviceModelRig } from './service-model-rig.ts';

type Entry = MeshObject<ServiceEntrySpec>;

function withStatus(entry: Entry, addresses: NonNullable<ObjectStatus['addresses']>): Entry {
  return { ...entry, status: { addresses }, hash: `${entry.hash}${JSON.stringify(addresses)}` };
}

/** The mesh with what is to be recorded. */
function rig(...entries: readonly Entry[]) {
  const { engine, model, apply } = serviceModelRig();
  const objects = engine.source<Entry>('recorded', { equals: (a, b) => a.hash === b.hash });
  const records = createAddressRecords(engine, objects, model.allocatedAddresses);
  const set = (...changed: readonly Entry[]): void => {
    for (const entry of changed) objects.set(`${entry.namespace}/${entry.name}`, entry);
    apply(...changed);
  };
  set(...entries);
  const due = () => Object.fromEntries(records.all());
  const addressesOf = (host: string) => model.services.get(`default/${host}`)?.autoAllocatedAddresses ?? [];
  return { set, due, addressesOf };
}

const db = serviceEntry('db', { hosts: ['db.com', 'db.com', '*.db.com'], resolution: 'DNS' });

test('each host is recorded with the addresses that the mesh uses, until they stand there', () => {
  const { due, addressesOf, set } = rig(db);
  const addresses = addressesOf('db.com').map((value) => ({ host: 'db.com', value }));
  strictEqual(addresses.length, 2);
  deepStrictEqual(due(), { 'default/db': addresses });
  set(withStatus(db, addresses.toReversed()));
  deepStrictEqual(due(), {});
});

test('what is recorded stays, and a host that comes is added', () => {
  const recorded = [{ host: 'db.com', value: '240.240.9.9' }];
  const both = serviceEntry('db', { hosts: ['db.com', 'new.com'], resolution: 'DNS' });
  const { due, addressesOf } = rig(withStatus(both, recorded));
  const added = addressesOf('new.com').map((value) => ({ host: 'new.com', value }));
  deepStrictEqual(due(), { 'default/db': [...recorded, ...added] });
});

test('a host that has gone is taken out, and all where nobody uses such addresses', () => {
  const recorded = [
    { host: 'db.com', value: '240.240.9.9' },
    { host: 'old.com', value: '240.240.9.8' },
  ];
  const own = serviceEntry('own', { hosts: ['own.com'], resolution: 'DNS', addresses: ['10.0.0.1'] });
  const none = serviceEntry('none', { hosts: ['none.com'], resolution: 'NONE' });
  const { due } = rig(
    withStatus(serviceEntry('db', { hosts: ['db.com'], resolution: 'DNS' }), recorded),
    withStatus(own, [{ host: 'own.com', value: '240.240.1.1' }]),
    none,
  );
  deepStrictEqual(due(), { 'default/db': [recorded[0]], 'default/own': [] });
});

test('of two that have one address on record the older keeps it, and the other one gets a new one', () => {
  const shared = '240.240.7.7';
  const entry = (name: string, createdAtMs: number): Entry =>
    withStatus(serviceEntry(name, { hosts: [`${name}.com`], resolution: 'DNS' }, { createdAtMs }), [
      { host: `${name}.com`, value: shared },
    ]);
  const { due, addressesOf } = rig(entry('a', 9), entry('b', 3));
  deepStrictEqual(addressesOf('b.com'), [shared]);
  strictEqual(addressesOf('a.com').includes(shared), false);
  deepStrictEqual(Object.keys(due()), ['default/a']);
});

test('an object that the mesh does not know keeps what is recorded for it', () => {
  const { engine, model } = serviceModelRig();
  const objects = engine.source<Entry>('recorded');
  const records = createAddressRecords(engine, objects, model.allocatedAddresses);
  const held = serviceEntry('held', { hosts: ['held.com'], resolution: 'DNS' });
  objects.set('default/held', withStatus(held, [{ host: 'held.com', value: '240.240.1.2' }]));
  engine.settle();
  strictEqual(records.size, 0);
});
