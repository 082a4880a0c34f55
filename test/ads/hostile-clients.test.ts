/** Clients that break the rules, lie about sizes, open too much or never take anything: the server lives and stays small. */
import assert from 'node:assert/strict';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
} from 'node:http2';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import {
  GRPC_INVALID_ARGUMENT,
  GRPC_RESOURCE_EXHAUSTED,
  GRPC_UNIMPLEMENTED,
  grpcFrame,
} from '#base/grpc-frame.ts';
import { WireWriter } from '#base/proto-wire.ts';
import { TYPE_CLUSTER as CDS } from '#xds/resource.ts';
import { encodeNode, FakeWorld, snapshotOf } from './fake-world.ts';
import { DELTA_METHOD, GrpcRig } from './grpc-rig.ts';

const LIMIT_MS = 5_000;

async function until(what: string, isTrue: () => boolean): Promise<void> {
  const endMs = performance.now() + LIMIT_MS;
  while (!isTrue()) {
    if (performance.now() > endMs) assert.fail(`waited in vain for ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function openCall(session: ClientHttp2Session): ClientHttp2Stream {
  const call = session.request({
    ':method': 'POST',
    ':path': DELTA_METHOD,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  call.on('error', () => {});
  return call;
}

/** The status of a call, from headers or trailers; or how the stream was reset. */
function statusOf(call: ClientHttp2Stream): Promise<number | string> {
  return new Promise((resolve) => {
    const look = (headers: Record<string, unknown>): void => {
      if (headers['grpc-status'] !== undefined) resolve(Number(headers['grpc-status']));
    };
    call.on('response', look);
    call.on('trailers', look);
    call.on('close', () => resolve(`reset ${call.rstCode}`));
    call.resume();
  });
}

function session(rig: GrpcRig): ClientHttp2Session {
  const opened = connectHttp2(`http://127.0.0.1:${rig.port}`);
  opened.on('error', () => {});
  return opened;
}

async function serving(
  limits: ConstructorParameters<typeof GrpcRig>[0],
  run: (rig: GrpcRig, world: FakeWorld) => Promise<void>,
): Promise<void> {
  const world = new FakeWorld();
  world.publish(snapshotOf({ clusters: [{ name: 'c', revision: 1 }] }));
  await using rig = new GrpcRig(limits);
  rig.serveAds(world.server);
  await rig.listen();
  await run(rig, world);
  await assertAlive(rig);
}

/** A good client is served after all of it. */
async function assertAlive(rig: GrpcRig): Promise<void> {
  const stream = rig.open(DELTA_METHOD);
  stream.send(firstRequest());
  assert.ok((await stream.next()).length > 0);
  stream.call.cancel();
}

function firstRequest(): Uint8Array {
  return new WireWriter().bytes(1, encodeNode()).string(2, CDS).finish();
}

const BROKEN_MESSAGES: readonly (readonly [string, Buffer, number])[] = [
  ['garbage instead of protobuf', grpcFrame(Buffer.from('garbage, garbage')), GRPC_INVALID_ARGUMENT],
  ['an unknown frame flag', Buffer.from([9, 0, 0, 0, 0]), 13],
  ['a compressed message', Buffer.from([1, 0, 0, 0, 2, 0, 0]), GRPC_UNIMPLEMENTED],
  ['a declared message of 100 MB', Buffer.from([0, 0x06, 0x40, 0, 0]), GRPC_RESOURCE_EXHAUSTED],
  ['a declared message of 4 GB', Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), GRPC_RESOURCE_EXHAUSTED],
  ['no node', grpcFrame(new WireWriter().string(2, CDS).finish()), GRPC_INVALID_ARGUMENT],
];

for (const [what, bytes, code] of BROKEN_MESSAGES) {
  test(`T26: ${what} ends the stream with status ${code}`, () =>
    serving({}, async (rig) => {
      const client = session(rig);
      const call = openCall(client);
      call.write(bytes);
      assert.equal(await statusOf(call), code);
      client.destroy();
    }));
}

test('T37: a message that trickles in byte by byte costs what has arrived', () =>
  serving({}, async (rig) => {
    const client = session(rig);
    const call = openCall(client);
    call.write(Buffer.from([0, 0x00, 0x3f, 0xff, 0xff]));
    for (let i = 0; i < 2_000; i++) call.write(Buffer.from([0]));
    await until('the stream to be served', () => rig.server.streamCount === 1);
    client.destroy();
    await until('the stream to go', () => rig.server.streamCount === 0);
  }));

test('T37: ten thousand streams on one connection: some are served, the others refused', () =>
  serving({ maxStreamsPerConnection: 100 }, async (rig) => {
    const client = session(rig);
    await new Promise((resolve) => client.once('remoteSettings', resolve));
    const ends = { refused: 0, open: 0 };
    const calls = Array.from({ length: 10_000 }, () => openCall(client));
    for (const call of calls) call.on('close', () => ends.refused++);
    await until('streams to be open', () => rig.server.streamCount > 0);
    assert.ok(rig.server.streamCount <= 100, `${rig.server.streamCount} streams`);
    client.destroy();
    await until('the streams to go', () => rig.server.streamCount === 0);
  }));

test('T26: streams beyond the total are RESOURCE_EXHAUSTED', () =>
  serving({ maxStreams: 5 }, async (rig) => {
    const clients = Array.from({ length: 4 }, () => session(rig));
    const calls = clients.flatMap((client) => [openCall(client), openCall(client)]);
    const statuses: (number | string)[] = [];
    for (const call of calls) void statusOf(call).then((status) => statuses.push(status));
    await until('refusals', () => statuses.length === 3);
    assert.deepStrictEqual(statuses, [
      GRPC_RESOURCE_EXHAUSTED,
      GRPC_RESOURCE_EXHAUSTED,
      GRPC_RESOURCE_EXHAUSTED,
    ]);
    assert.equal(rig.server.streamCount, 5);
    for (const client of clients) client.destroy();
    await until('the streams to go', () => rig.server.streamCount === 0);
  }));

test('T37: connections beyond the limit are told so on their first stream', () =>
  serving({ maxConnections: 3 }, async (rig) => {
    const clients = Array.from({ length: 3 }, () => session(rig));
    for (const client of clients) openCall(client);
    await until('three streams', () => rig.server.streamCount === 3);
    const late = session(rig);
    assert.equal(await statusOf(openCall(late)), GRPC_RESOURCE_EXHAUSTED);
    for (const client of [...clients, late]) client.destroy();
    await until('the connections to go', () => rig.server.connectionCount === 0);
  }));

test('T37: streams that are opened and reset over and over end the connection', () =>
  serving({ resetBurst: 50, resetsPerSecond: 10 }, async (rig) => {
    const client = session(rig);
    let isClosed = false;
    client.on('close', () => (isClosed = true));
    await new Promise((resolve) => client.once('remoteSettings', resolve));
    for (let i = 0; i < 1_000 && !isClosed; i++) {
      openCall(client).close(constants.NGHTTP2_CANCEL);
      if (i % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until('the connection to be ended', () => isClosed);
    await until('the streams to go', () => rig.server.streamCount === 0);
  }));

/** A bare TCP connection, and whether the server has closed it. */
function socketTo(rig: GrpcRig): { socket: Socket; isClosed: () => boolean } {
  const socket = connect(rig.port, '127.0.0.1');
  let isClosed = false;
  socket.on('close', () => (isClosed = true));
  socket.on('error', () => {});
  socket.resume();
  return { socket, isClosed: () => isClosed };
}

test('T37: connections that never say anything, or nothing of HTTP/2, are closed', () =>
  serving({ firstStreamMs: 250, sweepMs: 20 }, async (rig) => {
    const silent = Array.from({ length: 20 }, () => socketTo(rig));
    const http1 = socketTo(rig);
    http1.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const garbage = socketTo(rig);
    garbage.socket.write(Buffer.alloc(4_096, 0xfe));
    const preface = socketTo(rig);
    preface.socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await until('all to be closed', () =>
      [...silent, http1, garbage, preface].every(({ isClosed }) => isClosed()),
    );
    assert.equal(rig.server.connectionCount, 0);
  }));

test('a client that takes nothing is cut, and what was queued for it is let go', () =>
  serving({ stalledWriteMs: 100, sweepMs: 20, pingIntervalMs: 60_000 }, async (rig, world) => {
    const big = Array.from({ length: 64 }, (_, i) => ({
      name: `c${i}`,
      revision: 1,
      routes: ['x'.repeat(64 << 10)],
    }));
    world.publish(snapshotOf({ clusters: big }));
    const client = session(rig);
    const call = openCall(client);
    call.pause();
    call.write(grpcFrame(firstRequest()));
    await until('the stream to be cut', () => rig.refused.includes('stalled-write'));
    await until(
      'the stream to go',
      () => rig.server.streamCount === 0 && world.server.connections.size === 0,
    );
    client.destroy();
  }));

test('a client that is slow but moves is not cut', () =>
  serving({ stalledWriteMs: 150, sweepMs: 20, pingIntervalMs: 60_000 }, async (rig, world) => {
    const big = Array.from({ length: 32 }, (_, i) => ({
      name: `c${i}`,
      revision: 1,
      routes: ['x'.repeat(64 << 10)],
    }));
    world.publish(snapshotOf({ clusters: big }));
    const client = session(rig);
    const call = openCall(client);
    let takenBytes = 0;
    call.write(grpcFrame(firstRequest()));
    const startMs = performance.now();
    while (takenBytes < 12 * (64 << 10)) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      takenBytes += (call.read() as Buffer | null)?.length ?? 0;
      assert.ok(!call.closed && performance.now() - startMs < LIMIT_MS, 'the stream ended early');
    }
    assert.ok(performance.now() - startMs > 300, 'it took twice the time that a client may stand still');
    client.destroy();
  }));

test('a connection that answers no ping is ended', () =>
  serving({ pingIntervalMs: 50, pingTimeoutMs: 250, sweepMs: 15 }, async (rig) => {
    const { socket, isClosed } = socketTo(rig);
    // A preface, empty settings, and then silence: nobody will answer a ping.
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    await until('the connection to be ended', isClosed);
    assert.ok(rig.refused.includes('ping-timeout'));
  }));

test('a connection that is old enough is sent elsewhere', () =>
  serving({ maxAgeMs: 250, sweepMs: 20 }, async (rig) => {
    const client = session(rig);
    const call = openCall(client);
    call.write(grpcFrame(firstRequest()));
    assert.equal(await statusOf(call), 14);
    await until('the connection to go', () => client.destroyed);
  }));
