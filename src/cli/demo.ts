/** `lateen demo`: Bookinfo as a mesh on this machine, with a live table of its traffic; nothing is left when it ends. */
import type { Command } from 'commander';
import type { MeshStatus } from '#doors/control-protocol.ts';
import type { CliContext, HostedMesh } from './cli-context.ts';
import { ControlClient } from './control-client.ts';
import { makeDemoFolder } from './demo-folder.ts';
import { sendTraffic } from './demo-traffic.ts';
import { watchEdges } from './edge-view.ts';
import { CliError, usageError } from './exit-code.ts';
import { hostMesh } from './hosting.ts';
import { adminUrl } from './mesh-urls.ts';
import { styleFor } from './style.ts';
import { printTable } from './table.ts';
import { whenUp } from './up.ts';

interface DemoOptions {
  readonly port: string;
  readonly traffic: boolean;
}

/** Adds the command. */
export function addDemo(program: Command, context: CliContext): void {
  program
    .command('demo')
    .description('run Bookinfo as a mesh on this machine and show its traffic')
    .option('--port <number>', 'port of the ingress gateway on localhost', '8080')
    .option('--no-traffic', 'send no requests')
    .addHelpText('after', '\nExamples:\n  lateen demo\n  lateen demo --port 9080 --no-traffic\n')
    .action((options: DemoOptions) => demo(context, options));
}

async function demo(context: CliContext, options: DemoOptions): Promise<void> {
  const port = Number(options.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw usageError(`${options.port} is not a port`);
  const say = (text: string): void => void context.stdout.write(`${text}\n`);
  using folder = openFolder(context, port);
  const start = { dir: folder.dir, meshConfigFile: undefined, onStep: say };
  try {
    await hostMesh(context, start, (mesh, signal) =>
      show(context, mesh, { port, traffic: options.traffic }, signal),
    );
  } catch (error) {
    const isPort = error instanceof CliError && error.message.startsWith(`port ${port} `);
    throw isPort ? new CliError(`${error.message}: lateen demo --port ${port + 1000}`) : error;
  }
  say('Everything is stopped; nothing is left.');
}

function openFolder(context: CliContext, port: number): ReturnType<typeof makeDemoFolder> {
  try {
    return makeDemoFolder(context.samplesFolder, context.tempFolder, port);
  } catch (error) {
    throw new CliError(
      `the demo's folder cannot be made in ${context.tempFolder}: ${(error as Error).message}`,
    );
  }
}

interface ShowOptions {
  readonly port: number;
  readonly traffic: boolean;
}

async function show(
  context: CliContext,
  mesh: HostedMesh,
  { port, traffic }: ShowOptions,
  signal: AbortSignal,
): Promise<void> {
  const say = (text: string): void => void context.stdout.write(`${text}\n`);
  await whenUp(mesh, say, signal);
  if (signal.aborted) return;
  const url = `http://localhost:${port}/productpage`;
  const style = styleFor(context.stdout, context.environment);
  say(`\nProduct page:  ${style.bold(url)}`);
  say(`YAML:          ${mesh.dir}\n`);
  context.stdout.write(adminTable(mesh.status()));
  say(
    '\nIn another terminal: lateen status | lateen apply -f samples/bookinfo/networking/virtual-service-all-v1.yaml',
  );
  say('Stop with Ctrl-C.\n');
  using _traffic = traffic ? sendTraffic(`http://127.0.0.1:${port}/productpage`, context.clock) : undefined;
  await watchEdges(context, new ControlClient(mesh), signal);
}

function adminTable({ workloads, gateways }: MeshStatus): string {
  const rows = [...gateways, ...workloads].map((replica) => [
    `${replica.name}-${replica.replica}`,
    replica.namespace,
    adminUrl(replica),
  ]);
  return printTable(['PROXY', 'NAMESPACE', 'ADMIN'], rows);
}
