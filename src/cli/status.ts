/** `lateen status`: workloads, gateways and their proxies, certificates that end, objects that are held back, problems of files. */
import type { Command } from 'commander';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import { CONTROL_PATHS, type MeshStatus, type ReplicaStatus } from '#doors/control-protocol.ts';
import type { CliContext } from './cli-context.ts';
import { connectMesh, type MeshOption, withMesh } from './command-options.ts';
import { usageError } from './exit-code.ts';
import { type Style, styleFor } from './style.ts';
import { printable, printTable } from './table.ts';

interface StatusOptions extends MeshOption {
  readonly output?: string;
}

/** Adds the command. */
export function addStatus(program: Command, context: CliContext): void {
  withMesh(program.command('status'))
    .description('show workloads, proxies and held-back objects of the running mesh')
    .option('-o, --output <format>', 'json, wide')
    .addHelpText('after', '\nExamples:\n  lateen status\n  lateen status -o json\n')
    .action((options: StatusOptions) => showStatus(context, options));
}

async function showStatus(context: CliContext, options: StatusOptions): Promise<void> {
  const { output = '' } = options;
  if (!['', 'json', 'wide'].includes(output))
    throw usageError(`unknown output ${output}: json or wide is wanted`);
  const status = await connectMesh(context, options).get<MeshStatus>(CONTROL_PATHS.status);
  const style = styleFor(context.stdout, context.environment);
  context.stdout.write(
    output === 'json'
      ? `${JSON.stringify(status, null, 2)}\n`
      : printStatus(status, style, output === 'wide'),
  );
}

/** The status as text. */
export function printStatus(status: MeshStatus, style: Style, isWide: boolean): string {
  const parts = [
    `Mesh ${status.dir}, control plane pid ${status.controlPlane.pid}, version ${status.controlPlane.version}\n`,
    section('Workloads', status.workloads, style, isWide),
    section('Gateways', status.gateways, style, isWide),
    certificates(status, style, isWide),
    heldBack(status, style),
    diagnostics(status, style),
  ];
  if (status.workloads.length > 0) {
    parts.push(
      style.dim(
        'isolation none: workloads share one user and one network; policy is shown, not enforced against them\n',
      ),
    );
  }
  return parts.filter((part) => part !== '').join('\n');
}

function section(title: string, replicas: readonly ReplicaStatus[], style: Style, isWide: boolean): string {
  if (replicas.length === 0) return '';
  const head = [
    'NAMESPACE',
    'NAME',
    'READY',
    'RESTARTS',
    'SYNCED',
    'ADDRESS',
    ...(isWide ? ['PIDS', 'IDENTITY', 'CERTIFICATE ENDS'] : []),
    'WAITS FOR',
  ];
  const rows = replicas.map((replica) => {
    const {
      namespace,
      name,
      replica: number,
      ready,
      restarts,
      address,
      pids,
      identity,
      reason,
      certificateNotAfter,
    } = replica;
    const wide = isWide
      ? [`app ${pids.app}, agent ${pids.agent}, envoy ${pids.envoy}`, identity, certificateNotAfter]
      : [];
    const readiness = ready ? style.green('yes') : style.red('no');
    return [
      namespace,
      `${name}-${number}`,
      readiness,
      String(restarts),
      syncText(replica),
      address,
      ...wide,
      printable(reason),
    ];
  });
  return `${style.bold(title)}\n${printTable(head, rows)}`;
}

/** `yes`, or the types that the proxy has not taken yet. */
function syncText({ synced }: ReplicaStatus): string {
  const behind = (['cds', 'eds', 'lds', 'rds'] as const).filter((type) => synced[type] === 'STALE');
  const isNew = synced.cds === 'NOT SENT' && synced.lds === 'NOT SENT';
  if (isNew) return 'not connected';
  return behind.length === 0 ? 'yes' : `waits for ${behind.join(', ')}`;
}

/** What ends soon; all of them where everything is shown. */
function certificates({ certificates: { list, alerts } }: MeshStatus, style: Style, isWide: boolean): string {
  const rows = list.map(({ kind, name, state, notAfter }) => [kind, printable(name), state, notAfter]);
  const table = isWide
    ? [`${style.bold('Certificates')}\n${printTable(['KIND', 'NAME', 'STATE', 'ENDS'], rows)}`]
    : [];
  const lines = alerts.map((alert) => `${printable(alert)}\n`).join('');
  const told =
    alerts.length === 0 ? [] : [`${style.yellow('Certificates that end, and roots that change')}\n${lines}`];
  return [...table, ...told].join('\n');
}

function heldBack(status: MeshStatus, style: Style): string {
  if (status.heldBack.length === 0) return '';
  const rows = status.heldBack.map(({ kind, namespace, name, since, lastGood, reason }) => {
    return [kind, `${namespace}/${name}`, since, lastGood ? 'the one before' : 'nothing', printable(reason)];
  });
  const title = style.yellow('Held back: Envoy refuses these objects; everything else is in force');
  return `${title}\n${printTable(['KIND', 'NAME', 'SINCE', 'IN FORCE', 'REASON'], rows)}`;
}

function diagnostics(status: MeshStatus, style: Style): string {
  const found = status.diagnostics.filter(({ severity }) => severity !== 'info');
  if (found.length === 0) return '';
  return `${style.yellow('Problems in files')}\n${found.map((one) => `${printDiagnostic(one)}\n`).join('')}`;
}
