/** `lateen mtls readiness`: who still calls in plain text, and what would break if workloads took mutual TLS only. */
import type { Command } from 'commander';
import { CONTROL_PATHS, type MutualTlsReadiness } from '#doors/control-protocol.ts';
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
import { type Style, styleFor } from './style.ts';
import { printable, printTable } from './table.ts';

interface ReadinessOptions extends MeshOption, NamespaceOption {
  readonly output?: string;
}

/** Adds the command. */
export function addMtls(program: Command, context: CliContext): void {
  const mtls = program.command('mtls').description('mutual TLS between workloads');
  withNamespace(withMesh(mtls.command('readiness')))
    .description('tell who calls in plain text, and what would break under STRICT')
    .option('-o, --output <format>', 'json')
    .addHelpText('after', '\nExamples:\n  lateen mtls readiness\n  lateen mtls readiness -n shop -o json\n')
    .action((options: ReadinessOptions) => readiness(context, options));
}

async function readiness(context: CliContext, options: ReadinessOptions): Promise<void> {
  const { output } = options;
  if (output !== undefined && output !== 'json') throw usageError(`unknown output ${output}: json is wanted`);
  const namespace = givenNamespace(context, options);
  const all = await connectMesh(context, options).get<MutualTlsReadiness[]>(CONTROL_PATHS.mtlsReadiness);
  const shown = all.filter((one) => namespace === undefined || one.namespace === namespace);
  const style = styleFor(context.stdout, context.environment);
  context.stdout.write(
    output === 'json' ? `${JSON.stringify(shown, null, 2)}\n` : printReadiness(shown, style),
  );
}

/** The answer as text: a table, and below it the reasons. */
export function printReadiness(workloads: readonly MutualTlsReadiness[], style: Style): string {
  if (workloads.length === 0) return 'no workloads\n';
  const rows = workloads.map((one) => [
    one.namespace,
    printable(one.workload),
    printMode(one),
    one.plaintextCallers.map(({ source }) => printable(source)).join(', ') || '-',
    verdict(one, style),
  ]);
  const head = ['NAMESPACE', 'WORKLOAD', 'MODE', 'PLAIN TEXT BY', 'STRICT'];
  const reasons = workloads.flatMap(({ workload, namespace, reasons: own }) =>
    own.map((reason) => `${printable(`${workload}.${namespace}`)}: ${printable(reason)}\n`),
  );
  return [printTable(head, rows), ...(reasons.length === 0 ? [] : ['\n', ...reasons])].join('');
}

/** `PERMISSIVE`, with the ports that differ: `STRICT (9000 PERMISSIVE)`. */
function printMode({ sidecar, mode, ports }: MutualTlsReadiness): string {
  if (!sidecar) return 'no sidecar';
  const others = ports.filter((port) => port.mode !== mode).map((port) => `${port.port} ${port.mode}`);
  return others.length === 0 ? mode : `${mode} (${others.join(', ')})`;
}

function verdict({ sidecar, mode, ports, wouldBreak }: MutualTlsReadiness, style: Style): string {
  if (!sidecar) return '-';
  if (wouldBreak) return style.red('would break');
  const isStrict = mode === 'STRICT' && ports.every((port) => port.mode === 'STRICT');
  return style.green(isStrict ? 'in force' : 'safe');
}
