import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { grpcFrame } from '#base/grpc-frame.ts';
import { silentLogger } from '#base/logger.ts';
import { seededRng } from '#base/rng.ts';
import { AgentMetrics } from './agent-metrics.ts';
import { ControlPlane, type ControlPlaneSettings } from './control-plane.ts';
import { UnixGrpcServer } from './unix-grpc-server.ts';
import { XdsProxy } from './xds-proxy.ts';

const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const host = '127.83.1.7';

/** A control plane that does what each test says with each stream. */
class Upstream {
  readonly headers: IncomingHttpHeaders[] = [];
  handle: (stream: ServerHttp2Stream) => void = (stream) => stream.respond({ ':status': 200 });
  port = 0;
  #server: Http2Server | undefined;
  readonly #sessions = new Set<ServerHttp2Session>();

  async start(): Promise<void> {
    this.#server = createServer();
    this.#server.on('session', (session) => this.#sessions.add(session));
    this.#server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.on('error', () => {});
      this.headers.push(headers);
      this.handle(stream);
    });
    this.#server.listen(this.port, host);
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    this.#sessions.clear();
    const server = this.#server;
    if (server?.listening === true) await new Promise((resolve) => server.close(resolve));
  }
}

function settings(change: Partial<ControlPlaneSettings> = {}): ControlPlaneSettings {
  return {
    host,
    port: upstream.port,
    security: 'plaintext',
    rootCertPath: '',
    serverName: undefined,
    tokenPath: join(folder, 'token'),
    clientCertificate: undefined,
    headers: [],
    compliance: '',
    clusterId: 'c1',
    ...change,
  };
}

let folder = '';
let upstream: Upstream;
let proxy: XdsProxy;
let door: UnixGrpcServer;
let envoy: ClientHttp2Session;
let metrics: AgentMetrics;

function openStream(): ClientHttp2Stream {
  const stream = envoy.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => {});
  return stream;
}

async function readBytes(stream: ClientHttp2Stream, count: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  while (size < count) {
    const [chunk] = await once(stream, 'data');
    chunks.push(chunk);
    size += chunk.length;
  }
  return Buffer.concat(chunks);
}

async function readStatus(stream: ClientHttp2Stream): Promise<string> {
  stream.resume();
  const [trailers] = await once(stream, 'trailers');
  return `${trailers['grpc-status']} ${decodeURIComponent(trailers['grpc-message'])}`;
}

describe('the xDS proxy', () => {
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'xds-'));
    writeFileSync(join(folder, 'token'), 'one.two.three\n');
  });

  after(() => rmSync(folder, { recursive: true }));

  beforeEach(async () => {
    upstream = new Upstream();
    await upstream.start();
    metrics = new AgentMetrics('1');
    const clock = systemClock();
    const parts = { clock, rng: seededRng(1), log: silentLogger(), metrics };
    proxy = new XdsProxy(new ControlPlane(settings(), clock), parts);
    door = new UnixGrpcServer(join(folder, 'XDS'), proxy.handlers, silentLogger());
    await door.listen();
    envoy = connect('http://localhost', { createConnection: () => connectSocket(join(folder, 'XDS')) });
  });

  afterEach(async () => {
    envoy.destroy();
    proxy[Symbol.dispose]();
    await Promise.all([door.close(), upstream.stop()]);
  });

  describe('the configuration stream', () => {
    it('passes bytes both ways unchanged, counts messages, and says who calls', async () => {
      upstream.handle = (stream) => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
        stream.pipe(stream);
      };
      const bytes = Buffer.concat([grpcFrame(Buffer.alloc(300_000, 7)), grpcFrame(Buffer.alloc(3, 9))]);
      const stream = openStream();
      stream.write(bytes);
      assert.deepEqual(await readBytes(stream, bytes.length), bytes);
      assert.equal(upstream.headers[0]?.[':path'], path);
      assert.equal(upstream.headers[0]?.authorization, 'Bearer one.two.three');
      assert.equal(upstream.headers[0]?.['clusterid'], 'c1');
      assert.deepEqual(
        [metrics.count('istio_agent_xds_proxy_requests'), metrics.count('istio_agent_xds_proxy_responses')],
        [2, 2],
      );
    });

    it('lets the control plane go no faster than Envoy reads', async () => {
      let bytes = 0;
      upstream.handle = (stream) => {
        stream.respond({ ':status': 200 });
        const block = Buffer.alloc(64 * 1024);
        const push = (): void => {
          while (bytes < 64 * 1024 * 1024) {
            bytes += block.length;
            if (!stream.write(block)) {
              stream.once('drain', push);
              return;
            }
          }
        };
        push();
      };
      const stream = openStream();
      await once(stream, 'response');
      // Each answer to a ping comes after what could flow until then has flowed.
      for (let round = 0; round < 200; round++)
        await new Promise<void>((resolve) => envoy.ping(() => resolve()));
      assert.ok(bytes < 8 * 1024 * 1024, `${bytes} bytes were taken from the control plane`);
      stream.destroy();
    });

    it('is held while there is no control plane, and passed on once there is one', async () => {
      const { port } = upstream;
      await upstream.stop();
      const stream = openStream();
      stream.write(grpcFrame(Buffer.from('held')));
      await once(stream, 'response');
      await untilCount('istio_agent_istiod_connection_failures', 2);
      upstream.port = port;
      upstream.handle = (up) => {
        up.respond({ ':status': 200 });
        up.pipe(up);
      };
      await upstream.start();
      assert.deepEqual(await readBytes(stream, 9), grpcFrame(Buffer.from('held')));
    });

    it('ends with UNAVAILABLE when an established connection is lost', async () => {
      upstream.handle = (stream) => {
        stream.respond({ ':status': 200 });
        stream.write(grpcFrame(Buffer.from('x')));
      };
      const stream = openStream();
      await readBytes(stream, 6);
      await upstream.stop();
      assert.equal(await readStatus(stream), '14 the connection to the control plane was lost');
      assert.equal(metrics.count('istio_agent_istiod_connection_terminations'), 1);
    });

    it("ends with the control plane's own status, later and later while that only refuses", async () => {
      upstream.handle = (stream) =>
        stream.respond(
          { ':status': 200, 'grpc-status': '16', 'grpc-message': 'who%20are%20you' },
          { endStream: true },
        );
      const times: number[] = [];
      for (let round = 0; round < 3; round++) {
        const startMs = performance.now();
        assert.equal(await readStatus(openStream()), '16 who are you');
        times.push(performance.now() - startMs);
      }
      assert.ok((times[2] ?? 0) > (times[0] ?? 0) + 80, times.join(' '));
    });

    it('ends when the control plane has had its last word, though Envoy has not', async () => {
      upstream.handle = (stream) => {
        stream.resume();
        stream.respond({ ':status': 200 }, { waitForTrailers: true });
        stream.on('wantTrailers', () =>
          stream.sendTrailers({ 'grpc-status': '9', 'grpc-message': 'no%20such%20group' }),
        );
        stream.once('data', () => stream.end());
      };
      const stream = openStream();
      stream.write(grpcFrame(Buffer.from('x')));
      assert.equal(await readStatus(stream), '9 no such group');
      await untilCount('istio_agent_istiod_connection_terminations', 1);
    });

    it('ends upstream when Envoy ends it', async () => {
      const closed = Promise.withResolvers<void>();
      upstream.handle = (stream) => {
        stream.respond({ ':status': 200 });
        stream.write(grpcFrame(Buffer.from('x')));
        stream.on('close', () => closed.resolve());
      };
      const stream = openStream();
      await readBytes(stream, 6);
      stream.destroy();
      await closed.promise;
      await untilCount('istio_agent_envoy_connection_terminations', 1);
    });

    async function untilCount(counter: Parameters<AgentMetrics['count']>[0], count: number): Promise<void> {
      const endMs = performance.now() + 5000;
      while (metrics.count(counter) < count) {
        assert.ok(performance.now() < endMs, `${counter} stayed below ${count}`);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  });

  describe('the token', () => {
    it('never leaves this machine in the clear', async () => {
      const cases: readonly [change: Partial<ControlPlaneSettings>, isSent: boolean][] = [
        [{ host: '127.0.0.9' }, true],
        [{ host: 'localhost' }, true],
        [{ host: '10.0.0.1' }, false],
        [{ host: '127.0.0.1.example.com' }, false],
        [{ host: '10.0.0.1', security: 'tls' }, true],
        [{ host: 'istiod.istio-system.svc', security: 'tls' }, true],
        [{ tokenPath: join(folder, 'none') }, false],
      ];
      for (const [change, isSent] of cases) {
        const headers = await new ControlPlane(settings(change), systemClock()).callHeaders(path);
        assert.equal('authorization' in headers, isSent, JSON.stringify(change));
      }
    });
  });
});
