/** Routes over a real socket: who gets which, and that one bad request or page harms only itself. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { silentLogger } from '#base/logger.ts';
import { debugRoutes, type DebugSource } from './debug.ts';
import { Readiness, readyRoute } from './health.ts';
import { debugKeeper } from './debug-access.ts';
import { type DoorAnswer, type DoorCaller, HttpDoor, textAnswer } from './http-server.ts';

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
  configDump: async ({ proxyId, namespace = 'b' }) =>
    proxyId === 'a.b' && namespace === 'b' ? { configs: [] } : undefined,
  more: [
    { name: 'extra', help: 'More.', read: () => textAnswer(200, 'extra\n') },
    { name: 'slow', help: 'Later.', read: () => slow.promise },
  ],
};

/** Identities by what they show. */
const IDENTITIES: ReadonlyMap<string, string> = new Map([
  ['Bearer system', 'istio-system'],
  ['Bearer b', 'b'],
  ['Bearer c', 'c'],
  ['Bearer friend', 'friends'],
]);
const keeper = debugKeeper({
  identify: async (authorization) => IDENTITIES.get(authorization),
  systemNamespace: () => 'istio-system',
  allowedNamespaces: ['friends'],
  isByNamespace: true,
});

const failures: string[] = [];
/** Answers of /debug/slow wait for this. */
const slow = Promise.withResolvers<DoorAnswer>();
const door = new HttpDoor({
  keeper,
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

interface AskOptions {
  readonly method?: string;
  readonly host?: string;
  readonly authorization?: string;
}

function ask(path: string, options: AskOptions = {}): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const { host, authorization } = options;
    const headers = {
      headers: {
        ...(host === undefined ? {} : { host }),
        ...(authorization === undefined ? {} : { authorization }),
      },
    };
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
    'debug pages are for callers on this machine',
    ['/debug/configz'],
    [200, '[\n  {\n    "kind": "Gateway"\n  }\n]\n'],
  ],
  ['by whichever of its names', ['/debug/syncz', { host: 'LOCALHOST:8080' }], [200, '[]\n']],
  [
    'but not by a name that somebody else points here',
    ['/debug/syncz', { host: 'evil.example' }],
    [401, 'not for you\n'],
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
  assert.equal(text.split('\n').filter((line) => line.startsWith('/debug/')).length, 12);
});

test('failed pages are logged', () => assert.deepStrictEqual([...new Set(failures)], ['/broken']));

test('T26: headers without end are refused', async () => {
  assert.equal((await ask('/ready', { authorization: `Bearer ${'x'.repeat(20_000)}` }))[0], 431);
});

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

/** A name that is none of this machine's: the caller counts as one from elsewhere. */
const ELSEWHERE = { host: 'istiod.istio-system.svc' };
const NOBODY: readonly [number, string] = [401, 'not for you\n'];
const OTHER: readonly [number, string] = [403, 'not for you\n'];
const DUMP: readonly [number, string] = [200, '{\n  "configs": []\n}\n'];
const GONE: readonly [number, string] = [
  404,
  'Proxy not connected to this Pilot instance. It may be connected to another instance.\n',
];
const ACCESS: readonly (readonly [string, string, string, readonly [number, string]])[] = [
  ['nobody', '', '/debug/syncz', NOBODY],
  ['nobody', '', '/debug/config_dump?proxyID=a.b', NOBODY],
  ['nobody', '', '/debug', NOBODY],
  ['a forged identity', 'Bearer x', '/debug/config_dump?proxyID=a.b', NOBODY],
  ['the system namespace', 'Bearer system', '/debug/syncz', [200, '[]\n']],
  ['the system namespace', 'Bearer system', '/debug/config_dump?proxyID=a.b', DUMP],
  ['an allowed namespace', 'Bearer friend', '/debug/syncz', [200, '[]\n']],
  ['another namespace', 'Bearer b', '/debug/syncz', OTHER],
  ['another namespace', 'Bearer b', '/debug/registryz', OTHER],
  ['another namespace', 'Bearer b', '/debug/ecdsz?proxyID=a.b', OTHER],
  ['another namespace', 'Bearer b', '/debug/extra', OTHER],
  ['the namespace of the proxy', 'Bearer b', '/debug/config_dump?proxyID=a.b', DUMP],
  ['the namespace of the proxy', 'Bearer b', '/debug/edsz?proxyID=a.b', DUMP],
  ['the namespace of the proxy', 'Bearer b', '/debug/ndsz?proxyID=a.b', DUMP],
  ['the namespace of another proxy', 'Bearer c', '/debug/config_dump?proxyID=a.b', GONE],
  ['the namespace of another proxy', 'Bearer c', '/debug/edsz?proxyID=a.b', GONE],
];
for (const [who, authorization, path, answer] of ACCESS) {
  test(`T29: ${who} is answered ${answer[0]} to ${path}`, async () => {
    const shown = authorization === '' ? ELSEWHERE : { ...ELSEWHERE, authorization };
    assert.deepStrictEqual(await ask(path, shown), answer);
  });
}

test('only so many debug pages are under way at a time; open ones do not wait for them', async () => {
  const many = Array.from({ length: 20 }, () => ask('/debug/slow'));
  const refused = await Promise.race(many);
  assert.deepStrictEqual(refused, [503, 'too many requests at a time\n']);
  assert.equal((await ask('/ready'))[0], 503);
  slow.resolve(textAnswer(200, 'late\n'));
  const answers = await Promise.all(many);
  assert.equal(answers.filter(([status]) => status === 200).length, 16);
  assert.equal((await ask('/debug/syncz'))[0], 200);
});

test('addresses of this machine and of others (T29)', async () => {
  const from = async (remoteAddress: string, host = 'localhost'): Promise<boolean> => {
    const caller: DoorCaller = { remoteAddress, host, authorization: '' };
    return (await keeper.admit(caller)).kind === 'all';
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
  assert.deepStrictEqual(await Promise.all(addresses.map((address) => from(address))), [
    true,
    true,
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
  assert.deepStrictEqual(
    await Promise.all(['[::1]', '127.0.0.1', 'localhost.evil', ''].map((host) => from('::1', host))),
    [true, true, false, false],
  );
});
