/** `lateen get`: objects of the running mesh, as a table or as Kubernetes prints them. */
import type { Command } from 'commander';
import type { KindInfo } from '#api/kind-registry.ts';
import { printValue } from '#api/print-object.ts';
import { CONTROL_PATHS, type PrintedObject } from '#doors/control-protocol.ts';
import type { CliContext } from './cli-context.ts';
import {
  connectMesh,
  type MeshOption,
  type NamespaceOption,
  namespaceOf,
  withMesh,
  withNamespace,
} from './command-options.ts';
import { CliError, usageError } from './exit-code.ts';
import { columnsOf } from './object-columns.ts';
import { printName, readKinds } from './object-names.ts';
import { printable, printTable } from './table.ts';

interface GetOptions extends MeshOption, NamespaceOption {
  readonly allNamespaces?: boolean;
  readonly output?: string;
}

const FORMATS = ['', 'yaml', 'json', 'wide', 'name'];

/** Adds the command. */
export function addGet(program: Command, context: CliContext): void {
  const command = program
    .command('get')
    .argument('<kind>', 'kind, plural or short name; several with commas; all')
    .argument('[name]', 'one object')
    .description('show objects of the running mesh')
    .option('-A, --all-namespaces', 'objects of every namespace')
    .option('-o, --output <format>', 'yaml, json, wide, name')
    .addHelpText(
      'after',
      '\nExamples:\n  lateen get vs\n  lateen get virtualservice reviews -o yaml\n  lateen get all -A\n',
    );
  withMesh(withNamespace(command)).action((kind: string, name: string | undefined, options: GetOptions) => {
    const slash = kind.indexOf('/');
    if (slash < 0 || name !== undefined) return get(context, kind, name, options);
    return get(context, kind.slice(0, slash), kind.slice(slash + 1), options);
  });
}

async function get(
  context: CliContext,
  kindWord: string,
  name: string | undefined,
  options: GetOptions,
): Promise<void> {
  const { output = '', allNamespaces = false } = options;
  if (!FORMATS.includes(output))
    throw usageError(`unknown output ${output}: yaml, json, wide or name is wanted`);
  const kinds = readKinds(kindWord);
  const client = connectMesh(context, options);
  const namespace = namespaceOf(context, options);
  const groups = await Promise.all(
    kinds.map(async (kind) => {
      const { items } = await client.get<{ items: PrintedObject[] }>(CONTROL_PATHS.objects, {
        kind: kind.kind,
      });
      const objects = items
        .filter(({ metadata }) => name === undefined || metadata['name'] === name)
        .filter(({ metadata }) => allNamespaces || !kind.namespaced || metadata['namespace'] === namespace)
        .sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
      return { kind, objects };
    }),
  );
  const found = groups.flatMap(({ objects }) => objects);
  if (found.length === 0 && name !== undefined) {
    const where = allNamespaces ? 'any namespace' : `namespace "${namespace}"`;
    throw new CliError(`${kinds.map(({ kind }) => kind).join(', ')} "${name}" not found in ${where}`);
  }
  if (output === 'yaml' || output === 'json') {
    const isOne = name !== undefined && found.length === 1;
    context.stdout.write(printValue(isOne ? found[0] : listOf(found), output));
  } else if (output === 'name') context.stdout.write(found.map((one) => `${nameOf(one)}\n`).join(''));
  else if (found.length === 0)
    context.stderr.write(`no objects found${allNamespaces ? '' : ` in namespace ${namespace}`}\n`);
  else context.stdout.write(printGroups(groups, allNamespaces, output === 'wide'));
}

function listOf(items: readonly PrintedObject[]): unknown {
  return { apiVersion: 'v1', items, kind: 'List', metadata: { resourceVersion: '' } };
}

function sortKey({ metadata }: PrintedObject): string {
  return `${metadata['namespace'] ?? ''}/${metadata['name']}`;
}

function nameOf({ kind, metadata }: PrintedObject): string {
  return printName({ kind, namespace: '', name: String(metadata['name']) });
}

interface Group {
  readonly kind: KindInfo;
  readonly objects: readonly PrintedObject[];
}

/** One table per kind; with several kinds the names say which. */
function printGroups(groups: readonly Group[], allNamespaces: boolean, isWide: boolean): string {
  const full = groups.filter(({ objects }) => objects.length > 0);
  const tables = full.map(({ kind, objects }) => {
    const columns = columnsOf(kind.kind, isWide);
    const head = [...(allNamespaces ? ['NAMESPACE'] : []), 'NAME', ...columns.map((column) => column.head)];
    const rows = objects.map((object) => [
      ...(allNamespaces ? [String(object.metadata['namespace'] ?? '')] : []),
      groups.length > 1 ? nameOf(object) : String(object.metadata['name']),
      ...columns.map((column) => printable(column.read(object))),
    ]);
    return printTable(head, rows);
  });
  return tables.join('\n');
}
