/**
 * A real Envoy on a static bootstrap of listeners and clusters that a test built with our own builders. Starts on loopback,
 * waits until Envoy says that it is ready, and leaves neither a process nor a file behind.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { resolveEnvoy } from '#envoy/envoy-provider.ts';
import { BootstrapSchema } from '#proto/envoy/config/bootstrap/v3/bootstrap_pb.ts';
import type { Cluster } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { socketAddress } from '#xds/address.ts';

const START_LIMIT_MS = 15_000;
const STOP_LIMIT_MS = 5_000;
/** The values of the agent's bootstrap that requests can tell. */
const RUNTIME = {
  're2.max_program_size.error_level': '32768',
  'envoy.reloadable_features.http_reject_path_with_fragment': false,
};
const projectRoot = join(import.meta.dirname, '..', '..');

export interface StaticEnvoyOptions {
  readonly listeners: readonly Listener[];
  readonly clusters: readonly Cluster[];
  /** Variables that our filters read, such as LATEEN_WORKLOAD. */
  readonly environment: Readonly<Record<string, string>>;
  readonly address: string;
}

/** A running Envoy. */
export interface StaticEnvoy {
  readonly pid: number;
  /** Body of an admin page. */
  admin(path: string): Promise<string>;
  /** What Envoy has logged to stdout (access logs) and stderr so far. */
  output(): string;
  stop(): Promise<void>;
}

/** A loopback address that no other test uses, as a test's own. */
export function ownAddress(): string {
  const byte = (): number => 1 + Math.floor(Math.random() * 253);
  return `127.${byte()}.${byte()}.${byte()}`;
}

/** A port that was free a moment ago. */
export async function freePort(address: string): Promise<number> {
  const server = createServer().listen(0, address);
  await once(server, 'listening');
  const bound = server.address();
  server.close();
  await once(server, 'close');
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  return bound.port;
}

/** Starts Envoy; fails with its log when it does not become ready. */
export async function startStaticEnvoy(options: StaticEnvoyOptions): Promise<StaticEnvoy> {
  const binary = await resolveEnvoy({
    pathDirs: [],
    cacheDir: join(projectRoot, '.cache'),
    ...(process.env['ENVOY_PATH'] === undefined ? {} : { envoyPath: process.env['ENVOY_PATH'] }),
  });
  if (!binary.ok) throw new Error(binary.error.text);
  const folder = mkdtempSync(join(tmpdir(), 'lateen-envoy-'));
  const adminPort = await freePort(options.address);
  const bootstrap = create(BootstrapSchema, {
    node: { id: 'test', cluster: 'test' },
    admin: { address: socketAddress(options.address, adminPort) },
    layeredRuntime: { layers: [{ name: 'static', layerSpecifier: { case: 'staticLayer', value: RUNTIME } }] },
    staticResources: { listeners: [...options.listeners], clusters: [...options.clusters] },
  });
  const file = join(folder, 'bootstrap.pb');
  writeFileSync(file, toBinary(BootstrapSchema, bootstrap));
  const child = spawn(
    binary.value.path,
    [
      '--config-path',
      file,
      '--concurrency',
      '1',
      '--use-dynamic-base-id',
      '--file-flush-interval-msec',
      '50',
      '--log-level',
      'warning',
    ],
    { env: { ...options.environment }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const log: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => log.push(chunk.toString()));
  }
  const admin = (path: string): Promise<string> => readAdmin(`http://${options.address}:${adminPort}${path}`);
  const stop = async (): Promise<void> => {
    await end(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await waitReady(child, admin);
  } catch (cause) {
    await stop();
    throw new Error(`Envoy did not start:\n${log.join('')}`, { cause });
  }
  return { pid: child.pid ?? 0, admin, output: () => log.join(''), stop };
}

async function readAdmin(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
  return response.text();
}

async function waitReady(child: ChildProcess, admin: (path: string) => Promise<string>): Promise<void> {
  const until = Date.now() + START_LIMIT_MS;
  while (Date.now() < until && child.exitCode === null) {
    const state = await admin('/ready').catch(() => '');
    if (state.startsWith('LIVE')) return;
    await new Promise((done) => setTimeout(done, 30));
  }
  throw new Error(child.exitCode === null ? 'not ready in time' : `ended with ${child.exitCode}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await ended;
  clearTimeout(timer);
}

/** CPU time of a process so far, in milliseconds (utime + stime at 100 ticks a second). */
export function cpuTimeMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
