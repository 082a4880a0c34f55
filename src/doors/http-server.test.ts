/** Pages over a real socket: who gets which, and that one bad request or page harms only itself. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import {
  type DoorCaller,
  type HttpServer,
  jsonPage,
  loopbackKeeper,
  type PageHandler,
  startHttpServer,
} from './http-server.ts';

let server: HttpServer;
const errors: string[] = [];

const PAGES = new Map<string, PageHandler>([
  ['/ready', () => ({ status: 503, type: 'text/plain', body: 'not yet' })],
  ['/debug/syncz', (query) => jsonPage([{ proxy: query.get('proxyID') }])],
  [
    '/broken',
    () => {
      throw new Error('a secret path');
    },
  ],
]);

before(async () => {
  const onError = (path: string): unknown => errors.push(path);
  server = await startHttpServer({
    host: '127.0.0.1',
    port: 0,
    localPrefix: '/debug',
    pages: PAGES,
    onError,
  });
});

after(() => server[Symbol.asyncDispose]());

function ask(path: string, options: { method?: string; host?: string } = {}): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const headers = options.host === undefined ? {} : { headers: { host: options.host } };
    const target = {
      host: '127.0.0.1',
      port: server.port,
      path,
      method: options.method ?? 'GET',
      agent: false,
    };
    const call = request({ ...target, ...headers }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve([response.statusCode ?? 0, body]));
    });
    call.on('error', reject);
    call.end();
  });
}

const CASES: readonly (readonly [string, Parameters<typeof ask>, readonly [number, string]])[] = [
  ['a page says its status and text', ['/ready'], [503, 'not yet']],
  ['a query does not change the page', ['/ready?probe=1'], [503, 'not yet']],
  ['HEAD has no body', ['/ready', { method: 'HEAD' }], [503, '']],
  ['there is nothing else', ['/other'], [404, 'not found\n']],
  ['a path that climbs is resolved first', ['/debug/../ready'], [503, 'not yet']],
  ['only reading is possible', ['/ready', { method: 'POST' }], [405, 'method not allowed\n']],
  ['a page that fails does not tell why', ['/broken'], [500, 'internal error\n']],
  [
    'debug pages are for callers on this machine',
    ['/debug/syncz?proxyID=a.b'],
    [200, '[\n  {\n    "proxy": "a.b"\n  }\n]\n'],
  ],
  [
    'by whichever of its names',
    ['/debug/syncz', { host: 'LOCALHOST:8080' }],
    [200, '[\n  {\n    "proxy": null\n  }\n]\n'],
  ],
  [
    'but not by a name that somebody else points here',
    ['/debug/syncz', { host: 'evil.example' }],
    [403, 'not for you\n'],
  ],
  ['which open pages do not mind', ['/ready', { host: 'evil.example' }], [503, 'not yet']],
];

for (const [what, question, answer] of CASES) {
  test(what, async () => assert.deepStrictEqual(await ask(...question), answer));
}

test('failed pages are told to the owner', () => assert.deepStrictEqual([...new Set(errors)], ['/broken']));

test('garbage is answered with 400, and the door stays open', async () => {
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1', () => socket.write('\0\0garbage\r\n\r\n'));
    let seen = '';
    socket.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    socket.on('close', () => resolve(seen));
    socket.on('error', reject);
  });
  assert.match(text, /^HTTP\/1\.1 400 /);
  assert.equal((await ask('/ready'))[0], 503);
});

test('addresses of this machine and of others', () => {
  const keeper = loopbackKeeper();
  const from = (remoteAddress: string, host = 'localhost') => {
    const caller: DoorCaller = { remoteAddress, host, authorization: '' };
    return keeper.mayPass(caller, '/debug/syncz', new URLSearchParams());
  };
  const addresses = [
    '127.0.0.1',
    '127.8.9.10',
    '::1',
    '::ffff:127.0.0.1',
    '10.0.0.1',
    '::ffff:10.0.0.1',
    '127.0.0.1.evil',
    '',
  ];
  assert.deepStrictEqual(
    addresses.map((address) => from(address)),
    [true, true, true, true, false, false, false, false],
  );
  assert.deepStrictEqual(
    ['[::1]', '127.0.0.1', 'localhost.evil', ''].map((host) => from('::1', host)),
    [true, true, false, false],
  );
});
