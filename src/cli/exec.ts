/** `lateen exec WORKLOAD -- CMD`: runs a command as that workload: its calls go through the workload's proxy, with its identity. */
import type { Command } from 'commander';
import { CONTROL_PATHS, type ExecEnvironment } from '#doors/control-protocol.ts';
import type { CliContext } from './cli-context.ts';
import {
  connectMesh,
  givenNamespace,
  type MeshOption,
  type NamespaceOption,
  withMesh,
  withNamespace,
} from './command-options.ts';
import { CliError, EXIT_OK } from './exit-code.ts';

type ExecOptions = MeshOption & NamespaceOption;

/** Adds the command. */
export function addExec(program: Command, context: CliContext): void {
  const command = program
    .command('exec')
    .argument('<workload>', 'a workload, or one replica such as sleep-0')
    .argument('<command...>', 'the command, behind --')
    .description('run a command as a workload: with its way into the mesh, so with its identity')
    .addHelpText(
      'after',
      '\nExamples:\n  lateen exec productpage-v1 -- curl -s http://reviews:9080/reviews/0\n',
    );
  withMesh(withNamespace(command)).action((workload: string, words: string[], options: ExecOptions) =>
    exec(context, workload, words, options),
  );
}

async function exec(
  context: CliContext,
  workload: string,
  words: readonly string[],
  options: ExecOptions,
): Promise<void> {
  const client = connectMesh(context, options);
  const namespace = givenNamespace(context, options);
  const place = await client.get<ExecEnvironment>(CONTROL_PATHS.exec, { name: workload, namespace });
  const exitCode = await context.runCommand(words, { ...context.environment, ...place.env });
  if (exitCode !== EXIT_OK) throw new CliError('', exitCode);
}
