/** Registered entries at an API server: made with an owner, changed in the version that was read, their health in their status. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { after, before, beforeEach, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { WorkloadGroupSpec } from '#api/workload-group.ts';
import type { KubeObject } from '#kube/api-resource.ts';
import { ApiServerFixture } from '#kube/api-server-fixture.ts';
import { KubeClient } from '#kube/kube-client.ts';
import { entryFromGroup } from '#model/workload-registration.ts';
import type { StoredEntry } from './entry-store.ts';
import { KubeEntries } from './kube-entries.ts';
import { decoded, ENTRY, GROUP, machine } from './registration-rig.ts';

const ENTRIES = { group: 'networking.istio.io', plural: 'workloadentries' };
const GROUPS = { group: 'networking.istio.io', plural: 'workloadgroups' };

const server = new ApiServerFixture();
let client: KubeClient;
let entries: KubeEntries;
const group = decoded(GROUP) as MeshObject<WorkloadGroupSpec>;
const document = entryFromGroup(machine(), group, 'vms-10.1.2.3');

before(async () => {
  await server.start();
  client = new KubeClient(server.target, { clock: systemClock(), env: {}, userAgent: 'test' });
  entries = new KubeEntries(client, () => 'v1');
});

after(async () => {
  client[Symbol.dispose]();
  await server.stop();
});

beforeEach(() => {
  server.remove(ENTRIES, ENTRY);
  server.put(GROUPS, GROUP as KubeObject);
});

async function read(): Promise<StoredEntry> {
  const entry = await entries.read(ENTRY);
  if (entry === undefined) throw new Error('not there');
  return entry;
}

test('an entry is made once, and belongs to its group', async () => {
  strictEqual(await entries.read(ENTRY), undefined);
  strictEqual(await entries.create(document, group), true);
  strictEqual(await entries.create(document, group), false);
  const { metadata } = server.get(ENTRIES, ENTRY) as KubeObject;
  const { uid } = (server.get(GROUPS, 'shop/vms') as KubeObject).metadata;
  deepStrictEqual(metadata['ownerReferences'], [
    { apiVersion: 'networking.istio.io/v1', kind: 'WorkloadGroup', name: 'vms', uid, controller: true },
  ]);
});

test('without its group no entry is made', async () => {
  server.remove(GROUPS, 'shop/vms');
  strictEqual(await entries.create(document, group), false);
});

test('annotations change, and nothing else; only in the version that was read', async () => {
  await entries.create(document, group);
  const first = await read();
  strictEqual(await entries.annotate(ENTRY, first, { team: 'a' }), true);
  const now = await read();
  deepStrictEqual([now.annotations, now.spec], [{ team: 'a' }, first.spec]);
  strictEqual(await entries.annotate(ENTRY, first, { team: 'b' }), false);
});

test('health is a condition among others', async () => {
  await entries.create(document, group);
  const other = { type: 'Reconciled', status: 'True' };
  server.put(ENTRIES, { ...(server.get(ENTRIES, ENTRY) as KubeObject), status: { conditions: [other] } });
  const health = { type: 'Healthy', status: 'False', message: 'connection refused' };
  strictEqual(await entries.setHealth(ENTRY, await read(), health), true);
  const conditions = () => server.get(ENTRIES, ENTRY)?.['status'];
  deepStrictEqual(conditions(), { conditions: [other, health] });
  deepStrictEqual((await read()).health, health);
  await entries.setHealth(ENTRY, await read(), undefined);
  deepStrictEqual(conditions(), { conditions: [other] });
});

test('an entry is removed only as it was read', async () => {
  await entries.create(document, group);
  const old = await read();
  await entries.annotate(ENTRY, old, {});
  strictEqual(await entries.remove(ENTRY, old), false);
  strictEqual(await entries.remove(ENTRY, await read()), true);
  strictEqual(await entries.read(ENTRY), undefined);
});
