/** What is known of connected proxies: statuses, being in sync, waiting for it, and the metrics beside. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AdsMetrics, noMetrics } from '#ads/ads-metrics.ts';
import { fail } from '#base/result.ts';
import { TYPE_CLUSTER as CDS, TYPE_LISTENER as LDS } from '#xds/resource.ts';
import { FakeWorld, NODE_ID, snapshotOf } from './fake-world.ts';
import { DeltaClient } from './scripted-client.ts';

const cluster = (revision: number) => snapshotOf({ clusters: [{ name: 'c', revision }] });

test('a stream has a record while it lasts, with what was sent and answered', () => {
  const world = new FakeWorld();
  world.publish(cluster(1));
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  const [connection] = [...world.server.connections];
  assert.equal(connection?.id, 'app-0.default-1');
  client.take();
  client.ack(CDS);
  const status = connection?.types.get(CDS);
  assert.deepStrictEqual(
    [status?.type, status?.sentNonce, status?.ackedNonce],
    ['cds', client.nonces[0], client.nonces[0]],
  );
  world.publish(cluster(2));
  client.take();
  client.nack(CDS, 'no');
  const after = connection?.types.get(CDS);
  assert.deepStrictEqual(
    [after?.sentNonce, after?.ackedNonce, after?.lastNack?.message, after?.lastNack?.resources],
    [client.nonces[1], client.nonces[0], 'no', ['c']],
  );
  client.stream.break();
  assert.deepStrictEqual([world.server.connections.size, world.source.proxies.size], [0, 0]);
});

test('a proxy is in sync when it has answered everything', () => {
  const world = new FakeWorld();
  world.publish(cluster(1));
  const client = new DeltaClient(world);
  assert.equal(world.server.connections.synced(NODE_ID), false);
  client.subscribe(CDS);
  client.takeAll();
  assert.equal(world.server.connections.synced(NODE_ID), true);
  world.publish(cluster(2));
  assert.equal(world.server.connections.synced(NODE_ID), false);
  client.takeAll();
  assert.equal(world.server.connections.synced(NODE_ID), true);
});

test('waiting for an epoch ends when all have answered it, not what came later', async () => {
  const world = new FakeWorld();
  world.publish(cluster(1));
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  client.takeAll();
  world.publish(cluster(2));
  const waiting = world.server.connections.waitForAck(world.server.epoch.number, 5_000);
  assert.equal(client.take().length, 1);
  world.publish(cluster(3));
  client.ack(CDS);
  assert.equal(client.take().length, 1, 'the third version is on its way');
  assert.deepStrictEqual(await waiting, { isSynced: true, waitingFor: [], nacks: [] });
});

test('waiting for an epoch tells who is late, and what was refused', async () => {
  const world = new FakeWorld();
  const other = 'sidecar~10.0.0.2~late.default~default.svc.cluster.local';
  world.publish(cluster(1), NODE_ID, other);
  const quick = new DeltaClient(world);
  quick.subscribe(CDS);
  quick.takeAll();
  const late = new DeltaClient(world);
  late.send({ typeUrl: CDS, node: { id: other } });
  late.takeAll();
  world.publish(cluster(2), NODE_ID, other);
  const waiting = world.server.connections.waitForAck(world.server.epoch.number, 5_000);
  quick.take();
  quick.nack(CDS, 'bad cluster');
  world.clock.advance(5_000);
  const report = await waiting;
  assert.deepStrictEqual([report.isSynced, report.waitingFor], [false, [other]]);
  assert.deepStrictEqual(
    report.nacks.map(({ proxyId, message }) => [proxyId, message]),
    [[NODE_ID, 'bad cluster']],
  );
});

test('a proxy that leaves is not waited for', async () => {
  const world = new FakeWorld();
  world.publish(cluster(1));
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  const waiting = world.server.connections.waitForAck(world.server.epoch.number, 5_000);
  client.stream.break();
  assert.equal((await waiting).isSynced, true);
  assert.equal(world.clock.waitingCount, 0);
});

test('the same proxy may connect again before its old stream ends', () => {
  const world = new FakeWorld();
  world.publish(cluster(1));
  const old = new DeltaClient(world);
  old.subscribe(CDS);
  const fresh = new DeltaClient(world);
  fresh.subscribe(CDS);
  assert.equal(world.server.connections.ofProxy(NODE_ID).length, 2);
  old.stream.break();
  assert.equal(world.source.proxies.size, 1);
  fresh.takeAll();
  world.publish(cluster(2));
  assert.equal(fresh.takeAll().length, 1);
  fresh.stream.break();
  assert.equal(world.source.proxies.size, 0);
});

test('a proxy that may not be who it says is refused and announced to nobody', () => {
  const world = new FakeWorld({ admission: { admit: () => fail({ code: 7, message: 'not you' }) } });
  world.publish(cluster(1));
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  assert.deepStrictEqual(
    [client.stream.status, world.source.proxies.size],
    [{ code: 7, message: 'not you' }, 0],
  );
});

test('a proxy can be made to connect again', () => {
  const world = new FakeWorld();
  world.publish(cluster(1));
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  assert.equal(world.server.disconnect(NODE_ID, 'moved'), 1);
  assert.deepStrictEqual(client.stream.status, { code: 14, message: 'moved' });
});

test('pushes, refusals, convergence and connections are counted', () => {
  const counts: string[] = [];
  const metrics: AdsMetrics = {
    ...noMetrics(),
    connected: (version, change) => counts.push(`connected ${version} ${change}`),
    pushed: ({ type, sizeBytes }) => counts.push(`pushed ${type} ${sizeBytes > 0}`),
    rejected: (type, proxyId, code) => counts.push(`rejected ${type} ${proxyId === NODE_ID} ${code}`),
    converged: (durationMs) => counts.push(`converged ${durationMs}`),
    expiredNonce: (type) => counts.push(`expired ${type}`),
  };
  const world = new FakeWorld({}, metrics);
  world.publish(cluster(1));
  const client = new DeltaClient(world);
  client.subscribe(CDS);
  client.take();
  client.ack(CDS);
  world.publish(cluster(2));
  client.take();
  world.clock.advance(300);
  client.nack(CDS, 'no');
  client.send({ typeUrl: CDS, responseNonce: 'old' });
  client.subscribe(LDS);
  client.stream.break();
  assert.deepStrictEqual(counts, [
    'connected  1',
    'pushed cds true',
    'pushed cds true',
    'rejected cds true 13',
    'converged 500',
    'expired cds',
    'pushed lds true',
    'connected  -1',
  ]);
});
