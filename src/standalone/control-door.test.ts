import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { MAX_BODY_BYTES } from '#doors/control-protocol.ts';
import { type ControlHandler, ControlRefusal, openControlDoor } from './control-door.ts';

const folder = mkdtempSync(join(tmpdir(), 'lateen-door-'));
after(() => rmSync(folder, { recursive: true }));

const HANDLERS: ReadonlyMap<string, ControlHandler> = new Map<string, ControlHandler>([
  ['POST /echo', ({ body, query }) => ({ body, a: query.get('a') })],
  [
    'GET /stream',
    ({ send }) => {
      send('one ');
      send('two');
      return undefined;
    },
  ],
  [
    'GET /refuse',
    () => {
      throw new ControlRefusal(404, 'not here');
    },
  ],
  [
    'GET /break',
    async () => {
      throw new Error('broken');
    },
  ],
]);

async function ask(socketPath: string, method: string, path: string, body?: string | Buffer) {
  const { promise, resolve, reject } = Promise.withResolvers<readonly [number, string]>();
  const call = request({ socketPath, method, path, agent: false }, (answer) => {
    text(answer).then((all) => resolve([answer.statusCode ?? 0, all]), reject);
  });
  call.on('error', reject);
  call.end(body);
  return promise;
}

test('the door takes JSON, streams, and tells refusals and failures in JSON', async () => {
  const socket = join(folder, 'a.sock');
  writeFileSync(socket, 'left by a killed owner');
  await using _door = await openControlDoor(socket, HANDLERS);
  strictEqual(statSync(socket).mode & 0o777, 0o600);
  deepStrictEqual(
    [
      await ask(socket, 'POST', '/echo?a=b', '{"x":1}'),
      await ask(socket, 'GET', '/stream'),
      await ask(socket, 'GET', '/refuse'),
      await ask(socket, 'GET', '/break'),
      await ask(socket, 'GET', '/nowhere'),
      await ask(socket, 'POST', '/echo', 'not json'),
    ],
    [
      [200, '{"body":{"x":1},"a":"b"}'],
      [200, 'one two'],
      [404, '{"error":"not here"}'],
      [500, '{"error":"broken"}'],
      [404, '{"error":"no GET /nowhere here"}'],
      [400, '{"error":"the body is not JSON"}'],
    ],
  );
});

test('a body beyond the limit is refused (T27)', async () => {
  const socket = join(folder, 'b.sock');
  await using _door = await openControlDoor(socket, HANDLERS);
  const answer = await ask(socket, 'POST', '/echo', Buffer.alloc(MAX_BODY_BYTES + 1, ' ')).catch(() => [413]);
  strictEqual(answer[0], 413);
});

test('a closed door leaves no socket', async () => {
  const socket = join(folder, 'c.sock');
  const door = await openControlDoor(socket, HANDLERS);
  await door[Symbol.asyncDispose]();
  ok(!existsSync(socket));
});
