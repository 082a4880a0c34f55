/** Workloads outside of a cluster: how their entries come about, whose they are, and how they go. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { Proxy as MeshProxy } from '#model/proxy.ts';
import {
  entryFromGroup,
  readPresence,
  withConnected,
  withDisconnected,
} from '#model/workload-registration.ts';
import { ENTRY, GROUP, machine, registrationWorld, turns } from './registration-rig.ts';

const GRACE_MS = 10_000;

test('a proxy of a group gets an entry, which goes when the proxy has been away for the grace period', async () => {
  const world = registrationWorld();
  world.apply(GROUP);
  const connection = world.replica('cp').connected();
  await turns();
  deepStrictEqual(
    { ...world.entry()?.annotations },
    {
      'istio.io/autoRegistrationGroup': 'vms',
      'proxy.istio.io/health-checks-enabled': 'true',
      'istio.io/workloadController': 'cp',
      'istio.io/connectedAt': '1970-01-01T00:16:40.000Z',
    },
  );
  world.clock.advance(60_000);
  connection[Symbol.dispose]();
  await turns();
  strictEqual(world.entry()?.annotations['istio.io/disconnectedAt'], '1970-01-01T00:17:40.000Z');
  world.clock.advance(GRACE_MS - 1);
  await turns();
  ok(world.entry());
  world.clock.advance(1);
  await turns();
  strictEqual(world.entry(), undefined);
});

test('a proxy that comes back in time keeps its entry', async () => {
  const world = registrationWorld();
  world.apply(GROUP);
  const replica = world.replica('cp');
  const first = replica.connected();
  await turns();
  world.clock.advance(1_000);
  first[Symbol.dispose]();
  await turns();
  world.clock.advance(GRACE_MS - 1);
  replica.connected();
  await turns();
  world.clock.advance(GRACE_MS * 3);
  await turns();
  strictEqual(readPresence(world.entry()?.annotations ?? {}).disconnectedAtMs, undefined);
  deepStrictEqual(replica.controller.counters, {
    success: 1,
    updates: 1,
    unregister: 1,
    deletes: 0,
    errors: 0,
  });
});

test('a stream that ends while another one of the same proxy is open changes nothing', async () => {
  const world = registrationWorld();
  world.apply(GROUP);
  const replica = world.replica('cp');
  const [old, _young] = [replica.connected(), replica.connected()];
  await turns();
  old[Symbol.dispose]();
  await turns();
  strictEqual(readPresence(world.entry()?.annotations ?? {}).disconnectedAtMs, undefined);
});

test('the replica that the proxy went to takes the entry over, and the other one leaves it alone', async () => {
  const world = registrationWorld();
  world.apply(GROUP);
  const [a, b] = [world.replica('a'), world.replica('b')];
  const atA = a.connected();
  await turns();
  world.clock.advance(1_000);
  b.connected();
  await turns();
  world.clock.advance(1_000);
  atA[Symbol.dispose]();
  await turns();
  world.clock.advance(GRACE_MS * 2);
  await turns();
  deepStrictEqual(readPresence(world.entry()?.annotations ?? {}), {
    controller: 'b',
    connectedAtMs: 1_001_000,
    disconnectedAtMs: undefined,
  });
});

test('what a control plane left behind when it ended is cleaned up by others, or by itself when it is back', async () => {
  const world = registrationWorld();
  world.apply(GROUP);
  const group = world.objects.of('WorkloadGroup').get('shop/vms');
  ok(group);
  const leave = (name: string, annotations: Readonly<Record<string, string>>): Promise<boolean> => {
    const document = entryFromGroup(machine(), group, name);
    return world.memory.create({ ...document, metadata: { ...document.metadata, annotations } }, group);
  };
  const auto = { 'istio.io/autoRegistrationGroup': 'vms' };
  await leave('said', withDisconnected(withConnected(auto, 'gone', 1), 2));
  await leave('unsaid', withConnected(auto, 'back', 1));
  await leave('elsewhere', withConnected(auto, 'elsewhere', 1));
  world.replica('back');
  const left = () => [...world.objects.of('WorkloadEntry').all().keys()];
  world.clock.advance(GRACE_MS * 10);
  await turns();
  deepStrictEqual(left(), ['shop/elsewhere', 'shop/unsaid']);
  world.clock.advance(GRACE_MS * 10);
  await turns();
  deepStrictEqual(left(), ['shop/elsewhere']);
});

test('reports of health become the entry’s condition, and one that says nothing new is not written', async () => {
  const world = registrationWorld();
  world.apply(GROUP);
  const replica = world.replica('cp');
  const connection = replica.connected();
  await turns();
  const status = () => world.entry()?.status;
  strictEqual(status(), undefined);
  connection.report({ isHealthy: false, message: 'connection refused' });
  await turns();
  deepStrictEqual(status(), { healthy: false });
  world.clock.advance(5_000);
  connection.report({ isHealthy: true, message: '' });
  await turns();
  deepStrictEqual(status(), { healthy: true });
  const written = await world.memory.read(ENTRY);
  deepStrictEqual(written?.health, {
    type: 'Healthy',
    status: 'True',
    lastProbeTime: '1970-01-01T00:16:45.000Z',
    lastTransitionTime: '1970-01-01T00:16:45.000Z',
  });
  world.clock.advance(5_000);
  connection.report({ isHealthy: true, message: '' });
  await turns();
  strictEqual(await world.memory.read(ENTRY), written);
});

test('without health checks nobody is heard', async () => {
  const world = registrationWorld();
  world.apply(GROUP);
  const connection = world.replica('cp', { checksHealth: false }).connected();
  connection.report({ isHealthy: false, message: 'x' });
  await turns();
  strictEqual(world.entry()?.status, undefined);
});

test('an entry that a user made is updated by its proxy, and loses only its health afterwards', async () => {
  const world = registrationWorld();
  world.apply({
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: {
      name: 'mine',
      namespace: 'shop',
      annotations: { 'proxy.istio.io/health-checks-enabled': 'true', team: 'a' },
    },
    spec: { address: '10.1.2.3', serviceAccount: 'db' },
  });
  const replica = world.replica('cp');
  const connection = replica.connected(machine({ metadata: { WORKLOAD_ENTRY: 'mine' } }));
  connection.report({ isHealthy: true, message: '' });
  await turns();
  const entry = () => world.entry('shop/mine');
  deepStrictEqual([entry()?.status, entry()?.annotations['team']], [{ healthy: true }, 'a']);
  connection[Symbol.dispose]();
  await turns();
  world.clock.advance(GRACE_MS);
  await turns();
  strictEqual(entry()?.status, undefined);
  strictEqual(entry()?.spec !== undefined, true);
});

test('entries go with their group in a mesh from files, and come back with it while their proxies are there', async () => {
  const world = registrationWorld();
  world.apply(GROUP);
  const replica = world.replica('cp');
  const connection = replica.connected();
  connection.report({ isHealthy: true, message: '' });
  await turns();
  world.remove('WorkloadGroup', 'shop/vms');
  strictEqual(world.entry(), undefined);
  world.apply(GROUP);
  await turns();
  deepStrictEqual(world.entry()?.status, { healthy: true });
});

const REFUSALS: readonly (readonly [string, Partial<MeshProxy>, number, RegExp])[] = [
  [
    'of a group that is not there',
    { metadata: { AUTO_REGISTER_GROUP: 'others' } },
    9,
    /WorkloadGroup shop\/others/,
  ],
  ['of a group in another namespace', { namespace: 'bank' }, 9, /WorkloadGroup bank\/vms/],
  ['of another service account', { serviceAccount: 'web' }, 7, /another service account/],
  ['without an identity', { identity: undefined as never }, 7, /proven identity/],
  ['with a label that is none', { labels: { app: 'no label!' } }, 3, /label/],
  ['with an address that makes no name', { addresses: ['fe80::'] }, 3, /name of a WorkloadEntry/],
  ['that claims an entry that is not there', { metadata: { WORKLOAD_ENTRY: 'x' } }, 9, /shop\/x/],
];
for (const [what, changes, code, text] of REFUSALS) {
  test(`a proxy ${what} is sent away`, async () => {
    const world = registrationWorld();
    world.apply(GROUP);
    const refused = world.replica('cp').connect(machine(changes));
    ok(refused !== undefined && 'code' in refused);
    strictEqual(refused.code, code);
    match(refused.message, text);
    await turns();
    strictEqual(world.objects.of('WorkloadEntry').size, 0);
  });
}

test('a proxy does not take over the entry of another service account or group', async () => {
  const world = registrationWorld();
  world.apply(GROUP, { ...GROUP, metadata: { name: 'any', namespace: 'shop' }, spec: { template: {} } });
  const replica = world.replica('cp');
  replica.connected();
  await turns();
  const thief = machine({ serviceAccount: 'web', identity: 'spiffe://cluster.local/ns/shop/sa/web' });
  const refused = replica.connect(thief);
  ok(refused !== undefined && 'code' in refused && refused.code === 7);
  ok(replica.connect(machine({ ...thief, metadata: { AUTO_REGISTER_GROUP: 'any' } })) !== undefined);
  await turns();
  strictEqual(world.entry('shop/any-10.1.2.3')?.annotations['istio.io/autoRegistrationGroup'], 'any');
});

test('where identities are not checked anybody may register', () => {
  const world = registrationWorld();
  world.apply(GROUP);
  const replica = world.replica('cp', { validatesIdentity: false });
  replica.connected(machine({ identity: undefined as never, serviceAccount: 'web' }));
});

test('proxies that say nothing of groups, and all where registration is off, are let in without an entry', () => {
  const world = registrationWorld();
  world.apply(GROUP);
  strictEqual(world.replica('cp').connect(machine({ metadata: {} })), undefined);
  strictEqual(world.replica('off', { autoRegisters: false }).connect(), undefined);
});

test('one identity registers so many workloads at once, and others are not affected', async () => {
  const world = registrationWorld();
  world.apply(GROUP, {
    ...GROUP,
    metadata: { name: 'vms', namespace: 'calm' },
    spec: { template: { serviceAccount: 'db' } },
  });
  const replica = world.replica('cp');
  const refused = Array.from({ length: 600 }, (_, i) =>
    replica.connect(machine({ addresses: [`10.9.${i >> 8}.${i & 255}`] })),
  ).filter((one) => one !== undefined && 'code' in one && one.code === 8);
  strictEqual(refused.length, 100);
  replica.connected(machine({ namespace: 'calm', identity: 'spiffe://cluster.local/ns/calm/sa/db' }));
  world.clock.advance(1_000);
  replica.connected(machine({ addresses: ['10.8.0.1'] }));
  await turns();
});

test('a store that fails is tried again, and the proxy stays', async () => {
  const world = registrationWorld();
  world.apply(GROUP);
  let isDown = true;
  const store = new Proxy(world.memory, {
    get(target, name) {
      if (name === 'read' && isDown) return () => Promise.reject(new Error('the store is down'));
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const replica = world.replica('cp', {}, store);
  replica.connected();
  await turns();
  isDown = false;
  world.clock.advance(1_000);
  await turns();
  ok(world.entry());
  deepStrictEqual([replica.controller.counters.errors, replica.ended], [1, []]);
});

test('at the end the entries say that their proxies have gone', async () => {
  const world = registrationWorld();
  world.apply(GROUP);
  const replica = world.replica('cp');
  const connection = replica.connected();
  await turns();
  connection[Symbol.dispose]();
  await replica.controller[Symbol.asyncDispose]();
  ok(readPresence(world.entry()?.annotations ?? {}).disconnectedAtMs !== undefined);
});
