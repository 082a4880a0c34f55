/** Which DestinationRule is in force for whom, and what its pools, outlier detection and warm-up do: traffic through a real Envoy. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { entryFor, type LiveEndpoint, startEndpoint } from './live-endpoints.ts';
import { LiveSidecar } from './live-sidecar.ts';
import { waitFor } from './mesh-pair.ts';
import { startHttp2App, startHttpApp, type TestApp } from './test-apps.ts';
import { freePort } from './static-envoy.ts';

let sidecar: LiveSidecar;
const WARMUP_MS = 3_000;
const WARMING = {
  loadBalancer: { simple: 'ROUND_ROBIN', warmup: { duration: '3s', minimumPercent: 10, aggression: 1 } },
};
let warmingSinceMs = 0;
let one: LiveEndpoint;
let two: LiveEndpoint;
const closers: { close(): unknown }[] = [];

before(async () => {
  sidecar = await LiveSidecar.start({
    flags: { ...DEFAULT_MESH_FLAGS, redisFilter: true },
    locality: { region: 'r1', zone: 'z1' },
    facts: { labels: { app: 'client', version: 'v1' } },
  });
  [one, two] = await Promise.all([startEndpoint('one'), startEndpoint('two')]);
  closers.push(one, two);
  await serve('warm.test', WARMING, { apps: [one] });
  warmingSinceMs = performance.now();
});

after(async () => {
  await sidecar[Symbol.asyncDispose]();
  for (const closer of closers) await closer.close();
});

const yaml = (...documents: readonly object[]): string =>
  documents.map((document) => JSON.stringify(document)).join('\n---\n');

function rule(name: string, spec: object, namespace = 'default'): object {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name, namespace },
    spec,
  };
}

const without = (name: string, namespace = 'default') =>
  sidecar.remove({ kind: 'DestinationRule', namespace, name });

/** A policy that shows: Envoy sets a cookie of this name. */
const cookie = (name: string): object => ({
  loadBalancer: { consistentHash: { httpCookie: { name, ttl: '60s' } } },
});

/** Name of the cookie that a call got; '' for none. */
async function cookieOf(host: string): Promise<string> {
  const { headers } = await sidecar.call(host);
  return String(headers['set-cookie']?.[0] ?? '').split('=', 1)[0] ?? '';
}

const inNamespace = (entry: string, namespace: string): string =>
  entry.replace('metadata: {', `metadata: {namespace: ${namespace}, `);

interface Pooled {
  readonly app?: TestApp | LiveEndpoint;
  readonly apps?: readonly LiveEndpoint[];
  readonly protocol?: string;
  readonly more?: (i: number) => string;
}

/** A host with a policy. */
async function serve(
  host: string,
  trafficPolicy: object,
  { app, apps, protocol, more }: Pooled,
): Promise<void> {
  const endpoints = apps ?? [{ address: '127.0.0.1', ...app } as LiveEndpoint];
  const entry = entryFor(host, endpoints, (_endpoint, i) => more?.(i) ?? '');
  const typed = protocol === undefined ? entry : entry.replace('protocol: HTTP', `protocol: ${protocol}`);
  await sidecar.apply(`${typed}---\n${yaml(rule(host, { host, trafficPolicy }))}`);
}

describe('in force is', () => {
  test('the rule of the client’s namespace, then that of the service, then that of the root namespace', async () => {
    const host = 'order.test';
    const as = (name: string, namespace: string, more: object = {}): object =>
      rule(name, { host, trafficPolicy: cookie(name), ...more }, namespace);
    await sidecar.apply(
      `${inNamespace(entryFor(host, [one]), 'shop')}---\n${yaml(
        as('of-client', 'default'),
        as('of-service', 'shop'),
        as('of-root', 'istio-system'),
        as('of-others', 'elsewhere'),
      )}`,
    );
    strictEqual(await cookieOf(host), 'of-client');
    await without('of-client');
    strictEqual(await cookieOf(host), 'of-service');
    await sidecar.apply(yaml(as('of-service', 'shop', { exportTo: ['.'] })));
    strictEqual(await cookieOf(host), 'of-root');
    await sidecar.apply(yaml(as('of-service', 'shop', { exportTo: ['default'] })));
    strictEqual(await cookieOf(host), 'of-service');
    await without('of-service', 'shop');
    await without('of-root', 'istio-system');
    strictEqual(await cookieOf(host), '');
  });

  test('the most specific host, one rule made of several for it, and that of the workload before others', async () => {
    await sidecar.apply(
      `${entryFor('a.shape.test', [one, two], (endpoint) => `, labels: {version: ${endpoint.name}}`)}---\n${yaml(
        rule('wide', { host: '*.shape.test', trafficPolicy: cookie('wide') }),
        rule('first', {
          host: 'a.shape.test',
          trafficPolicy: cookie('first'),
          subsets: [{ name: 'one', labels: { version: 'one' } }],
        }),
        rule('second', {
          host: 'a.shape.test',
          trafficPolicy: cookie('second'),
          subsets: [{ name: 'two', labels: { version: 'two' }, trafficPolicy: cookie('subset') }],
        }),
        {
          apiVersion: 'networking.istio.io/v1',
          kind: 'VirtualService',
          metadata: { name: 'shape', namespace: 'default' },
          spec: {
            hosts: ['a.shape.test'],
            http: ['one', 'two'].map((subset) => ({
              match: [{ headers: { 'x-subset': { exact: subset } } }],
              route: [{ destination: { host: 'a.shape.test', subset } }],
            })),
          },
        },
      )}`,
    );
    const to = async (subset: string): Promise<readonly string[]> => {
      const { body, headers } = await sidecar.call('a.shape.test', { headers: { 'x-subset': subset } });
      return [body, String(headers['set-cookie']?.[0]).split('=', 1)[0] ?? ''];
    };
    deepStrictEqual(
      [await to('one'), await to('two')],
      [
        ['one', 'first'],
        ['two', 'subset'],
      ],
    );
    const mine = (version: string): object =>
      rule('mine', {
        host: 'a.shape.test',
        workloadSelector: { matchLabels: { version } },
        trafficPolicy: cookie('mine'),
        subsets: [{ name: 'one', labels: { version: 'one' } }],
      });
    await sidecar.apply(yaml(mine('v2')));
    deepStrictEqual(await to('one'), ['one', 'first']);
    await sidecar.apply(yaml(mine('v1')));
    deepStrictEqual(await to('one'), ['one', 'mine']);
  });

  test('what it says for a port before what it says for all', async () => {
    const entry = entryFor('ports.test', [one])
      .replace('ports: [{number', 'ports: [{number: 81, name: http-81, protocol: HTTP}, {number')
      .replace('{http:', `{http-81: ${one.port}, http:`);
    const portLevelSettings = [{ port: { number: 81 }, ...cookie('of-port') }];
    await sidecar.apply(
      `${entry}---\n${yaml(rule('ports', { host: 'ports.test', trafficPolicy: { ...cookie('of-all'), portLevelSettings } }))}`,
    );
    deepStrictEqual([await cookieOf('ports.test'), await cookieOf('ports.test:81')], ['of-all', 'of-port']);
  });
});

describe('connection pools', () => {
  const versionOf = async (host: string): Promise<string> =>
    JSON.parse((await sidecar.call(host)).body).version;

  test('end a connection after so many requests, or when it was idle', async () => {
    const host = 'often.test';
    const counted = async (http: object): Promise<number> => {
      await serve(host, { connectionPool: { http } }, { app: one });
      const before = await sidecar.stat(`outbound|80||${host}`, 'upstream_cx_total');
      await sidecar.count(host, 6);
      return (await sidecar.stat(`outbound|80||${host}`, 'upstream_cx_total')) - before;
    };
    deepStrictEqual([await counted({}), await counted({ maxRequestsPerConnection: 2 })], [1, 3]);
    await counted({ idleTimeout: '0.2s' });
    await waitFor('no connection', async () => {
      return (await sidecar.stat(`outbound|80||${host}`, 'upstream_cx_active')) === 0 || undefined;
    });
  });

  test('upgrade to HTTP/2 where they are told to, or speak what the client speaks', async () => {
    const [http1, http2] = [await startHttpApp('127.0.0.1'), await startHttp2App('127.0.0.1')];
    closers.push(http1, http2);
    const upgrade = (h2UpgradePolicy: string): object => ({ connectionPool: { http: { h2UpgradePolicy } } });
    await serve('upgrade.test', upgrade('UPGRADE'), { app: http2 });
    await serve('stays.test', upgrade('DO_NOT_UPGRADE'), { app: http1 });
    await serve(
      'client.test',
      { connectionPool: { http: { useClientProtocol: true } } },
      { app: http1, protocol: 'HTTP2' },
    );
    deepStrictEqual(await Promise.all(['upgrade.test', 'stays.test', 'client.test'].map(versionOf)), [
      '2.0',
      '1.1',
      '1.1',
    ]);
  });

  test('refuse requests beyond the most that may run', async () => {
    const waiting: (() => void)[] = [];
    const slow = await startEndpoint(
      'slow',
      (_incoming, answer) => void waiting.push(() => answer.end('slow')),
    );
    closers.push(slow);
    await serve('busy.test', { connectionPool: { http: { http2MaxRequests: 2 } } }, { app: slow });
    const running = [sidecar.call('busy.test'), sidecar.call('busy.test')];
    await waitFor('two requests', () => waiting.length === 2 || undefined);
    strictEqual((await sidecar.call('busy.test')).status, 503);
    for (const end of waiting) end();
    deepStrictEqual(
      (await Promise.all(running)).map(({ status }) => status),
      [200, 200],
    );
  });
});

describe('outlier detection', () => {
  const failing = async (status: number): Promise<LiveEndpoint> => {
    const endpoint = await startEndpoint('bad', (_incoming, answer) => {
      answer.statusCode = status;
      answer.end('bad');
    });
    closers.push(endpoint);
    return endpoint;
  };
  const ejected = (host: string): Promise<number> =>
    sidecar.stat(`outbound|80||${host}`, 'outlier_detection.ejections_active');
  const policy = (outlierDetection: object): object => ({
    loadBalancer: { simple: 'ROUND_ROBIN' },
    outlierDetection: {
      interval: '60s',
      baseEjectionTime: '60s',
      maxEjectionPercent: 100,
      ...outlierDetection,
    },
  });

  test('may count gateway errors alone', async () => {
    const gatewayErrors = policy({ consecutiveGatewayErrors: 2, consecutive5xxErrors: 0 });
    await serve('inner.test', gatewayErrors, { apps: [one, await failing(500)] });
    await serve('outer.test', gatewayErrors, { apps: [one, await failing(502)] });
    await Promise.all(['inner.test', 'outer.test'].map((host) => sidecar.count(host, 12)));
    deepStrictEqual(await Promise.all(['inner.test', 'outer.test'].map(ejected)), [0, 1]);
  });

  test('may tell failures to connect from answers', async () => {
    const gone = await startEndpoint('gone');
    await gone.close();
    const split = {
      splitExternalLocalOriginErrors: true,
      consecutiveLocalOriginFailures: 2,
      consecutive5xxErrors: 100,
    };
    await serve('split.test', policy(split), { apps: [one, gone] });
    await sidecar.count('split.test', 12);
    strictEqual(await ejected('split.test'), 1);
  });

  test('goes on with all endpoints when too few are healthy, where that is asked for', async () => {
    const bad = await failing(500);
    const apps = [bad, await failing(500), one];
    const five = { consecutive5xxErrors: 1 };
    await serve('strict.test', policy(five), { apps });
    await serve('panic.test', policy({ ...five, minHealthPercent: 50 }), { apps });
    // Envoy tells its workers of several ejections together, a second after the first.
    const settles = (host: string, good: number): Promise<true> =>
      waitFor(`${good} of 12 for the good one`, async () => {
        return (await sidecar.count(host, 12)).get('one') === good || undefined;
      });
    await Promise.all([settles('strict.test', 12), settles('panic.test', 4)]);
    deepStrictEqual(await Promise.all(['strict.test', 'panic.test'].map(ejected)), [2, 2]);
  });
});

test('an endpoint that comes later is warmed up', async () => {
  await waitFor('the first to be warm', () => performance.now() - warmingSinceMs > WARMUP_MS || undefined);
  await serve('warm.test', WARMING, { apps: [one, two] });
  const answers = await Promise.all(Array.from({ length: 40 }, () => sidecar.call('warm.test')));
  const counts = ['one', 'two'].map((name) => answers.filter(({ body }) => body === name).length);
  // A tenth of the weight at first, a third after a second; equal shares would be 20.
  ok(counts[1]! >= 2 && counts[1]! <= 12, counts.join());
});

test('endpoints are near by the labels that they share with the client', async () => {
  const failoverPriority = ['version', 'app'];
  const policy = {
    outlierDetection: { consecutive5xxErrors: 1, baseEjectionTime: '60s', maxEjectionPercent: 100 },
    loadBalancer: { localityLbSetting: { failoverPriority } },
  };
  const gone = await startEndpoint('gone');
  const labels = ['{version: v1, app: client}', '{version: v1, app: other}', '{version: v2, app: client}'];
  await serve('labels.test', policy, { apps: [gone, one, two], more: (i) => `, labels: ${labels[i]}` });
  deepStrictEqual([...(await sidecar.count('labels.test', 6))], [['gone', 6]]);
  await gone.close();
  await waitFor('the next', async () => (await sidecar.call('labels.test')).body === 'one' || undefined);
  deepStrictEqual([...(await sidecar.count('labels.test', 6))], [['one', 6]]);
});

describe('ports of databases', () => {
  /** A server that speaks first if it has something to say, and answers what it understands. */
  async function database(greeting: string, answers: (bytes: Buffer) => string | Buffer): Promise<number> {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      if (greeting !== '') socket.write(greeting);
      socket.on('data', (bytes: Buffer) => void socket.write(answers(bytes)));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(server);
    return (server.address() as AddressInfo).port;
  }

  async function reachable(protocol: string, to: number): Promise<number> {
    const port = await freePort(sidecar.address);
    const host = `${protocol.toLowerCase()}.test`;
    const entry = entryFor(host, [{ address: '127.0.0.1', port: to } as LiveEndpoint])
      .replace('number: 80, name: http, protocol: HTTP', `number: ${port}, name: main, protocol: ${protocol}`)
      .replace('{http:', '{main:');
    await sidecar.apply(entry);
    return port;
  }

  /** What comes first after these bytes. */
  async function answered(port: number, bytes: string | Buffer): Promise<string> {
    const socket = connect(port, sidecar.address);
    if (bytes.length > 0) socket.write(bytes);
    const [first] = (await once(socket, 'data', { signal: AbortSignal.timeout(5_000) })) as [Buffer];
    socket.destroy();
    return first.toString();
  }

  test('MySQL: the server is heard first', async () => {
    const port = await reachable('MySQL', await database('5.7.0-ready', () => ''));
    strictEqual(await answered(port, ''), '5.7.0-ready');
  });

  test('Redis: commands are understood, some answered by the proxy', async () => {
    const seen: string[] = [];
    const port = await reachable(
      'Redis',
      await database('', (bytes) => {
        seen.push(bytes.toString());
        return '$5\r\nvalue\r\n';
      }),
    );
    strictEqual(await answered(port, '*2\r\n$3\r\nGET\r\n$1\r\nk\r\n'), '$5\r\nvalue\r\n');
    match(seen.join(''), /GET\r\n\$1\r\nk/i);
    match(await answered(port, '*1\r\n$4\r\nPING\r\n'), /^\+PONG/);
    strictEqual(seen.length, 1);
  });

  test('Mongo: bytes pass, and are counted', async () => {
    const port = await reachable('Mongo', await database('', (bytes) => bytes));
    // OP_MSG with one empty document section.
    const body = Buffer.from([0, 0, 0, 0, 0, 5, 0, 0, 0, 0]);
    const head = Buffer.alloc(16);
    head.writeInt32LE(16 + body.length, 0);
    head.writeInt32LE(7, 4);
    head.writeInt32LE(2013, 12);
    const message = Buffer.concat([head, body]);
    strictEqual(await answered(port, message), message.toString());
    match(await sidecar.feed.admin('/stats?filter=^mongo'), /^mongo\.[^\n]*mongo\.test/);
  });
});
