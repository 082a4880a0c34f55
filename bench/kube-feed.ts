/**
 * How pilot-discovery starts on a Kubernetes cluster of S services: time from its start until /ready says 200, and its
 * memory then. The cluster is an API server on loopback in this process; the program is a process of its own.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ISTIO_CRDS } from '#api/crds.gen.ts';
import { toKubernetesForm } from '#api/print-object.ts';
import { ApiServerFixture } from '#kube/api-server-fixture.ts';
import type { KubeObject } from '#kube/api-resource.ts';
import { meshObjects } from './mesh-shape.ts';

export interface KubeFeedFigure {
  readonly services: number;
  readonly readyMs: number;
  readonly rssMiB: number;
}

const root = join(import.meta.dirname, '..');
const LIMIT_MS = 120_000;

/** Starts the cluster and the program, waits for readiness, reads the figures, and stops both. */
export async function measureKubeFeed(services: number): Promise<KubeFeedFigure> {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-kube-bench-'));
  await using cluster = new ApiServerFixture();
  for (const { group, plural, versions } of ISTIO_CRDS) {
    cluster.define({
      group,
      plural,
      versions: versions.filter(({ served }) => served).map(({ name }) => name),
    });
  }
  const plurals = new Map(ISTIO_CRDS.map(({ kind, group, plural }) => [kind, { group, plural }]));
  for (const object of meshObjects({ services, endpoints: 5, proxies: 0 })) {
    const resource = plurals.get(object.kind);
    if (resource !== undefined) cluster.put(resource, toKubernetesForm(object) as unknown as KubeObject);
  }
  await cluster.start();
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, JSON.stringify(kubeconfigOf(cluster.target.server)), { mode: 0o600 });
  const port = await freePort();
  const flags = [
    '--registries=Kubernetes',
    `--kubeconfig=${kubeconfig}`,
    '--meshConfig=',
    '--secureGRPCAddr=',
    '--httpsAddr=',
    '--monitoringAddr=',
  ];
  const doors = [`--httpAddr=127.0.0.1:${port}`, '--grpcAddr=127.0.0.1:0'];
  const started = performance.now();
  const program = join(root, 'src', 'main', 'pilot-discovery.ts');
  const env = { ...process.env, LATEEN_STATE_DIR: join(folder, 'state') };
  const child = spawn(process.execPath, [program, 'discovery', ...flags, ...doors], { env, stdio: 'ignore' });
  try {
    await untilReady(port, started);
    const readyMs = Math.round(performance.now() - started);
    const rss = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'));
    return { services, readyMs, rssMiB: Math.round(Number(rss?.[1] ?? 0) / 1024) };
  } finally {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    rmSync(folder, { recursive: true, force: true });
  }
}

async function untilReady(port: number, started: number): Promise<void> {
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/ready`).catch(() => undefined);
    if (answer?.status === 200) return;
    if (performance.now() - started > LIMIT_MS) throw new Error('the control plane was not ready in time');
  }
}

function kubeconfigOf(server: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'bench',
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    clusters: [{ name: 'bench', cluster: { server } }],
    users: [{ name: 'bench', user: {} }],
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
