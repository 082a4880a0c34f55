/** `lateen down`: stops a running mesh and waits until it is gone. */
import type { Command } from 'commander';
import { CONTROL_PATHS } from '#doors/control-protocol.ts';
import type { CliContext } from './cli-context.ts';
import { connectMesh, type MeshOption, withMesh } from './command-options.ts';
import { CliError } from './exit-code.ts';

const LIMIT_MS = 60_000;
const POLL_MS = 50;

/** Adds the command. */
export function addDown(program: Command, context: CliContext): void {
  withMesh(program.command('down'))
    .description('stop a running mesh')
    .action((options: MeshOption) => down(context, options));
}

async function down(context: CliContext, options: MeshOption): Promise<void> {
  const { pid } = await connectMesh(context, options).post<{ pid: number }>(CONTROL_PATHS.down, {});
  const { clock } = context;
  const limitMs = clock.monotonicMs() + LIMIT_MS;
  while (isAlive(pid)) {
    if (clock.monotonicMs() > limitMs)
      throw new CliError(`the mesh (pid ${pid}) is still stopping after a minute`);
    await new Promise<void>((resolve) => void clock.schedule(POLL_MS, resolve));
  }
  context.stdout.write('The mesh is stopped.\n');
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
