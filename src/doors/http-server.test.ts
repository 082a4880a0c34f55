/** Routes over a real socket: who gets which, and that one bad request or page harms only itself. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { silentLogger } from '#base/logger.ts';
import { debugRoutes, type DebugSource } from './debug.ts';
import { Readiness, readyRoute } from './health.ts';
import { type DoorCaller, HttpDoor, loopbackKeeper, textAnswer } from './http-server.ts';

const readiness = new Readiness();
let isReady = false;
readiness.add('clusters', () => true);
readiness.add('config', () => isReady);

const source: DebugSource = {
  syncz: () => [],
  connections: () => [{ connectionId: 'a-1', connectedAt: 'now', address: '10.0.0.1:1', watches: ['cds'] }],
  configz: () => [{ kind: 'Gateway' }],
  registryz: () => [],
  endpointz: () => [],
  configDump: async (proxyId) => (proxyId === 'a.b' ? { configs: [] } : undefined),
  more: [{ name: 'extra', help: 'More.', read: () => textAnswer(200, 'extra\n') }],
};

const failures: string[] = [];
const door = new HttpDoor({
  keeper: loopbackKeeper(),
  log: { ...silentLogger(), error: (_message, fields) => failures.push(String(fields?.['path'])) },
  routes: [
    readyRoute(readiness),
    ...debugRoutes(source),
    {
      path: '/broken',
      access: 'open',
      answer: () => {
        throw new Error('a secret path');
      },
    },
  ],
});
let port = 0;

before(async () => {
  port = await door.listen('127.0.0.1', 0);
});

after(() => door[Symbol.asyncDispose]());

function ask(path: string, options: { method?: string; host?: string } = {}): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const headers = options.host === undefined ? {} : { headers: { host: options.host } };
    const target = { host: '127.0.0.1', port, path, method: options.method ?? 'GET', agent: false };
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
  ['readiness says what is missing', ['/ready'], [503, 'not ready: config\n']],
  ['a query does not change the route', ['/ready?probe=1'], [503, 'not ready: config\n']],
  ['HEAD has no body', ['/ready', { method: 'HEAD' }], [503, '']],
  ['there is nothing else', ['/other'], [404, 'not found\n']],
  ['a path that climbs is resolved first', ['/debug/../ready'], [503, 'not ready: config\n']],
  ['only reading is possible', ['/ready', { method: 'POST' }], [405, 'method not allowed\n']],
  ['a page that fails does not tell why', ['/broken'], [500, 'internal error\n']],
  [
    'debug pages are for callers on this machine (T29)',
    ['/debug/configz'],
    [200, '[\n  {\n    "kind": "Gateway"\n  }\n]\n'],
  ],
  ['by whichever of its names', ['/debug/syncz', { host: 'LOCALHOST:8080' }], [200, '[]\n']],
  [
    'but not by a name that somebody else points here (T29)',
    ['/debug/syncz', { host: 'evil.example' }],
    [403, 'not for you\n'],
  ],
  ['which open routes do not mind', ['/ready', { host: 'evil.example' }], [503, 'not ready: config\n']],
  ['a dump needs a proxy', ['/debug/config_dump'], [400, 'You must provide a proxyID in the query string\n']],
  ['that is connected', ['/debug/config_dump?proxyID=a.b'], [200, '{\n  "configs": []\n}\n']],
  [
    'and says so when it is not',
    ['/debug/config_dump?proxyID=x'],
    [404, 'Proxy not connected to this Pilot instance. It may be connected to another instance.\n'],
  ],
  ['other parts add pages of their own', ['/debug/extra'], [200, 'extra\n']],
];

for (const [what, question, answer] of CASES) {
  test(what, async () => assert.deepStrictEqual(await ask(...question), answer));
}

test('when all parts are ready, so is the process', async () => {
  isReady = true;
  assert.deepStrictEqual(await ask('/ready'), [200, '']);
  isReady = false;
});

test('connections are counted, and named in full only where asked', async () => {
  const [, short] = await ask('/debug/connections');
  const [, full] = await ask('/debug/adsz');
  const client = { connectionId: 'a-1', connectedAt: 'now', address: '10.0.0.1:1' };
  assert.deepStrictEqual(JSON.parse(short), { totalClients: 1, clients: [client] });
  assert.deepStrictEqual(JSON.parse(full), { totalClients: 1, clients: [{ ...client, watches: ['cds'] }] });
});

test('the index lists every page', async () => {
  const [, text] = await ask('/debug');
  assert.equal(text.split('\n').filter((line) => line.startsWith('/debug/')).length, 8);
});

test('failed pages are logged', () => assert.deepStrictEqual([...new Set(failures)], ['/broken']));

test('garbage is answered with 400, and the door stays open', async () => {
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('\0\0garbage\r\n\r\n'));
    let seen = '';
    socket.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    socket.on('close', () => resolve(seen));
    socket.on('error', reject);
  });
  assert.match(text, /^HTTP\/1\.1 400 /);
  assert.equal((await ask('/ready'))[0], 503);
});

test('addresses of this machine and of others (T29)', () => {
  const keeper = loopbackKeeper();
  const from = (remoteAddress: string, host = 'localhost') => {
    const caller: DoorCaller = { remoteAddress, host, authorization: '' };
    return keeper.mayPass({ path: '/debug', query: new URLSearchParams(), caller });
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
