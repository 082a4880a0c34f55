/** `lateen edit KIND NAME`: an object in the user's editor, applied when it is saved. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { type ApplyAnswer, CONTROL_PATHS, type ObjectSource } from '#doors/control-protocol.ts';
import { reportChange } from './change-report.ts';
import type { CliContext } from './cli-context.ts';
import {
  connectMesh,
  type MeshOption,
  type NamespaceOption,
  namespaceOf,
  withMesh,
  withNamespace,
} from './command-options.ts';
import { CliError, EXIT_OK, usageError } from './exit-code.ts';
import { readRefs } from './object-names.ts';
import { readWait, type WaitOptions, withWait } from './wait-option.ts';

type EditOptions = MeshOption & NamespaceOption & WaitOptions;

/** Adds the command. */
export function addEdit(program: Command, context: CliContext): void {
  const command = program
    .command('edit')
    .argument('<object...>', 'KIND NAME, or KIND/NAME')
    .description('change an object in your editor (VISUAL, EDITOR, or vi)')
    .addHelpText(
      'after',
      '\nExamples:\n  lateen edit virtualservice reviews\n  EDITOR=nano lateen edit dr/reviews\n',
    );
  withMesh(withNamespace(withWait(command))).action((words: string[], options: EditOptions) =>
    edit(context, words, options),
  );
}

async function edit(context: CliContext, words: readonly string[], options: EditOptions): Promise<void> {
  const [ref, ...others] = readRefs(words, namespaceOf(context, options));
  if (ref === undefined || others.length > 0) throw usageError('one object at a time');
  const client = connectMesh(context, options);
  const source = await client.get<ObjectSource>(CONTROL_PATHS.sources, { ...ref });
  const folder = mkdtempSync(join(context.tempFolder, 'lateen-edit-'));
  const file = join(folder, `${ref.kind.toLowerCase()}-${ref.name}.yaml`);
  const before = `${source.text.replace(/^(?:[ \t]*\r?\n)+/, '').trimEnd()}\n`;
  writeFileSync(file, before, { mode: 0o600 });
  await openEditor(context, file);
  const text = readFileSync(file, 'utf8');
  if (text === before) {
    rmSync(folder, { recursive: true });
    context.stdout.write('Nothing was changed.\n');
    return;
  }
  const request = {
    files: [{ name: file, text }],
    namespace: ref.namespace,
    dryRun: false,
    ...readWait(options),
  };
  const answer = await client.post<ApplyAnswer>(CONTROL_PATHS.apply, request);
  if (answer.accepted) rmSync(folder, { recursive: true });
  else context.stderr.write(`Your text is kept in ${file}\n`);
  reportChange(context, answer);
}

/** The variable may hold arguments too, so a shell reads it; the file name goes in as an argument. */
async function openEditor(context: CliContext, file: string): Promise<void> {
  const { environment } = context;
  const editor = environment['VISUAL'] || environment['EDITOR'] || 'vi';
  const script = '$LATEEN_EDITOR "$1"';
  const words = ['/bin/sh', '-c', script, 'sh', file];
  const exitCode = await context.runCommand(words, { ...environment, LATEEN_EDITOR: editor });
  if (exitCode !== EXIT_OK)
    throw new CliError(`${editor} ended with code ${exitCode}; nothing was changed (${file})`);
}
