/** httpbin: what it tells about requests, how it behaves when asked to, its limits. */
import assert from 'node:assert/strict';
import { after, before, mock, test } from 'node:test';
import { type RunningApp, startApp } from '../../http-app.ts';
import { httpbinApp } from './httpbin.ts';

mock.method(console, 'log', () => {});

let app: RunningApp;
before(async () => {
  app = await startApp({ ...httpbinApp({ HOSTNAME: 'httpbin-pod' }), port: 0 });
});
after(() => app.stop());

async function call(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(app.url + path, { redirect: 'manual', ...init });
}

async function json(path: string, init: RequestInit = {}): Promise<Record<string, unknown>> {
  return (await call(path, init)).json() as Promise<Record<string, unknown>>;
}

test('GET /get describes the request', async () => {
  const headers = {
    'x-b3-traceid': '1',
    'x-forwarded-for': '10.0.0.1, 10.0.0.2',
    'x-forwarded-proto': 'https',
  };
  const { headers: shown, ...rest } = await json('/get?a=1&a=2&b=&__proto__=x', { headers });
  const host = app.url.slice('http://'.length);
  assert.deepEqual(rest, {
    args: Object.fromEntries([
      ['a', ['1', '2']],
      ['b', ['']],
      ['__proto__', ['x']],
    ]),
    method: 'GET',
    origin: '10.0.0.1',
    url: `https://${host}/get?a=1&a=2&b=&__proto__=x`,
  });
  const { Host, 'X-B3-Traceid': traceId } = shown as Record<string, unknown>;
  assert.deepEqual([Host, traceId], [[host], ['1']]);
});

test('bodies are shown as text, as form and as JSON', async () => {
  const cases = [
    { path: '/post', type: 'application/json', body: '{"a":1}', form: {}, json: { a: 1 } },
    { path: '/put', type: 'application/json', body: '{', form: {}, json: null },
    { path: '/patch', type: 'text/plain', body: 'a=1', form: {}, json: null },
    {
      path: '/anything/else',
      type: 'application/x-www-form-urlencoded',
      body: 'a=1&a=2',
      form: { a: ['1', '2'] },
      json: null,
    },
  ];
  for (const { path, type, body, form, json: parsed } of cases) {
    const method = path === '/anything/else' ? 'DELETE' : path.slice(1).toUpperCase();
    const answer = await json(path, { method, body, headers: { 'content-type': type } });
    const { data, form: shownForm, json: shownJson, files, method: shownMethod } = answer;
    assert.deepEqual(
      [shownMethod, data, shownForm, shownJson, files],
      [method, body, form, parsed, {}],
      path,
    );
  }
});

test('small questions get small answers', async () => {
  const headers = { cookie: 'a=1; b=2=3', 'user-agent': 'test' };
  assert.deepEqual(
    {
      ip: await json('/ip'),
      agent: await json('/user-agent', { headers }),
      health: await json('/health'),
      hostname: await json('/hostname'),
      cookies: await json('/cookies', { headers }),
      noCookies: await json('/cookies'),
      uuid: /^[\da-f-]{36}$/.test(String((await json('/uuid'))['uuid'])),
    },
    {
      ip: { origin: '127.0.0.1' },
      agent: { 'user-agent': 'test' },
      health: { status: 'httpbin is healthy' },
      hostname: { hostname: 'httpbin-pod' },
      cookies: { a: '1', b: '2=3' },
      noCookies: {},
      uuid: true,
    },
  );
});

test('the status, where to go and the length are as asked for', async () => {
  const cases = [
    { path: '/status/200', answer: [200, null, 0] },
    { path: '/status/204', answer: [204, null, 0] },
    { path: '/status/418', answer: [418, null, 0] },
    { path: '/status/503', answer: [503, null, 0] },
    { path: '/redirect/1', answer: [302, '/get', 0] },
    { path: '/redirect/3', answer: [302, '/redirect/2', 0] },
    { path: '/cookies/set?a=1', answer: [302, '/cookies', 0] },
    { path: '/bytes/7', answer: [200, null, 7] },
    { path: '/bytes/999999999', answer: [200, null, 102_400] },
  ];
  for (const { path, answer } of cases) {
    const response = await call(path);
    const { byteLength } = await response.arrayBuffer();
    assert.deepEqual([response.status, response.headers.get('location'), byteLength], answer, path);
  }
});

test('what cannot be done is refused with a reason', async () => {
  const cases = [
    { path: '/status/99', detail: 'status must be from 200 to 599' },
    { path: '/status/x', detail: 'status must be from 200 to 599' },
    { path: '/delay/x', detail: 'delay must be a number of seconds' },
    { path: '/bytes/-1', detail: 'number of bytes must be a whole number' },
    { path: '/stream/x', detail: 'number of lines must be a whole number' },
    { path: '/redirect/0', detail: 'redirects must be from 1 to 100' },
    { path: '/response-headers?a%20b=1', detail: 'not a header name or value' },
    { path: '/response-headers?a=1%0d%0ab:2', detail: 'not a header name or value' },
    { path: '/response-headers?Content-Length=1', detail: 'Content-Length cannot be set' },
  ];
  for (const { path, detail } of cases) {
    assert.deepEqual(await json(path), { status_code: 400, error: 'Bad Request', detail }, path);
  }
});

test('a stream is one JSON line per number', async () => {
  const lines = (await (await call('/stream/3?a=1')).text()).trim().split('\n');
  const parsed = lines.map((line) => JSON.parse(line) as { id: number; args: unknown });
  assert.deepEqual(
    parsed.map(({ id, args }) => ({ id, args })),
    [0, 1, 2].map((id) => ({ id, args: { a: ['1'] } })),
  );
});

test('basic-auth lets in whom the path names', async () => {
  const basic = (text: string) => ({ headers: { authorization: `Basic ${btoa(text)}` } });
  const cases = [
    { init: basic('u:p:q'), answer: [200, { authorized: true, user: 'u' }, null] },
    { init: basic('u:wrong'), answer: [401, { authorized: false, user: 'u' }, 'Basic realm="httpbin"'] },
    { init: {}, answer: [401, { authorized: false, user: '' }, 'Basic realm="httpbin"'] },
  ];
  for (const { init, answer } of cases) {
    const response = await call('/basic-auth/u/p:q', init);
    const shown = [response.status, await response.json(), response.headers.get('www-authenticate')];
    assert.deepEqual(shown, answer);
  }
});

test('response-headers sets what it is told', async () => {
  const response = await call('/response-headers?X-One=1&X-One=2&Content-Type=text/plain');
  const { headers } = response;
  assert.deepEqual(
    [headers.get('x-one'), headers.get('content-type'), await response.json()],
    ['1, 2', 'text/plain', { 'X-One': ['1', '2'], 'Content-Type': ['text/plain'] }],
  );
});

test('a delayed answer comes after its delay, and describes the request', async () => {
  const startMs = performance.now();
  const { method } = await json('/delay/0.1');
  assert.deepEqual([method, performance.now() - startMs >= 99], ['GET', true]);
});
