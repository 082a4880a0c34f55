/** `lateen edges`: the live table of traffic of a running mesh. */
import type { Command } from 'commander';
import { CONTROL_PATHS, type EdgesAnswer } from '#doors/control-protocol.ts';
import type { CliContext } from './cli-context.ts';
import { connectMesh, type MeshOption, withMesh } from './command-options.ts';
import { watchEdges } from './edge-view.ts';
import { usageError } from './exit-code.ts';

interface EdgeOptions extends MeshOption {
  readonly output?: string;
}

/** Rates need two looks at the counters; the second comes after this. */
const TWO_LOOKS_MS = 4500;

/** Adds the command. */
export function addEdges(program: Command, context: CliContext): void {
  withMesh(program.command('edges'))
    .description('watch the traffic between workloads')
    .option('-o, --output <format>', 'json: one answer after a few seconds')
    .action((options: EdgeOptions) => edges(context, options));
}

async function edges(context: CliContext, options: EdgeOptions): Promise<void> {
  const { output } = options;
  if (output !== undefined && output !== 'json') throw usageError(`unknown output ${output}: json is wanted`);
  const client = connectMesh(context, options);
  if (output === undefined) {
    const end = new AbortController();
    using _signals = context.onStopSignal(() => end.abort());
    await watchEdges(context, client, end.signal);
    return;
  }
  await client.get<EdgesAnswer>(CONTROL_PATHS.edges);
  await new Promise<void>((resolve) => void context.clock.schedule(TWO_LOOKS_MS, resolve));
  const answer = await client.get<EdgesAnswer>(CONTROL_PATHS.edges);
  context.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
}
