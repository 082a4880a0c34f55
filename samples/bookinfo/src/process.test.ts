/** An app as the process that the mesh runs: calls go through HTTP_PROXY, SIGTERM ends it cleanly. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

/** A forward proxy that answers every request itself, and the request lines that it saw. */
async function startProxy(t: TestContext): Promise<{ url: string; seen: string[] }> {
  const seen: string[] = [];
  const proxy = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} host=${request.headers.host}`);
    response.end('{"ratings": {"Reviewer1": 2, "Reviewer2": 1}}');
  });
  proxy.on('connect', (request, socket) => {
    seen.push(`CONNECT ${request.url}`);
    socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.after(() => proxy.close().closeAllConnections());
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, seen };
}

test('reviews calls ratings through the proxy, in absolute form, and ends on SIGTERM', async (t) => {
  const proxy = await startProxy(t);
  const app = fileURLToPath(new URL('reviews.ts', import.meta.url));
  const reviews = spawn(process.execPath, [app], {
    env: { PORT: '0', SERVICE_VERSION: 'v2', NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxy.url },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => reviews.kill('SIGKILL'));
  const [greeting] = await once(createInterface(reviews.stdout), 'line');
  const url = /http:\S+$/.exec(greeting)?.[0];

  const response = await fetch(`${url}/reviews/0`);
  const { reviews: list } = (await response.json()) as { reviews: { rating: unknown }[] };
  assert.deepEqual(
    list.map(({ rating }) => rating),
    [
      { stars: 2, color: 'black' },
      { stars: 1, color: 'black' },
    ],
  );
  assert.deepEqual(proxy.seen, ['GET http://ratings:9080/ratings/0 host=ratings:9080']);

  reviews.kill('SIGTERM');
  assert.deepEqual(await once(reviews, 'exit'), [0, null]);
});
