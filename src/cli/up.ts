/** `lateen up DIR`: runs the mesh that a folder of YAML describes, until Ctrl-C or `lateen down`. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import type { CliContext, HostedMesh } from './cli-context.ts';
import { CliError } from './exit-code.ts';
import { aborted, hostMesh } from './hosting.ts';
import { gatewayUrls } from './mesh-urls.ts';

interface UpOptions {
  readonly meshConfig?: string;
}

/** Adds the command. */
export function addUp(program: Command, context: CliContext): void {
  program
    .command('up')
    .argument('[dir]', 'folder of YAML: Istio objects, Services, LocalWorkloads', '.')
    .description('run the mesh that a folder describes')
    .option('--mesh-config <file>', 'YAML of mesh config, laid over the defaults')
    .addHelpText(
      'after',
      '\nExamples:\n  lateen up samples/bookinfo/mesh\n  lateen up . --mesh-config mesh.yaml\n',
    )
    .action((dir: string, options: UpOptions) => up(context, dir, options));
}

async function up(context: CliContext, dir: string, options: UpOptions): Promise<void> {
  const say = (text: string): void => void context.stdout.write(`${text}\n`);
  const meshConfigFile =
    options.meshConfig === undefined ? undefined : resolve(context.cwd, options.meshConfig);
  const start = { dir: resolve(context.cwd, dir), meshConfigFile, onStep: say };
  await hostMesh(context, start, async (mesh, signal) => {
    say(`The mesh of ${mesh.dir} is starting (pid ${mesh.pid}).`);
    for (const diagnostic of mesh.status().diagnostics)
      context.stderr.write(`${printDiagnostic(diagnostic)}\n`);
    await whenUp(mesh, say, signal);
    if (signal.aborted) return;
    for (const url of gatewayUrls(mesh.status())) say(url);
    say('Running. In another terminal: lateen status, get, apply, logs. Stop with Ctrl-C or: lateen down');
    await aborted(signal);
  });
}

/** Waits for all workloads and tells how far they are. */
export async function whenUp(
  mesh: HostedMesh,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  try {
    await mesh.whenUp(({ ready, total }) => say(`Workloads ready: ${ready}/${total}`), signal);
  } catch (error) {
    throw new CliError(`the mesh cannot start: ${error instanceof Error ? error.message : String(error)}`);
  }
}
