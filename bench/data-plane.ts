/**
 * Memory of what stands beside each application: one workload of the httpbin sample in a mesh of its own, looked at
 * through `lateen status` once it is ready. MiB of resident memory, 0 where it could not be measured.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const LIMIT_MS = 60_000;

interface Status {
  readonly workloads: readonly {
    readonly ready: boolean;
    readonly pids: { readonly agent: number; readonly envoy: number };
  }[];
}

/** Starts the mesh, reads the memory of one agent and one Envoy, and stops it. */
export async function measureDataPlane(): Promise<{ agent: number; envoy: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-bench-'));
  cpSync(join(root, 'samples', 'sleep'), join(folder, 'sleep'), { recursive: true });
  const dir = join(folder, 'sleep', 'mesh');
  const lateen = join(root, 'bin', 'lateen');
  const mesh = spawn(lateen, ['up', dir], { stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    const until = performance.now() + LIMIT_MS;
    while (performance.now() < until && mesh.exitCode === null) {
      const workload = (await status(lateen, dir))?.workloads.find((one) => one.ready);
      if (workload !== undefined)
        return { agent: rssMiB(workload.pids.agent), envoy: rssMiB(workload.pids.envoy) };
    }
    return { agent: 0, envoy: 0 };
  } finally {
    mesh.kill('SIGTERM');
    if (mesh.exitCode === null) await once(mesh, 'exit');
    rmSync(folder, { recursive: true, force: true });
  }
}

async function status(lateen: string, dir: string): Promise<Status | undefined> {
  const child = spawn(lateen, ['status', '--dir', dir, '-o', 'json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return code === 0 ? (JSON.parse(text) as Status) : undefined;
}

function rssMiB(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(line?.[1] ?? 0) / 1024);
}
