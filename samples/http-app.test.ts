/** The server under the sample apps: routing, limits, failures that stay with their request, a clean stop. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { mock, test, type TestContext } from 'node:test';
import {
  addressFromEnv,
  type AppRequest,
  jsonAnswer,
  numberFromEnv,
  type Route,
  type RunningApp,
  startApp,
} from './http-app.ts';

mock.method(console, 'log', () => {});
mock.method(console, 'error', () => {});

const echo = (request: AppRequest, ...params: string[]) =>
  jsonAnswer(200, { method: request.method, params, body: request.body.toString() });

const routes: readonly Route[] = [
  { method: 'GET', path: '/books/:id', answer: echo },
  { method: 'POST', path: '/books/:id', answer: echo },
  { method: '*', path: '/any/*', answer: echo },
  {
    method: 'GET',
    path: '/broken',
    answer: () => {
      throw new Error('secret');
    },
  },
];

async function start(t: TestContext, extra: readonly Route[] = []): Promise<RunningApp> {
  const app = await startApp({ name: 'test', host: '127.0.0.1', port: 0, routes: [...routes, ...extra] });
  t.after(() => app.stop());
  return app;
}

/** Sends a request line exactly as given, which fetch would tidy up. */
async function send(port: number, method: string, path: string, body = ''): Promise<unknown> {
  const request = httpRequest({ host: '127.0.0.1', port, method, path }).end(body);
  const [response] = await once(request, 'response');
  const text = (await response.setEncoding('utf8').toArray()).join('');
  return [response.statusCode, text === '' ? '' : JSON.parse(text), response.headers.allow];
}

test('a request reaches the route of its path and method', async (t) => {
  const { port } = await start(t);
  const notFound = [404, { error: 'not found' }, undefined];
  const reached = (method: string, params: string[], body = '') => [200, { method, params, body }, undefined];
  const cases = [
    { method: 'GET', path: '/books/7?x=1', answer: reached('GET', ['7']) },
    { method: 'GET', path: '/books/', answer: reached('GET', ['']) },
    { method: 'GET', path: '/books/a%2Fb%20c', answer: reached('GET', ['a/b c']) },
    { method: 'GET', path: 'http://reviews:9080/books/7', answer: reached('GET', ['7']) },
    { method: 'POST', path: '/books/7', body: 'text', answer: reached('POST', ['7'], 'text') },
    { method: 'HEAD', path: '/books/7', answer: [200, '', undefined] },
    { method: 'PUT', path: '/any/a/b', answer: reached('PUT', []) },
    { method: 'PUT', path: '/books/7', answer: [405, { error: 'method not allowed' }, 'GET, POST'] },
    { method: 'GET', path: '/books', answer: notFound },
    { method: 'GET', path: '/books/7/8', answer: notFound },
    { method: 'GET', path: '/any', answer: notFound },
    { method: 'GET', path: '//', answer: notFound },
  ];
  for (const { method, path, body, answer } of cases) {
    assert.deepEqual(await send(port, method, path, body), answer, `${method} ${path}`);
  }
});

test('a bad request and a broken handler cost only themselves', async (t) => {
  const { port } = await start(t);
  const cases = [
    {
      method: 'GET',
      path: '/books/%zz',
      answer: [400, { error: 'malformed percent-encoding in path' }, undefined],
    },
    { method: 'OPTIONS', path: '*', answer: [400, { error: 'malformed request target' }, undefined] },
    { method: 'GET', path: '/broken', answer: [500, { error: 'internal error' }, undefined] },
    {
      method: 'POST',
      path: '/books/7',
      body: 'x'.repeat(1024 * 1024 + 1),
      answer: [413, { error: 'body is larger than 1048576 bytes' }, undefined],
    },
  ];
  for (const { method, path, body, answer } of cases) {
    assert.deepEqual(await send(port, method, path, body), answer, `${method} ${path}`);
  }
  assert.equal((await fetch(`http://127.0.0.1:${port}/books/7`)).status, 200);
});

test('stop lets a request in flight finish and refuses new ones', async () => {
  const arrived = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const slow = {
    method: 'GET',
    path: '/slow',
    answer: async () => {
      arrived.resolve();
      await release.promise;
      return jsonAnswer(200, 'done');
    },
  };
  const app = await startApp({ name: 'test', host: '127.0.0.1', port: 0, routes: [slow] });
  const inFlight = fetch(`${app.url}/slow`);
  await arrived.promise;
  const stopped = app.stop();
  await assert.rejects(fetch(`${app.url}/slow`));
  release.resolve();
  const response = await inFlight;
  assert.deepEqual(
    [response.status, await response.json(), response.headers.get('connection')],
    [200, 'done', 'close'],
  );
  await stopped;
});

test('a handler learns that its caller has gone', async (t) => {
  const arrived = Promise.withResolvers<AbortSignal>();
  const waiting = {
    method: 'GET',
    path: '/wait',
    answer: async ({ signal }: AppRequest) => {
      arrived.resolve(signal);
      await once(signal, 'abort');
      return jsonAnswer(200, 'too late');
    },
  };
  const app = await start(t, [waiting]);
  const caller = new AbortController();
  const call = fetch(`${app.url}/wait`, { signal: caller.signal });
  const gone = once(await arrived.promise, 'abort');
  caller.abort();
  await assert.rejects(call, { name: 'AbortError' });
  await gone;
});

test('settings from the environment are checked', () => {
  assert.deepEqual(addressFromEnv({}, 9080), { host: '127.0.0.1', port: 9080 });
  assert.deepEqual(addressFromEnv({ HOST: '127.0.0.2', PORT: '1' }, 9080), { host: '127.0.0.2', port: 1 });
  for (const text of ['x', '-1', '1.5', '65536']) {
    assert.throws(() => numberFromEnv({ PORT: text }, 'PORT', 1, 65_535), {
      message: `PORT must be a whole number from 0 to 65535, not "${text}"`,
    });
  }
});
