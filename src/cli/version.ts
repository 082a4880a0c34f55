/** `lateen version`: of this program, and of the control plane that runs. */
import type { Command } from 'commander';
import { CONTROL_PATHS, type MeshStatus } from '#doors/control-protocol.ts';
import type { CliContext } from './cli-context.ts';
import { connectMesh, type MeshOption, withMesh } from './command-options.ts';
import { usageError } from './exit-code.ts';

interface VersionOptions extends MeshOption {
  readonly output?: string;
  readonly short?: boolean;
}

/** Adds the command. */
export function addVersion(program: Command, context: CliContext): void {
  withMesh(program.command('version'))
    .description('show versions')
    .option('-s, --short', 'the version of this program only')
    .option('-o, --output <format>', 'json')
    .action((options: VersionOptions) => version(context, options));
}

async function version(context: CliContext, options: VersionOptions): Promise<void> {
  const { output, short } = options;
  if (output !== undefined && output !== 'json') throw usageError(`unknown output ${output}: json is wanted`);
  const controlPlane = short === true ? undefined : await runningVersion(context, options);
  const versions = {
    clientVersion: context.version,
    ...(controlPlane === undefined ? {} : { controlPlane }),
  };
  if (output === 'json') context.stdout.write(`${JSON.stringify(versions, null, 2)}\n`);
  else if (short === true) context.stdout.write(`${context.version}\n`);
  else {
    context.stdout.write(`client version: ${context.version}\n`);
    context.stdout.write(
      controlPlane === undefined ? 'no mesh is running\n' : `control plane version: ${controlPlane}\n`,
    );
  }
}

/** undefined when no mesh runs, or more than one. */
async function runningVersion(context: CliContext, options: VersionOptions): Promise<string | undefined> {
  try {
    const status = await connectMesh(context, options).get<MeshStatus>(CONTROL_PATHS.status);
    return status.controlPlane.version;
  } catch (error) {
    if (options.dir !== undefined) throw error;
    return undefined;
  }
}
