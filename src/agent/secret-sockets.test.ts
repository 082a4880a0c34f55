import { deepStrictEqual } from 'node:assert';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { findSecretSockets } from './secret-sockets.ts';

let folder = '';
const path = (name: string): string => join(folder, name);
const grpc = createHttp2Server();
/** Listens, but is no gRPC server: what comes is cut off. */
const other = createServer((socket) => socket.destroy());

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sockets-'));
  grpc.listen(path('grpc'));
  other.listen(path('other'));
  await Promise.all([once(grpc, 'listening'), once(other, 'listening')]);
  symlinkSync(path('grpc'), path('link'));
  symlinkSync(path('nowhere'), path('dangling'));
  writeFileSync(path('file'), '');
});
after(() => {
  grpc.close();
  other.close();
  rmSync(folder, { recursive: true });
});

const FILES: readonly (readonly [string, boolean])[] = [
  ['grpc', true],
  ['link', true],
  ['dangling', false],
  ['file', false],
  ['other', false],
  ['absent', false],
];
for (const [name, isThere] of FILES) {
  test(`a socket counts when a gRPC server answers: ${name}`, async () => {
    const sockets = { workload: path(name), isExpected: false, credentials: path(name), files: '' };
    deepStrictEqual(await findSecretSockets(sockets, systemClock()), {
      ok: true,
      value: { workload: isThere, credentials: isThere },
    });
  });
}

test('a socket that was named must be there', async () => {
  const at = (name: string) => ({ workload: path(name), isExpected: true, credentials: '', files: '' });
  const found = await findSecretSockets(at('grpc'), systemClock());
  const missing = await findSecretSockets(at('other'), systemClock());
  deepStrictEqual(
    [found.ok, missing.ok ? '' : missing.error],
    [true, `WORKLOAD_IDENTITY_SOCKET_FILE: nobody answers on ${path('other')}`],
  );
});
