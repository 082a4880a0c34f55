/** Both variants of ADS through real sockets, plain, Unix and TLS, with grpc-js as the client. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { Client } from '@grpc/grpc-js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { TYPE_CLUSTER as CDS, TYPE_ENDPOINT as EDS } from '#xds/resource.ts';
import { FakeWorld, NODE_ID, snapshotOf } from './fake-world.ts';
import { DELTA_METHOD, GrpcRig, type RawStream, SOTW_METHOD } from './grpc-rig.ts';

const node = { id: NODE_ID };

function delta(request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): Uint8Array {
  return toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request));
}

function sotw(request: MessageInitShape<typeof DiscoveryRequestSchema>): Uint8Array {
  return toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, request));
}

async function nextDelta(stream: RawStream) {
  return fromBinary(DeltaDiscoveryResponseSchema, await stream.next());
}

async function nextSotw(stream: RawStream) {
  return fromBinary(DiscoveryResponseSchema, await stream.next());
}

const clusters = (revision: number, count = 3) =>
  snapshotOf({
    clusters: Array.from({ length: count }, (_, i) => ({ name: `c${i}`, revision, isEds: true })),
    endpoints: Array.from({ length: count }, (_, i) => ({ name: `c${i}`, revision })),
  });

async function deltaSession(rig: GrpcRig, world: FakeWorld, client?: Client): Promise<void> {
  const stream = rig.open(DELTA_METHOD, client);
  stream.send(delta({ node, typeUrl: CDS }));
  const first = await nextDelta(stream);
  assert.deepStrictEqual([first.typeUrl, first.resources.map(({ name }) => name)], [CDS, ['c0', 'c1', 'c2']]);
  stream.send(delta({ typeUrl: CDS, responseNonce: first.nonce }));
  stream.send(delta({ typeUrl: EDS, resourceNamesSubscribe: ['c1', 'nobody'] }));
  const endpoints = await nextDelta(stream);
  assert.deepStrictEqual(
    [endpoints.resources.map(({ name }) => name), endpoints.removedResources],
    [['c1'], ['nobody']],
  );
  stream.send(delta({ typeUrl: EDS, responseNonce: endpoints.nonce }));
  world.publish(clusters(2));
  const changed = await nextDelta(stream);
  const forced = await nextDelta(stream);
  assert.deepStrictEqual(
    [changed.typeUrl, changed.resources.length, forced.typeUrl, forced.resources.length],
    [CDS, 3, EDS, 1],
  );
  stream.send(
    delta({ typeUrl: CDS, responseNonce: changed.nonce, errorDetail: { code: 3, message: 'c1: no' } }),
  );
  assert.deepStrictEqual(
    (await nextDelta(stream)).resources.map(({ name }) => name),
    ['c0', 'c2'],
  );
  assert.equal(world.nacks.at(-1)?.suspects[0]?.resource.name, 'c1');
  stream.call.end();
  assert.equal(await stream.ended(), 0);
}

async function sotwSession(rig: GrpcRig, world: FakeWorld): Promise<void> {
  const stream = rig.open(SOTW_METHOD);
  stream.send(sotw({ node, typeUrl: CDS }));
  const first = await nextSotw(stream);
  assert.equal(first.resources.length, 3);
  stream.send(sotw({ typeUrl: CDS, versionInfo: first.versionInfo, responseNonce: first.nonce }));
  stream.send(sotw({ typeUrl: EDS, resourceNames: ['c1', 'nobody'] }));
  const endpoints = await nextSotw(stream);
  assert.equal(endpoints.resources.length, 1);
  stream.send(
    sotw({
      typeUrl: EDS,
      resourceNames: ['c1', 'nobody'],
      versionInfo: endpoints.versionInfo,
      responseNonce: endpoints.nonce,
    }),
  );
  world.publish(clusters(2, 4));
  assert.equal((await nextSotw(stream)).resources.length, 4);
  assert.equal((await nextSotw(stream)).typeUrl, EDS);
  stream.call.end();
  assert.equal(await stream.ended(), 0);
}

async function serving(run: (rig: GrpcRig, world: FakeWorld) => Promise<void>): Promise<void> {
  const world = new FakeWorld();
  world.publish(clusters(1));
  await using rig = new GrpcRig();
  rig.serveAds(world.server);
  await run(rig, world);
}

test('delta over TCP', () =>
  serving(async (rig, world) => {
    await rig.listen();
    await deltaSession(rig, world);
  }));

test('delta over a Unix socket', () =>
  serving(async (rig, world) => {
    const folder = mkdtempSync(join(tmpdir(), 'ads-'));
    try {
      await rig.server.listenUnix(join(folder, 'xds'));
      await deltaSession(rig, world, rig.client(`unix:${join(folder, 'xds')}`));
    } finally {
      rmSync(folder, { recursive: true });
    }
  }));

test('state of the world over TCP', () =>
  serving(async (rig, world) => {
    await rig.listen();
    await sotwSession(rig, world);
  }));

test('the same proxy over both variants at once', () =>
  serving(async (rig, world) => {
    await rig.listen();
    const [a, b] = [rig.open(DELTA_METHOD), rig.open(SOTW_METHOD)];
    a.send(delta({ node, typeUrl: CDS }));
    b.send(sotw({ node, typeUrl: CDS }));
    assert.equal((await nextDelta(a)).resources.length, (await nextSotw(b)).resources.length);
    assert.equal(world.server.connections.ofProxy(NODE_ID).length, 2);
    a.call.cancel();
    b.call.cancel();
  }));

test('two thousand resources of a kilobyte arrive whole', () =>
  serving(async (rig, world) => {
    await rig.listen();
    const routes = Array.from({ length: 1_000 }, (_, i) => 'x'.repeat(900) + i);
    const many = Array.from({ length: 2_000 }, (_, i) => ({
      name: `c${i}`,
      revision: 1,
      routes: [routes[i % 1_000] ?? ''],
    }));
    world.publish(snapshotOf({ clusters: many }));
    const stream = rig.open(DELTA_METHOD);
    stream.send(delta({ node, typeUrl: CDS }));
    const response = await nextDelta(stream);
    assert.equal(response.resources.length, 2_000);
    stream.call.cancel();
  }));

test('a reconnect that lists thousands of versions is taken', () =>
  serving(async (rig, world) => {
    await rig.listen();
    const many = Array.from({ length: 6_000 }, (_, i) => ({
      name: `outbound|80||svc-${i}.ns.svc.cluster.local`,
      revision: 1,
    }));
    const snapshot = snapshotOf({ clusters: many });
    world.publish(snapshot);
    const initialResourceVersions: Record<string, string> = {};
    for (const [name, entry] of snapshot.clusters) initialResourceVersions[name] = entry.resource.version;
    delete initialResourceVersions['outbound|80||svc-7.ns.svc.cluster.local'];
    const stream = rig.open(DELTA_METHOD);
    stream.send(delta({ node, typeUrl: CDS, initialResourceVersions }));
    assert.deepStrictEqual(
      (await nextDelta(stream)).resources.map(({ name }) => name),
      ['outbound|80||svc-7.ns.svc.cluster.local'],
    );
    stream.call.cancel();
  }));
