import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { TestClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { AgentMetrics } from './agent-metrics.ts';
import { type StatusSettings, StatusServer } from './status-server.ts';

const host = '127.83.3.1';
const ready =
  'cluster_manager.cds.update_success: 1\nlistener_manager.lds.update_success: 2\nlistener_manager.workers_started: 1\nserver.state: 0\n';

let admin: Server;
let application: Server;
let stats = ready;
let prometheus: (request: IncomingMessage, response: ServerResponse) => void;
let appMetrics: (request: IncomingMessage, response: ServerResponse) => void;
let server: StatusServer;
let settings: StatusSettings;
let events: string[] = [];
let hindrance: string | undefined;
let metrics: AgentMetrics;

async function open(change: Partial<StatusSettings> = {}): Promise<void> {
  await server?.close();
  server = new StatusServer(
    { ...settings, ...change },
    {
      gauges: () => ({ startupSeconds: 0.5, certificateNotAfterUnixMs: 3_600_000 }),
      becameReady: () => events.push('ready'),
      drain: async () => {
        events.push('drain');
      },
      quit: () => events.push('quit'),
      hindrance: () => hindrance,
      hasEnvoy: true,
      names: () => [['a.example.com.', ['10.0.0.1']] as const],
    },
    { clock: new TestClock(), log: silentLogger(), metrics },
  );
  await server.listen();
}

function portOf(one: Server): number {
  return (one.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const one = createTcpServer().listen(0, host);
  await once(one, 'listening');
  const { port } = one.address() as AddressInfo;
  one.close();
  await once(one, 'close');
  return port;
}

async function call(
  path: string,
  options: { method?: string; headers?: Record<string, string>; port?: number } = {},
) {
  const { port = settings.status.port, ...rest } = options;
  const outgoing = request({ host, port, path, agent: false, ...rest });
  outgoing.end();
  const [response] = await once(outgoing, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, body: Buffer.concat(chunks).toString() };
}

describe('the status server', () => {
  before(async () => {
    admin = createServer((incoming, response) => {
      if (incoming.url?.startsWith('/stats/prometheus') === true) prometheus(incoming, response);
      else response.end(stats);
    }).listen(0, host);
    application = createServer((incoming, response) => appMetrics(incoming, response)).listen(0, host);
    await Promise.all([once(admin, 'listening'), once(application, 'listening')]);
  });

  after(() => {
    for (const one of [admin, application]) {
      one.close();
      one.closeAllConnections();
    }
  });

  beforeEach(async () => {
    stats = ready;
    events = [];
    prometheus = (incoming, response) =>
      response.end(`envoy_wasmcustom_istio_requests_total{u="${incoming.url}"} 1\n`);
    appMetrics = (_incoming, response) => response.end('app 1');
    metrics = new AgentMetrics('1.2');
    settings = {
      status: { address: host, port: await freePort() },
      prometheus: { address: host, port: await freePort() },
      admin: { address: host, port: portOf(admin) },
      application: { address: host, port: portOf(application), path: '/m' },
      isQuitEnabled: true,
      hasLocalMetrics: false,
      mergesEnvoy: true,
      compresses: true,
    };
    await open();
  });

  afterEach(() => server.close());

  describe('readiness', () => {
    const cases: readonly [stats: string, status: number, body: RegExp][] = [
      [ready, 200, /^$/],
      [
        ready.replace('lds.update_success: 2', 'lds.update_success: 0'),
        503,
        /config not received .* lds updates: 0 successful/,
      ],
      ['listener_manager.lds.update_rejected: 4\n', 503, /lds updates: 0 successful, 4 rejected/],
      [ready.replace('state: 0', 'state: 2'), 503, /current state is: PRE_INITIALIZING/],
      [ready.replace('started: 1', 'started: 0'), 503, /workers have not yet started/],
      ['', 503, /is Istiod running/],
    ];
    for (const [text, status, body] of cases) {
      it(`is ${status} with ${JSON.stringify(text.slice(0, 60))}`, async () => {
        stats = text;
        const answer = await call('/healthz/ready');
        assert.equal(answer.status, status);
        assert.match(answer.body, body);
        assert.deepEqual(events, status === 200 ? ['ready'] : []);
      });
    }

    it('is not there while Envoy does not answer', async () => {
      await open({ admin: { address: host, port: await freePort() } });
      const answer = await call('/healthz/ready');
      assert.equal(answer.status, 503);
      assert.match(answer.body, /Envoy does not answer: .*ECONNREFUSED/);
    });
  });

  it('is not ready while the agent has a reason of its own', async () => {
    stats = ready;
    hindrance = 'no names yet';
    const answer = await call('/healthz/ready');
    hindrance = undefined;
    assert.deepEqual([answer.status, answer.body], [503, 'no names yet']);
  });

  it('shows the names that DNS answers', async () => {
    const answer = await call('/debug/ndsz');
    assert.deepEqual(JSON.parse(answer.body), { table: { 'a.example.com.': { ips: ['10.0.0.1'] } } });
  });

  describe('a scrape', () => {
    it('joins agent, Envoy with its query, and application', async () => {
      const { body } = await call('/stats/prometheus?usedonly&filter=istio');
      const lines = body.split('\n');
      assert.ok(lines.includes('istio_agent_scrapes_total 1'));
      assert.ok(lines.includes('istio_agent_cert_expiry_seconds{resource_name="default"} 3600'));
      assert.ok(lines.includes('istio_build{component="proxy",tag="1.2"} 1'));
      assert.deepEqual(lines.slice(-3), [
        'istio_requests_total{u="/stats/prometheus?usedonly&filter=istio"} 1',
        'app 1',
        '',
      ]);
    });

    it('of 15090 is Envoy alone', async () => {
      const { body } = await call('/stats/prometheus', { port: settings.prometheus.port });
      assert.equal(body, 'istio_requests_total{u="/stats/prometheus"} 1\n');
    });

    it('of 15090 is packed for whoever takes it, unless the workload does not want that', async () => {
      const packed = {
        port: settings.prometheus.port,
        headers: { 'accept-encoding': 'deflate, gzip;q=0.5' },
      };
      const outgoing = request({ host, path: '/stats/prometheus', agent: false, ...packed });
      outgoing.end();
      const [response] = await once(outgoing, 'response');
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      assert.equal(response.headers['content-encoding'], 'gzip');
      assert.equal(
        gunzipSync(Buffer.concat(chunks)).toString(),
        'istio_requests_total{u="/stats/prometheus"} 1\n',
      );
      for (const refused of ['identity', 'gzip;q=0']) {
        const headers = { 'accept-encoding': refused };
        const { body } = await call('/stats/prometheus', { ...packed, headers });
        assert.match(body, /^istio_requests_total/);
      }
    });

    it("leaves out Envoy's where the agent is not to merge them", async () => {
      await server.close();
      settings = { ...settings, mergesEnvoy: false };
      await open();
      const { body } = await call('/metrics');
      assert.doesNotMatch(body, /istio_requests_total/);
      assert.match(body, /\napp 1/);
    });

    it('leaves out half lines of a source that breaks off, and counts it; the others come', async () => {
      prometheus = (_incoming, response) => {
        response.write('whole 1\nhalf{', () => response.destroy());
      };
      appMetrics = (_incoming, response) => {
        response.statusCode = 500;
        response.end('oops 1\n');
      };
      const { body } = await call('/metrics');
      assert.match(body, /\nwhole 1\n$/);
      assert.equal(metrics.count('istio_agent_scrape_failures_total{type="envoy"}'), 1);
      assert.equal(metrics.count('istio_agent_scrape_failures_total{type="application"}'), 1);
    });

    it('of an application at its own port is not answered by itself', async () => {
      await open({ application: { ...settings.status, path: '/metrics' } });
      assert.equal((await call('/metrics')).status, 200);
      assert.equal(metrics.count('istio_agent_scrapes_total'), 1);
    });
  });

  it("leads nowhere else in Envoy's admin pages (T41)", async () => {
    const asked: string[] = [];
    prometheus = (incoming, response) => {
      asked.push(incoming.url ?? '');
      response.end();
    };
    const statuses: number[] = [];
    for (const path of ['/config_dump', '/certs', '/stats', '/', '/stats/prometheus/../../config_dump']) {
      for (const { port } of [settings.status, settings.prometheus])
        statuses.push((await call(path, { port })).status);
    }
    assert.deepEqual([new Set(statuses), asked], [new Set([404]), []]);
  });

  describe('T40: commands', () => {
    const post = { method: 'POST' };
    it('are carried out by POST from this machine', async () => {
      assert.deepEqual(
        [(await call('/drain', post)).status, (await call('/quitquitquit', post)).status],
        [200, 200],
      );
      assert.deepEqual(events, ['drain', 'quit']);
    });

    it('are refused to GET and to web pages; quitting also when it is not switched on', async () => {
      const refused = [
        await call('/drain'),
        await call('/quitquitquit'),
        await call('/drain', { ...post, headers: { origin: 'http://evil' } }),
        await call('/quitquitquit', { ...post, headers: { 'sec-fetch-site': 'cross-site' } }),
      ];
      await open({ isQuitEnabled: false });
      refused.push(await call('/quitquitquit', post));
      assert.deepEqual(
        refused.map((one) => one.status),
        [405, 405, 403, 403, 404],
      );
      assert.deepEqual(events, []);
    });
  });
});
