import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { LOOPBACK_ALLOWED, NO_EXCEPTIONS } from './address-guard.ts';
import { guardedGet, type GuardedRequest } from './guarded-request.ts';

let server: Server;
let base: string;

before(async () => {
  server = createServer((request, response) => {
    const to = /^\/to\/(.*)$/.exec(request.url ?? '')?.[1];
    if (to !== undefined) response.writeHead(302, { location: decodeURIComponent(to) }).end();
    else if (request.url === '/broken') response.writeHead(500).end('no');
    else if (request.url === '/large') response.end('x'.repeat(5_000));
    else if (request.url === '/silent') response.flushHeaders();
    else response.end('here');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(() => {
  server.closeAllConnections();
  server.close();
});

async function get(url: string, more: Partial<GuardedRequest> = {}): Promise<string> {
  const answer = await guardedGet({
    url,
    timeoutMs: 2_000,
    maxBytes: 1_000,
    guard: LOOPBACK_ALLOWED,
    ...more,
  });
  return answer.ok ? answer.value.toString() : `failed: ${answer.error}`;
}

const to = (url: string): string => `${base}/to/${encodeURIComponent(url)}`;

describe('guarded requests (T14)', () => {
  it('bring the body', async () => assert.equal(await get(`${base}/`), 'here'));
  it('follow redirects', async () => assert.equal(await get(to('/x')), 'here'));
  it('follow a few redirects only', async () =>
    assert.match(await get(to(to(to(to(to('/')))))), /more than 3 redirects/));
  it('refuse an address', async () => assert.match(await get(base, { guard: NO_EXCEPTIONS }), /loopback/));
  it('refuse a name that leads there', async () =>
    assert.match(
      await get(base.replace('127.0.0.1', 'localhost'), { guard: NO_EXCEPTIONS }),
      /localhost leads to/,
    ));
  it('refuse other ways to write it', async () => {
    const { port } = server.address() as AddressInfo;
    for (const host of ['2130706433', '0x7f.1', '[::ffff:127.0.0.1]', '127.1']) {
      assert.match(await get(`http://${host}:${port}/`, { guard: NO_EXCEPTIONS }), /refused/, host);
    }
  });
  it('refuse a redirect to it', async () =>
    assert.match(await get(to('http://169.254.169.254/latest')), /refused: 169.254.169.254 is link-local/));
  it('refuse other schemes', async () => assert.match(await get('file:///etc/passwd'), /not an http/));
  it('refuse a redirect to another scheme', async () =>
    assert.match(await get(to('file:///etc/passwd')), /not an http/));
  it('tell a bad status', async () => assert.match(await get(`${base}/broken`), /status 500/));
  it('stop at the limit of size', async () => assert.match(await get(`${base}/large`), /larger than 1000/));
  it('stop at the limit of time', async () =>
    assert.match(await get(`${base}/silent`, { timeoutMs: 100 }), /no answer in time/));
});
