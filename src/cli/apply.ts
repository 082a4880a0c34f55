/** `lateen apply -f`: puts objects into the running mesh's folder and returns when the mesh has them. */
import type { Command } from 'commander';
import { type ApplyAnswer, type ApplyRequest, CONTROL_PATHS } from '#doors/control-protocol.ts';
import { jsonOutput, reportChange } from './change-report.ts';
import type { CliContext } from './cli-context.ts';
import {
  connectMesh,
  givenNamespace,
  type MeshOption,
  type NamespaceOption,
  withMesh,
  withNamespace,
} from './command-options.ts';
import { readInputs } from './input-files.ts';
import { readWait, type WaitOptions, withWait } from './wait-option.ts';

interface ApplyOptions extends MeshOption, NamespaceOption, WaitOptions {
  readonly filename: readonly string[];
  readonly recursive?: boolean;
  readonly output?: string;
  readonly dryRun?: boolean;
}

/** Adds the command. */
export function addApply(program: Command, context: CliContext): void {
  const command = program
    .command('apply')
    .description('create or change objects of the running mesh')
    .requiredOption('-f, --filename <file...>', 'file, folder, or - for standard input')
    .option('-R, --recursive', 'folders below, too')
    .option('-o, --output <format>', 'json: the whole answer, findings too')
    .option('--dry-run', 'check only')
    .addHelpText(
      'after',
      '\nExamples:\n  lateen apply -f samples/bookinfo/networking/virtual-service-all-v1.yaml\n  lateen apply -f mesh/ --wait\n',
    );
  withMesh(withNamespace(withWait(command))).action((options: ApplyOptions) => apply(context, options));
}

async function apply(context: CliContext, options: ApplyOptions): Promise<void> {
  const request: ApplyRequest = {
    files: await readInputs(context, options.filename, options.recursive === true),
    namespace: givenNamespace(context, options) ?? '',
    dryRun: options.dryRun === true,
    ...readWait(options),
  };
  const answer = await connectMesh(context, options).post<ApplyAnswer>(CONTROL_PATHS.apply, request);
  reportChange(context, answer, { ...jsonOutput(options), suffix: request.dryRun ? ' (dry run)' : '' });
}
