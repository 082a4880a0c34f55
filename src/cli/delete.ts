/** `lateen delete`: takes objects out of the running mesh, and out of the files that they stand in. */
import type { Command } from 'commander';
import { type ApplyAnswer, CONTROL_PATHS, type DeleteRequest } from '#doors/control-protocol.ts';
import { jsonOutput, reportChange } from './change-report.ts';
import type { CliContext } from './cli-context.ts';
import {
  connectMesh,
  givenNamespace,
  type MeshOption,
  type NamespaceOption,
  namespaceOf,
  withMesh,
  withNamespace,
} from './command-options.ts';
import { usageError } from './exit-code.ts';
import { readInputs } from './input-files.ts';
import { readRefs } from './object-names.ts';
import { readWait, type WaitOptions, withWait } from './wait-option.ts';

interface DeleteOptions extends MeshOption, NamespaceOption, WaitOptions {
  readonly filename?: readonly string[];
  readonly recursive?: boolean;
  readonly output?: string;
  readonly ignoreNotFound?: boolean;
}

/** Adds the command. */
export function addDelete(program: Command, context: CliContext): void {
  const command = program
    .command('delete')
    .argument('[objects...]', 'KIND NAME..., or KIND/NAME...')
    .description('remove objects from the running mesh')
    .option('-f, --filename <file...>', 'the objects of these files; - for standard input')
    .option('-R, --recursive', 'folders below, too')
    .option('-o, --output <format>', 'json: the whole answer, findings too')
    .option('--ignore-not-found', 'objects that are not there are no failure')
    .addHelpText(
      'after',
      '\nExamples:\n  lateen delete virtualservice reviews\n  lateen delete vs/reviews dr/reviews -n shop\n',
    );
  withMesh(withNamespace(withWait(command))).action((words: string[], options: DeleteOptions) =>
    remove(context, words, options),
  );
}

async function remove(context: CliContext, words: readonly string[], options: DeleteOptions): Promise<void> {
  const { filename = [] } = options;
  if (words.length === 0 && filename.length === 0) throw usageError('what is to go? KIND NAME, or -f FILE');
  const request: DeleteRequest = {
    refs: words.length === 0 ? [] : readRefs(words, namespaceOf(context, options)),
    files: filename.length === 0 ? [] : await readInputs(context, filename, options.recursive === true),
    namespace: givenNamespace(context, options) ?? '',
    ignoreNotFound: options.ignoreNotFound === true,
    ...readWait(options),
  };
  reportChange(
    context,
    await connectMesh(context, options).post<ApplyAnswer>(CONTROL_PATHS.remove, request),
    jsonOutput(options),
  );
}
