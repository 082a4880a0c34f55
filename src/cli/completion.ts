/** `lateen completion SHELL`, and the hidden command that the scripts ask: commands, options, kinds, and names from the running mesh. */
import type { Command, Option } from 'commander';
import { findKind, KINDS } from '#api/kind-registry.ts';
import { CONTROL_PATHS, type MeshStatus, type PrintedObject } from '#doors/control-protocol.ts';
import type { CliContext } from './cli-context.ts';
import { connectMesh } from './command-options.ts';
import { COMPLETION_SCRIPTS } from './completion-scripts.ts';
import { usageError } from './exit-code.ts';

/** Names that only the running mesh knows. */
export interface MeshNames {
  objects(kind: string): Promise<readonly string[]>;
  workloads(): Promise<readonly string[]>;
  namespaces(): Promise<readonly string[]>;
}

const OUTPUTS: ReadonlyMap<string, readonly string[]> = new Map([
  ['get', ['yaml', 'json', 'wide', 'name']],
  ['status', ['json', 'wide']],
]);
const OF_KINDS = ['get', 'delete', 'edit'];
const OF_WORKLOADS = ['logs', 'exec'];
const PASSED_LIMIT = 200;

/** Adds both commands. */
export function addCompletion(program: Command, context: CliContext): void {
  const shells = [...COMPLETION_SCRIPTS.keys()];
  program
    .command('completion')
    .argument('<shell>', shells.join(', '))
    .description('print a completion script for your shell')
    .addHelpText(
      'after',
      '\nExamples:\n  source <(lateen completion bash)\n  lateen completion fish | source\n',
    )
    .action((shell: string) => {
      const script = COMPLETION_SCRIPTS.get(shell);
      if (script === undefined) throw usageError(`unknown shell ${shell}: ${shells.join(', ')} are known`);
      context.stdout.write(script);
    });
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .action(async (words: string[]) => {
      const candidates = await complete(program, words, meshNames(context));
      context.stdout.write(
        candidates
          .slice(0, PASSED_LIMIT)
          .map((one) => `${one}\n`)
          .join(''),
      );
    });
}

/** Candidates for the last word; none where a file name is wanted, or anything at all. */
export async function complete(
  program: Command,
  words: readonly string[],
  names: MeshNames,
): Promise<readonly string[]> {
  const current = words.at(-1) ?? '';
  const { command, before } = commandOf(program, words.slice(0, -1));
  const matching = (all: readonly string[]): readonly string[] =>
    all.filter((one) => one.startsWith(current));
  if (command.commands.length > 0) return before.length > 0 ? [] : matching(visibleCommands(command));
  if (before.includes('--')) return [];
  const option = optionOf(command, before.at(-1) ?? '');
  if (option !== undefined && (option.required || option.optional)) {
    return matching(await optionValues(command.name(), option, names));
  }
  if (current.startsWith('-')) return matching(command.options.map(({ long, short }) => long ?? short ?? ''));
  return matching(await argumentValues(program, command, before, names));
}

/** The command, or the command of a command, that the first words name, and the words behind its name. */
function commandOf(
  program: Command,
  words: readonly string[],
): { readonly command: Command; readonly before: readonly string[] } {
  const next = program.commands.find((one) => one.name() === words[0]);
  return next === undefined ? { command: program, before: words } : commandOf(next, words.slice(1));
}

function visibleCommands({ commands }: Command): readonly string[] {
  return commands.map((command) => command.name()).filter((name) => !name.startsWith('__'));
}

function optionOf(command: Command, word: string): Option | undefined {
  return command.options.find(({ long, short }) => word !== '' && (word === long || word === short));
}

async function optionValues(command: string, option: Option, names: MeshNames): Promise<readonly string[]> {
  if (option.long === '--output') return OUTPUTS.get(command) ?? ['json'];
  if (option.long === '--for' || option.long === '--from') return names.workloads();
  if (option.long === '--container') return ['app', 'istio-proxy'];
  return option.long === '--namespace' ? names.namespaces() : [];
}

async function argumentValues(
  program: Command,
  command: Command,
  before: readonly string[],
  names: MeshNames,
): Promise<readonly string[]> {
  const given = before.filter((word) => !word.startsWith('-'));
  if (command.name() === 'completion') return [...COMPLETION_SCRIPTS.keys()];
  if (command.name() === 'help') return visibleCommands(program);
  if (OF_WORKLOADS.includes(command.name())) return given.length === 0 ? names.workloads() : [];
  if (!OF_KINDS.includes(command.name())) return [];
  const [kindWord] = given;
  if (kindWord === undefined) return KINDS.map(({ plural }) => plural);
  const kind = findKind(kindWord);
  return kind === undefined ? [] : names.objects(kind.kind);
}

/** Asks the mesh; without one there are no names. */
function meshNames(context: CliContext): MeshNames {
  const ask = async <T>(
    path: string,
    query: Readonly<Record<string, string>>,
    read: (answer: T) => string[],
  ): Promise<string[]> => {
    try {
      return [...new Set(read(await connectMesh(context, {}).get<T>(path, query)))].sort();
    } catch {
      return [];
    }
  };
  const replicas = ({ workloads, gateways }: MeshStatus): MeshStatus['workloads'] => [
    ...workloads,
    ...gateways,
  ];
  return {
    objects: (kind) =>
      ask<{ items: PrintedObject[] }>(CONTROL_PATHS.objects, { kind }, ({ items }) =>
        items.map(({ metadata }) => String(metadata['name'])),
      ),
    workloads: () =>
      ask<MeshStatus>(CONTROL_PATHS.status, {}, (status) => replicas(status).map(({ name }) => name)),
    namespaces: () =>
      ask<MeshStatus>(CONTROL_PATHS.status, {}, (status) =>
        replicas(status).map(({ namespace }) => namespace),
      ),
  };
}
