/** `lateen events`: what happened to workloads: starts, crashes, readiness, stops. */
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { CONTROL_PATHS, type MeshEvent } from '#doors/control-protocol.ts';
import type { CliContext } from './cli-context.ts';
import { connectMesh, type MeshOption, withMesh } from './command-options.ts';
import { styleFor } from './style.ts';
import { printable } from './table.ts';

interface EventOptions extends MeshOption {
  readonly follow?: boolean;
}

/** Adds the command. */
export function addEvents(program: Command, context: CliContext): void {
  withMesh(program.command('events'))
    .description('show what happened to workloads')
    .option('-f, --follow', 'go on as things happen')
    .action((options: EventOptions) => events(context, options));
}

async function events(context: CliContext, options: EventOptions): Promise<void> {
  const style = styleFor(context.stdout, context.environment);
  const follow = options.follow === true ? 'true' : undefined;
  const input = await connectMesh(context, options).stream(CONTROL_PATHS.events, { follow });
  for await (const line of createInterface({ input })) {
    const { time, type, subject, message } = JSON.parse(line) as MeshEvent;
    const text = printable(message);
    context.stdout.write(`${time}  ${subject}  ${type === 'Warning' ? style.yellow(text) : text}\n`);
  }
}
