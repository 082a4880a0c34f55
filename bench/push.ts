/**
 * What a push costs: one route table of S KiB, changed, to N delta clients in a process of their own; server CPU and wall time
 * until the last client has answered, medians of six pushes after two to warm up. Compare: bench/push-spike.md, A.
 *   node bench/push.ts [N] [KiB] [plain|tls]
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { noMetrics } from '#ads/ads-metrics.ts';
import { AdsServer } from '#ads/ads-server.ts';
import { GrpcServer } from '#ads/grpc-server.ts';
import { systemClock } from '#base/clock.ts';
import { grpcFrame, GrpcFrameReader } from '#base/grpc-frame.ts';
import { hashHex } from '#base/hash.ts';
import { silentLogger } from '#base/logger.ts';
import { WireReader, WireWriter } from '#base/proto-wire.ts';
import { ok } from '#base/result.ts';
import { seededRng } from '#base/rng.ts';
import { mapOf } from '#collections/persistent-map.ts';
import { type Resource, TYPE_ROUTE } from '#xds/resource.ts';
import { FakeSource, snapshotOf } from '../test/ads/fake-world.ts';
import { DELTA_METHOD, OPEN_DOOR } from '../test/ads/grpc-rig.ts';
import { createTestAuthority } from '../test/envoy/workload-certificates.ts';

const WARM_UPS = 2;
const ROUNDS = 6;

function idOf(i: number): string {
  return `sidecar~10.0.${i >> 8}.${i & 255}~app-${i}.default~default.svc.cluster.local`;
}

/** One client: subscribes to the route and answers every response; windows as Envoy advertises them. */
function startClient(i: number, origin: string): void {
  const session: ClientHttp2Session = connect(origin, {
    rejectUnauthorized: false,
    settings: { initialWindowSize: 16 << 20 },
  });
  session.on('connect', () => session.setLocalWindowSize(24 << 20));
  session.on('error', () => {});
  const call = session.request({
    ':method': 'POST',
    ':path': DELTA_METHOD,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  call.on('error', () => {});
  const node = new WireWriter().string(1, idOf(i)).finish();
  call.write(grpcFrame(new WireWriter().bytes(1, node).string(2, TYPE_ROUTE).string(3, 'r').finish()));
  const reader = new GrpcFrameReader(1 << 30);
  call.on('data', (chunk: Buffer) => {
    for (const message of reader.push(chunk)) {
      call.write(grpcFrame(new WireWriter().string(2, TYPE_ROUTE).string(6, nonceOf(message)).finish()));
    }
  });
}

function nonceOf(message: Uint8Array): string {
  const reader = new WireReader(message);
  while (reader.next()) if (reader.field === 5) return reader.string();
  return '';
}

function routeOf(bytes: number, revision: number): Resource {
  const content = Buffer.alloc(bytes, 'x');
  content.writeUInt32BE(revision);
  return { typeUrl: TYPE_ROUTE, name: 'r', bytes: content, version: hashHex(content) };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

async function measure(count: number, kib: number, isTls: boolean): Promise<void> {
  const clock = systemClock();
  const source = new FakeSource();
  const common = { clock, log: silentLogger(), metrics: noMetrics() };
  const ads = new AdsServer({
    ...common,
    source,
    admission: { admit: (_peer, proxy) => ok(proxy) },
    controlPlane: 'bench',
  });
  const server = new GrpcServer({
    ...common,
    authenticator: OPEN_DOOR,
    rng: seededRng(1),
    limits: { graceMs: 100 },
  });
  server.stream(DELTA_METHOD, (stream, peer) => ads.serveDelta(stream, peer));
  const ids = Array.from({ length: count }, (_, i) => idOf(i));
  const publish = (revision: number): void => {
    const route = { resource: routeOf(kib << 10, revision), causes: [] };
    source.publish(snapshotOf({}, { routes: mapOf([['r', route]]) }), ...ids);
  };
  publish(0);
  const port = await listen(server, isTls);
  const clients: ChildProcess = fork(import.meta.filename, [
    'clients',
    String(count),
    `${isTls ? 'https' : 'http'}://127.0.0.1:${port}`,
  ]);
  try {
    while (ids.some((id) => !ads.connections.synced(id)))
      await new Promise((resolve) => setTimeout(resolve, 10));
    const cpuMs: number[] = [];
    const wallMs: number[] = [];
    for (let round = 1; round <= WARM_UPS + ROUNDS; round++) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      const startMs = performance.now();
      const before = process.cpuUsage();
      publish(round);
      const report = await ads.connections.waitForAck(ads.epoch.number, 30_000);
      const { user, system } = process.cpuUsage(before);
      if (!report.isSynced) throw new Error('not all clients answered');
      if (round <= WARM_UPS) continue;
      cpuMs.push((user + system) / 1_000);
      wallMs.push(performance.now() - startMs);
    }
    const figures = {
      clients: count,
      kib,
      transport: isTls ? 'tls' : 'plain',
      cpuMs: median(cpuMs),
      lastClientMs: median(wallMs),
    };
    const rssMiB = Math.round(process.memoryUsage.rss() / 2 ** 20);
    console.log(JSON.stringify({ ...figures, rssMiB, encoded: ads.encodedCount }));
  } finally {
    clients.kill('SIGKILL');
    await once(clients, 'exit');
    ads[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  }
}

async function listen(server: GrpcServer, isTls: boolean): Promise<number> {
  if (!isTls) return (await server.listenTcp('127.0.0.1', 0)).port;
  const authority = await createTestAuthority();
  const own = await authority.issue('spiffe://cluster.local/ns/istio-system/sa/istiod', { CN: 'istiod' });
  const material = { certificateChain: own.chain, privateKey: own.key, clientCas: [authority.root] };
  return (await server.listenTls('127.0.0.1', 0, material)).port;
}

const [first = '100', second = '600', third = 'plain'] = process.argv.slice(2);
if (first === 'clients') for (let i = 0; i < Number(second); i++) startClient(i, third);
else await measure(Number(first), Number(second), third === 'tls');
