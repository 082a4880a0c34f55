import { deepStrictEqual, match, strictEqual } from 'node:assert';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { GrpcFrameReader, grpcFrame } from '#base/grpc-frame.ts';
import { silentLogger } from '#base/logger.ts';
import { WireReader, WireWriter } from '#base/proto-wire.ts';
import { type ApplicationHealth, HealthCheck } from './health-check.ts';
import { HealthFeed } from './health-feed.ts';
import { type HealthCheckSettings, type ProbeTarget, readHealthCheck } from './health-options.ts';
import { probe } from './health-probe.ts';
import type { JsonValue } from './json-value.ts';

const HOST = '127.83.2.9';
const seen: { readonly url: string | undefined; readonly host: string | undefined; readonly from: string }[] =
  [];
const http = createServer((request, response) => {
  const { url, headers, socket } = request;
  seen.push({ url, host: headers.host, from: socket.remoteAddress ?? '' });
  if (url === '/slow') return;
  response.writeHead(Number(url?.slice(1) || '200')).end('x'.repeat(100_000));
});
/** Services that are serving. */
const serving = new Set(['', 'shop']);
const grpc = createHttp2Server();
grpc.on('stream', (stream: ServerHttp2Stream, headers) => {
  const isHealthService = headers[':path'] === '/grpc.health.v1.Health/Check';
  const reader = new GrpcFrameReader(1024);
  stream.on('data', (chunk: Buffer) => {
    const [message] = reader.push(chunk);
    if (message === undefined) return;
    const request = new WireReader(message);
    let service = '';
    while (request.next()) if (request.field === 1) service = request.string();
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': isHealthService ? '0' : '12' }));
    stream.end(grpcFrame(new WireWriter().varint(1, serving.has(service) ? 1 : 2).finish()));
  });
});

before(async () => {
  for (const server of [http, grpc]) {
    server.listen(0, HOST);
    await once(server, 'listening');
  }
});

after(() => {
  http.close();
  http.closeAllConnections();
  grpc.close();
});

const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;

function read(json: JsonValue | undefined, environment: Readonly<Record<string, string>> = {}) {
  const problems: string[] = [];
  const settings = readHealthCheck({
    probe: json,
    addresses: ['10.0.0.1'],
    text: (name) => environment[name],
    problem: (name) => void problems.push(name),
  });
  return { settings, problems };
}

function target(json: JsonValue, environment: Readonly<Record<string, string>> = {}): ProbeTarget {
  const { settings } = read(json, environment);
  if (settings === undefined) throw new Error('no probe');
  return settings.target;
}

/** '' when the application is well. */
async function ask(json: JsonValue, timeoutMs = 5_000): Promise<string> {
  const limit = AbortSignal.timeout(timeoutMs);
  return probe(target(json, { ISTIO_META_INTERCEPTION_MODE: 'NONE' }), limit).then(
    () => '',
    (error: Error) => error.message,
  );
}

test('a probe is read with Istio’s defaults', () => {
  deepStrictEqual(read({ httpGet: { port: 80 } }).settings, {
    target: {
      kind: 'http',
      scheme: 'http',
      host: '10.0.0.1',
      port: 80,
      path: '/',
      headers: [],
      sourceAddress: '127.0.0.6',
    },
    initialDelayMs: 0,
    timeoutMs: 1_000,
    periodMs: 10_000,
    successThreshold: 1,
    failureThreshold: 1,
  });
});

const TARGETS: readonly (readonly [string, JsonValue, Record<string, string>, object])[] = [
  [
    'TCP at localhost',
    { tcpSocket: { port: 80 } },
    { REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION: 'true' },
    { kind: 'tcp', host: 'localhost', port: 80 },
  ],
  [
    'gRPC where the application is',
    { grpc: { port: 9000, service: 's' } },
    { LATEEN_APP_ADDRESS: '127.1.1.3' },
    { kind: 'grpc', host: '127.1.1.3', port: 9000, service: 's' },
  ],
  ['a command', { exec: { command: ['cat', '/x'] } }, {}, { kind: 'exec', command: ['cat', '/x'] }],
];
for (const [what, json, environment, expected] of TARGETS) {
  test(`a probe of ${what}`, () => deepStrictEqual(target(json, environment), expected));
}

for (const json of [{}, 7, { httpGet: {} }, { tcpSocket: { port: 70_000 } }, { exec: { command: [] } }]) {
  test(`a probe that cannot be used is noted: ${JSON.stringify(json)}`, () => {
    deepStrictEqual(read(json as JsonValue), {
      settings: undefined,
      problems: ['PROXY_CONFIG.readinessProbe'],
    });
  });
}

test('HTTP: what is not an error is well, by whatever name the application is asked', async () => {
  const port = portOf(http);
  const get = (path: string, httpHeaders: JsonValue = []) =>
    ask({ httpGet: { host: HOST, port, path, httpHeaders } });
  deepStrictEqual(
    [await get('/200'), await get('302'), await get('/404'), await get('/503')],
    ['', '', 'the application answered with status 404', 'the application answered with status 503'],
  );
  await get('/200', [{ name: 'Host', value: 'shop.example.com' }]);
  strictEqual(seen.at(-1)?.host, 'shop.example.com');
});

test('HTTP comes from an address that capture leaves alone', async () => {
  const probed = target({ httpGet: { host: HOST, port: portOf(http), path: '/200' } });
  await probe(probed, AbortSignal.timeout(5_000));
  strictEqual(seen.at(-1)?.from, '127.0.0.6');
});

test('who does not answer in time, or at all, is not well', async () => {
  match(await ask({ httpGet: { host: HOST, port: portOf(http), path: '/slow' } }, 50), /abort|timeout/i);
  match(await ask({ httpGet: { host: HOST, port: 1 } }), /ECONNREFUSED/);
  match(await ask({ tcpSocket: { host: HOST, port: 1 } }), /ECONNREFUSED/);
});

test('TCP: a connection is enough', async () => {
  strictEqual(await ask({ tcpSocket: { host: HOST, port: portOf(http) } }), '');
});

test('gRPC: the health service decides', async () => {
  const port = portOf(grpc);
  const call = (service: string) =>
    probe({ kind: 'grpc', host: HOST, port, service }, AbortSignal.timeout(5_000)).then(
      () => '',
      (error: Error) => error.message,
    );
  deepStrictEqual(
    [await call(''), await call('shop'), await call('other')],
    ['', '', 'the health service says that it is not serving'],
  );
});

test('a command: its exit code decides, and one that hangs is ended', async () => {
  deepStrictEqual(
    [
      await ask({ exec: { command: ['true'] } }),
      await ask({ exec: { command: ['sh', '-c', 'exit 3'] } }),
      await ask({ exec: { command: ['/nowhere'] } }),
    ],
    ['', 'the command ended with 3', 'spawn /nowhere ENOENT'],
  );
  match(await ask({ exec: { command: ['sleep', '60'] } }, 50), /abort|timeout/i);
});

/** A check over a still clock, whose answers the test gives. */
function check(settings: Partial<HealthCheckSettings>) {
  const clock = new TestClock();
  const told: ApplicationHealth[] = [];
  const answers = { envoy: '', application: '' };
  const running = new HealthCheck(
    {
      target: { kind: 'tcp', host: HOST, port: 1 },
      initialDelayMs: 0,
      timeoutMs: 1_000,
      periodMs: 10_000,
      successThreshold: 1,
      failureThreshold: 1,
      ...settings,
    },
    {
      probe: () =>
        answers.application === '' ? Promise.resolve() : Promise.reject(new Error(answers.application)),
      envoyProblem: () => Promise.resolve(answers.envoy),
      changed: (health) => told.push(health),
      clock,
      log: silentLogger(),
    },
  );
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  return { clock, told, answers, pass, running };
}

const well = { isHealthy: true, problem: '' };

test('only changes are told, the first answer among them', async () => {
  const { told, answers, pass } = check({});
  for (const [application, ms] of [
    ['', 0],
    ['', 10_000],
    ['no', 10_000],
    ['never', 10_000],
    ['', 10_000],
  ] as const) {
    answers.application = application;
    await pass(ms);
  }
  deepStrictEqual(told, [well, { isHealthy: false, problem: 'no' }, well]);
});

test('so many answers of one kind in a row make a change', async () => {
  const { told, answers, pass } = check({ successThreshold: 2, failureThreshold: 3, initialDelayMs: 5_000 });
  const give = async (text: string): Promise<void> => {
    for (const one of text) {
      answers.application = one === '+' ? '' : 'no';
      await pass(told.length === 0 ? 5_000 : 10_000);
      if (told.length === 0) await pass(5_000);
    }
  };
  await give('++--+--+---');
  deepStrictEqual(
    told.map(({ isHealthy }) => isHealthy),
    [true, false],
  );
});

test('without Envoy the application is not well, and nobody asks it', async () => {
  const { told, answers, pass } = check({});
  answers.envoy = 'workers have not yet started';
  await pass(0);
  deepStrictEqual(told, [{ isHealthy: false, problem: 'workers have not yet started' }]);
});

test('after its end a check does nothing', async () => {
  const { told, pass, running, clock } = check({});
  running[Symbol.dispose]();
  await pass(60_000);
  deepStrictEqual([told, clock.waitingCount], [[], 0]);
});

/** Type and message of the error of the requests that a stream lets through; '' without one. */
function requestsOf(chunks: readonly Buffer[], isDelta: boolean): readonly (readonly [string, string])[] {
  return new GrpcFrameReader(1024).push(Buffer.concat(chunks)).map((message) => {
    const reader = new WireReader(message);
    let [type, problem] = ['', ''];
    while (reader.next()) {
      if (reader.field === (isDelta ? 2 : 4)) type = reader.string();
      else if (reader.field === (isDelta ? 7 : 6)) {
        const status = new WireReader(reader.bytes());
        while (status.next()) if (status.field === 2) problem = status.string();
      }
    }
    return [type, problem] as const;
  });
}

for (const isDelta of [true, false]) {
  test(`health goes out on every ${isDelta ? 'delta' : 'state-of-the-world'} stream, after Envoy’s first request`, async () => {
    const type = 'type.googleapis.com/istio.v1.HealthInformation';
    const feed = new HealthFeed();
    const chunks: Buffer[] = [];
    const { requests } = feed.open(isDelta);
    requests.on('data', (chunk: Buffer) => chunks.push(chunk));
    feed.tell({ isHealthy: false, problem: 'no' });
    const first = new WireWriter().string(isDelta ? 2 : 4, 'x').finish();
    requests.write(grpcFrame(first));
    feed.tell(well);
    await new Promise(setImmediate);
    deepStrictEqual(requestsOf(chunks, isDelta), [
      ['x', ''],
      [type, 'no'],
      [type, ''],
    ]);
    const again: Buffer[] = [];
    const next = feed.open(isDelta).requests;
    next.on('data', (chunk: Buffer) => again.push(chunk));
    next.write(grpcFrame(first));
    await new Promise(setImmediate);
    deepStrictEqual(requestsOf(again, isDelta), [
      ['x', ''],
      [type, ''],
    ]);
  });
}
