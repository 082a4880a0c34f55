/**
 * `npm run bench`: from a change of config to the last ACK of N proxies, with what it cost: CPU of the control plane,
 * values recomputed, resources encoded, bytes sent, memory. The control plane is this process; its clients are another.
 * Figures are appended to bench/history.jsonl and compared with the last runs of the same size. Counts are asserted:
 * they do not depend on how busy the machine is.
 *
 * usage: node bench/run.ts [--short] [--json FILE] [--no-history]
 */
import { spawn, execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { noMetrics } from '#ads/ads-metrics.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { defaultMeshConfig } from '#api/mesh-config.ts';
import { systemClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { systemRng } from '#base/rng.ts';
import { createMesh, type Mesh } from '../src/main/mesh.ts';
import { openXdsDoor, type XdsDoor } from '../src/main/xds-door.ts';
import { clientNode, meshObjects, type MeshSize, policy, service, virtualService } from './mesh-shape.ts';
import { measureDataPlane } from './data-plane.ts';
import { measureKubeFeed } from './kube-feed.ts';

interface Figures {
  readonly case: string;
  readonly n: number;
  readonly lastAckMs: { readonly p50: number; readonly p99: number };
  readonly cpuMs: number;
  readonly recomputed: number;
  readonly encoded: number;
  readonly bytes: number;
  readonly rssMiB: { readonly controlPlane: number; readonly agent: number; readonly envoy: number };
}

const historyFile = join(import.meta.dirname, 'history.jsonl');
const short = process.argv.includes('--short');
const sizes: readonly MeshSize[] = short
  ? [{ services: 100, endpoints: 2, proxies: 20 }]
  : [
      { services: 100, endpoints: 2, proxies: 20 },
      { services: 1000, endpoints: 5, proxies: 100 },
    ];
const repeats = short ? 3 : 10;
const LIMIT_MS = 120_000;

const KNOWN_FLAGS = new Set(['--short', '--json', '--no-history']);
const failures: string[] = [];

class Bench {
  readonly size: MeshSize;
  readonly mesh: Mesh;
  readonly door: XdsDoor;
  readonly sent: { bytes: number };
  readonly dataPlane: { agent: number; envoy: number };

  constructor(
    size: MeshSize,
    mesh: Mesh,
    door: XdsDoor,
    sent: { bytes: number },
    dataPlane: { agent: number; envoy: number },
  ) {
    this.size = size;
    this.mesh = mesh;
    this.door = door;
    this.sent = sent;
    this.dataPlane = dataPlane;
  }

  /** Makes a change `repeats` times and measures until the last proxy has answered. */
  async measure(name: string, change: (i: number) => readonly MeshObject[]): Promise<Figures> {
    const times: number[] = [];
    await this.#once(change(0));
    const { mesh } = this;
    const before = { ...mesh.engine.counters, encoded: mesh.graph.interner.encoded, bytes: this.sent.bytes };
    const cpu = process.cpuUsage();
    for (let i = 1; i <= repeats; i++) times.push(await this.#once(change(i)));
    const used = process.cpuUsage(cpu);
    times.sort((a, b) => a - b);
    return {
      case: `${name} ${this.size.services}x${this.size.endpoints}`,
      n: this.size.proxies,
      lastAckMs: { p50: round(times[Math.floor(times.length / 2)] ?? 0), p99: round(times.at(-1) ?? 0) },
      cpuMs: round((used.user + used.system) / 1000 / repeats),
      recomputed: Math.round((mesh.engine.counters.recomputed - before.recomputed) / repeats),
      encoded: round((mesh.graph.interner.encoded - before.encoded) / repeats),
      bytes: Math.round((this.sent.bytes - before.bytes) / repeats),
      rssMiB: { controlPlane: Math.round(process.memoryUsage.rss() / 2 ** 20), ...this.dataPlane },
    };
  }

  async #once(objects: readonly MeshObject[]): Promise<number> {
    const started = performance.now();
    this.mesh.objects.apply({ set: objects, remove: [] });
    await this.mesh.driver.settled();
    const report = await this.door.ads.connections.waitForAck(this.door.ads.epoch.number, LIMIT_MS);
    if (!report.isSynced) throw new Error(`not answered: ${report.waitingFor.slice(0, 3).join(', ')}`);
    return performance.now() - started;
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

async function benchSize(size: MeshSize, dataPlane: { agent: number; envoy: number }): Promise<Figures[]> {
  const clock = systemClock();
  const mesh = createMesh({
    meshConfig: defaultMeshConfig(),
    clusterId: 'Kubernetes',
    clusterDomain: 'cluster.local',
    onError: (collection, key, error) => failures.push(`${collection} ${key}: ${String(error)}`),
  });
  const sent = { bytes: 0 };
  const metrics = {
    ...noMetrics(),
    pushed: (measure: { sizeBytes: number }) => void (sent.bytes += measure.sizeBytes),
  };
  const door = await openXdsDoor({
    mesh,
    clock,
    rng: systemRng(),
    log: silentLogger(),
    metrics,
    version: 'bench',
    plain: { host: '127.0.0.1', port: 0 },
  });
  const started = performance.now();
  mesh.objects.apply({ set: meshObjects(size), remove: [] });
  await mesh.driver.settled();
  const loadedMs = performance.now() - started;
  const clients = spawn(process.execPath, [join(import.meta.dirname, 'clients.ts'), String(door.plainPort)], {
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  for (let n = 0; n < size.proxies; n++) clients.stdin.write(`${JSON.stringify(clientNode(size, n))}\n`);
  try {
    await allConnected(door, size.proxies);
    console.log(
      `${size.services} services: objects in ${Math.round(loadedMs)} ms, ${size.proxies} proxies after ${Math.round(performance.now() - started)} ms`,
    );
    return await runCases(new Bench(size, mesh, door, sent, dataPlane));
  } finally {
    clients.kill();
    await door.close();
  }
}

async function allConnected(door: XdsDoor, proxies: number): Promise<void> {
  const until = performance.now() + LIMIT_MS;
  for (;;) {
    const full = [...door.ads.connections].filter((connection) => connection.types.size >= 4).length;
    if (full === proxies && (await door.ads.connections.waitForAck(door.ads.epoch.number, 1000)).isSynced)
      return;
    if (performance.now() > until)
      throw new Error(`only ${full} of ${proxies} proxies have all their configuration`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function runCases(bench: Bench): Promise<Figures[]> {
  const { size } = bench;
  const last = size.services - 1;
  const route = await bench.measure('route', (i) => [virtualService(size, 1, 50 + (i % 40))]);
  const endpoint = await bench.measure('endpoint', (i) => [service(size, last, i + 1)]);
  const meshPolicy = await bench.measure('policy', (i) => [policy('istio-system', `/mark-${i}`)]);
  const nothing = await bench.measure('nothing', () => [virtualService(size, 1, 90)]);
  assertCounts(size, { route, endpoint, nothing });
  return [route, endpoint, meshPolicy, nothing];
}

/** Law 4 as numbers: a change costs what it touches, per view, and nothing costs nothing. */
function assertCounts(
  size: MeshSize,
  figures: { route: Figures; endpoint: Figures; nothing: Figures },
): void {
  const namespaces = Math.max(1, Math.floor(size.services / 50));
  const expect = (what: string, value: number, most: number): void => {
    if (value > most) failures.push(`${what}: ${value}, at most ${most}`);
  };
  expect('recomputed for an unchanged object', figures.nothing.recomputed, 0);
  expect('bytes for an unchanged object', figures.nothing.bytes, 0);
  expect('recomputed per route change', figures.route.recomputed, 40 * namespaces + size.proxies + 40);
  expect('encoded per route change', figures.route.encoded, 4 * namespaces + 10);
  expect(
    'recomputed per endpoint change',
    figures.endpoint.recomputed,
    40 * namespaces + 2 * size.proxies + 80,
  );
}

function report(figures: readonly Figures[]): void {
  const known = existsSync(historyFile)
    ? readFileSync(historyFile, 'utf8')
        .trim()
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Figures)
    : [];
  for (const figure of figures) {
    const earlier = known.filter((entry) => entry.case === figure.case && entry.n === figure.n).slice(-5);
    const cpu = earlier.map((entry) => entry.cpuMs).sort((a, b) => a - b)[Math.floor(earlier.length / 2)];
    const change =
      cpu === undefined || cpu === 0
        ? ''
        : ` (x${(figure.cpuMs / cpu).toFixed(2)} of the last ${earlier.length})`;
    console.log(
      `${figure.case.padEnd(20)} N=${figure.n} lastAck p50 ${figure.lastAckMs.p50} p99 ${figure.lastAckMs.p99} ms, ` +
        `cpu ${figure.cpuMs} ms${change}, recomputed ${figure.recomputed}, encoded ${figure.encoded}, ` +
        `bytes ${figure.bytes}, rss ${JSON.stringify(figure.rssMiB)} MiB`,
    );
  }
}

async function main(): Promise<void> {
  const unknown = process.argv.slice(2).find((arg) => arg.startsWith('--') && !KNOWN_FLAGS.has(arg));
  if (unknown !== undefined) {
    console.error(`bench: unknown flag ${unknown}; known: ${[...KNOWN_FLAGS].join(', ')}`);
    process.exit(2);
  }
  const dataPlane = await measureDataPlane();
  const figures: Figures[] = [];
  for (const size of sizes) figures.push(...(await benchSize(size, dataPlane)));
  report(figures);
  for (const services of short ? [100] : [1000, 10_000]) {
    const { readyMs, rssMiB } = await measureKubeFeed(services);
    console.log(`kube feed, ${services} services: ready after ${readyMs} ms, rss ${rssMiB} MiB`);
  }
  if (!short && !process.argv.includes('--no-history')) {
    const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
    const stamp = { date: new Date().toISOString().slice(0, 10), commit, node: process.version };
    for (const figure of figures) appendFileSync(historyFile, `${JSON.stringify({ ...stamp, ...figure })}\n`);
  }
  const json = process.argv.indexOf('--json');
  const file = process.argv[json + 1];
  if (json > 0 && file !== undefined) writeFileSync(file, `${JSON.stringify(figures, null, 2)}\n`);
  for (const failure of failures) console.error(`bench: ${failure}`);
  console.log(`${figures.length} passed, ${failures.length} failed`);
  process.exit(failures.length === 0 ? 0 : 1);
}

await main();
