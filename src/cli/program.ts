/** The command line as a whole: its commands, how mistakes are told, and the exit code. */
import { Command, CommanderError } from 'commander';
import type { CliContext } from './cli-context.ts';
import { addApiResources } from './api-resources.ts';
import { addApply } from './apply.ts';
import { addCompletion } from './completion.ts';
import { addDelete } from './delete.ts';
import { addEdges } from './edges.ts';
import { addEdit } from './edit.ts';
import { addEvents } from './events.ts';
import { addExec } from './exec.ts';
import { addGet } from './get.ts';
import { addJwt } from './jwt.ts';
import { addLogs } from './logs.ts';
import { addMtls } from './mtls.ts';
import { addVersion } from './version.ts';
import { addDemo } from './demo.ts';
import { addDown } from './down.ts';
import { CliError, EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from './exit-code.ts';
import { addStatus } from './status.ts';
import { styleFor } from './style.ts';
import { addUp } from './up.ts';

/** In the order of --help: from the first minute to the details. */
const COMMANDS = [
  addDemo,
  addUp,
  addDown,
  addStatus,
  addApply,
  addGet,
  addEdit,
  addDelete,
  addLogs,
  addExec,
  addEdges,
  addMtls,
  addJwt,
  addEvents,
  addApiResources,
  addCompletion,
  addVersion,
];
const HELP_CODES = ['commander.help', 'commander.helpDisplayed', 'commander.version'];

/** Runs one command; gives the exit code. */
export async function runCli(argv: readonly string[], context: CliContext): Promise<number> {
  try {
    await buildProgram(context).parseAsync([...argv], { from: 'user' });
    return EXIT_OK;
  } catch (error) {
    if (error instanceof CommanderError)
      return HELP_CODES.includes(error.code) && error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    const style = styleFor(context.stderr, context.environment);
    if (error instanceof CliError) {
      if (error.message !== '') context.stderr.write(`${style.red('error:')} ${error.message}\n`);
      return error.exitCode;
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    context.stderr.write(`${style.red('error:')} ${text}\n`);
    return EXIT_FAILURE;
  }
}

/** The program with all its commands. */
export function buildProgram(context: CliContext): Command {
  const program = new Command('lateen')
    .description('The Istio service mesh on stock Envoy: on this machine, without Kubernetes')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: (text) => void context.stderr.write(text),
    })
    .showSuggestionAfterError()
    .showHelpAfterError('(lateen --help lists the commands)');
  for (const add of COMMANDS) add(program, context);
  for (const command of program.commands) command.copyInheritedSettings(program);
  return program;
}
