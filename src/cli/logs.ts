/** `lateen logs WORKLOAD`: what the application, or the proxy beside it, has written. */
import { once } from 'node:events';
import type { Command } from 'commander';
import { CONTROL_PATHS } from '#doors/control-protocol.ts';
import type { CliContext } from './cli-context.ts';
import {
  connectMesh,
  givenNamespace,
  type MeshOption,
  type NamespaceOption,
  withMesh,
  withNamespace,
} from './command-options.ts';
import { usageError } from './exit-code.ts';

interface LogOptions extends MeshOption, NamespaceOption {
  readonly container?: string;
  readonly follow?: boolean;
  readonly tail?: string;
}

/** Adds the command. */
export function addLogs(program: Command, context: CliContext): void {
  const command = program
    .command('logs')
    .argument('<workload>', 'a workload (all its replicas), or one replica such as reviews-v1-0')
    .description('show the log of a workload')
    .option('-c, --container <name>', 'app or istio-proxy')
    .option('-f, --follow', 'go on as the log grows')
    .option('--tail <lines>', 'the last lines only')
    .addHelpText(
      'after',
      '\nExamples:\n  lateen logs productpage-v1\n  lateen logs reviews-v2 -c istio-proxy -f --tail 10\n',
    );
  withMesh(withNamespace(command)).action((workload: string, options: LogOptions) =>
    logs(context, workload, options),
  );
}

async function logs(context: CliContext, workload: string, options: LogOptions): Promise<void> {
  const { tail, container, follow } = options;
  if (tail !== undefined && !/^\d+$/.test(tail)) throw usageError(`${tail} is not a number of lines`);
  const stream = await connectMesh(context, options).stream(CONTROL_PATHS.logs, {
    name: workload,
    namespace: givenNamespace(context, options),
    container,
    tail,
    follow: follow === true ? 'true' : undefined,
  });
  for await (const chunk of stream) {
    if (!context.stdout.write(chunk)) await once(context.stdout, 'drain');
  }
}
