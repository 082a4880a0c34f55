/** The transport through real sockets, with grpc-js and bare HTTP/2 as clients. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  GRPC_PERMISSION_DENIED,
  GRPC_UNAUTHENTICATED,
  GRPC_UNIMPLEMENTED,
  grpcStatus,
} from '#base/grpc-frame.ts';
import { fail } from '#base/result.ts';
import { GrpcRig } from './grpc-rig.ts';

const ECHO = '/test.Echo/Stream';

function echo(rig: GrpcRig): void {
  rig.server.stream(ECHO, (stream) => {
    stream.start({
      onMessages: (messages) => messages.forEach((message) => stream.send([Uint8Array.from(message)])),
      onHalfClose: () => stream.close(grpcStatus(0)),
      onEnd: () => {},
    });
  });
}

test('messages of many sizes come back unchanged, in order', async () => {
  await using rig = new GrpcRig();
  echo(rig);
  await rig.listen();
  const stream = rig.open(ECHO);
  const sizes = [0, 1, 5, 4_095, 4_096, 16_384, 70_000, 3 << 20];
  for (const size of sizes) stream.send(Buffer.alloc(size, size % 251));
  for (const size of sizes)
    assert.ok((await stream.next()).equals(Buffer.alloc(size, size % 251)), `size ${size}`);
  stream.call.end();
  assert.equal(await stream.ended(), 0);
});

test('many chunks of one message arrive as one message', async () => {
  await using rig = new GrpcRig();
  rig.server.stream(ECHO, (stream) => {
    stream.start({
      onMessages: () => stream.send([Buffer.from('a'), Buffer.alloc(100_000, 'b'), Buffer.from('c')]),
      onHalfClose: () => {},
      onEnd: () => {},
    });
  });
  await rig.listen();
  const stream = rig.open(ECHO);
  stream.send(Buffer.from('go'));
  assert.equal((await stream.next()).toString(), `a${'b'.repeat(100_000)}c`);
  stream.call.cancel();
});

test('a status set by the server reaches the client with its text', async () => {
  await using rig = new GrpcRig();
  rig.server.stream(ECHO, (stream) => {
    stream.start({
      onMessages: () => stream.close(grpcStatus(GRPC_PERMISSION_DENIED, 'not für dich: 100%')),
      onHalfClose: () => {},
      onEnd: () => {},
    });
  });
  await rig.listen();
  const stream = rig.open(ECHO);
  stream.send(Buffer.from('go'));
  assert.equal(await stream.ended(), GRPC_PERMISSION_DENIED);
  assert.equal(stream.error?.details, 'not für dich: 100%');
});

test('an unknown method is UNIMPLEMENTED', async () => {
  await using rig = new GrpcRig();
  await rig.listen();
  assert.equal(await rig.open('/no.Such/Method').ended(), GRPC_UNIMPLEMENTED);
});

test('a caller whom the authenticator refuses gets its status', async () => {
  await using rig = new GrpcRig(
    {},
    { authenticate: async () => fail(grpcStatus(GRPC_UNAUTHENTICATED, 'no token')) },
  );
  echo(rig);
  await rig.listen();
  const stream = rig.open(ECHO);
  assert.equal(await stream.ended(), GRPC_UNAUTHENTICATED);
  assert.equal(stream.error?.details, 'no token');
});

test('unary calls are answered, refused, or fail without telling why', async () => {
  await using rig = new GrpcRig();
  rig.server.unary('/test.Ca/Create', async (request, peer, headers) => {
    if (request.length === 0) return grpcStatus(GRPC_PERMISSION_DENIED, 'nothing asked');
    if (request[0] === 0x21) throw new Error('a secret path');
    return Buffer.from(`${peer.connection.transport} ${headers.get('content-type')} ${Buffer.from(request)}`);
  });
  await rig.listen();
  assert.equal(
    (await rig.unary('/test.Ca/Create', Buffer.from('csr'))).toString(),
    'tcp application/grpc csr',
  );
  await assert.rejects(rig.unary('/test.Ca/Create', Buffer.alloc(0)), { code: GRPC_PERMISSION_DENIED });
  await assert.rejects(rig.unary('/test.Ca/Create', Buffer.from('!')), {
    code: 13,
    details: 'internal error',
  });
});

test('a Unix socket is private, and replaces one left behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ads-'));
  const path = join(folder, 'xds');
  try {
    for (let i = 0; i < 2; i++) {
      await using rig = new GrpcRig();
      echo(rig);
      await rig.server.listenUnix(path);
      assert.equal(statSync(path).mode & 0o777, 0o600);
      const stream = rig.open(ECHO, rig.client(`unix:${path}`));
      stream.send(Buffer.from('hello'));
      assert.equal((await stream.next()).toString(), 'hello');
      stream.call.cancel();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('what is no gRPC request gets an HTTP status', async () => {
  await using rig = new GrpcRig();
  echo(rig);
  await rig.listen();
  const session = connectHttp2(`http://127.0.0.1:${rig.port}`);
  const status = (headers: Record<string, string>): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const request = session.request({ ':path': ECHO, ...headers });
      request.on('response', (response) => resolve(response[':status']));
      request.on('error', reject);
      request.resume().end();
    });
  assert.equal(await status({ ':method': 'POST', 'content-type': 'application/json' }), 415);
  assert.equal(await status({ ':method': 'POST' }), 415);
  assert.equal(await status({ ':method': 'GET', 'content-type': 'application/grpc' }), 405);
  assert.equal(await status({ ':method': 'POST', 'content-type': 'application/grpc+proto' }), 200);
  session.close();
});

test('a server that shuts down tells its clients UNAVAILABLE', async () => {
  const rig = new GrpcRig();
  echo(rig);
  await rig.listen();
  const stream = rig.open(ECHO);
  stream.send(Buffer.from('x'));
  await stream.next();
  const ended = stream.ended();
  await rig[Symbol.asyncDispose]();
  assert.equal(await ended, 14);
});
