/** Options that several commands have, read the same way everywhere. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { CliContext } from './cli-context.ts';
import { ControlClient } from './control-client.ts';
import { CliError } from './exit-code.ts';

const DEFAULT_NAMESPACE = 'default';

/** Options as commander hands them over. */
export interface MeshOption {
  readonly dir?: string;
}

export interface NamespaceOption {
  readonly namespace?: string;
}

/** Adds --dir. */
export function withMesh(command: Command): Command {
  return command.option(
    '--dir <folder>',
    'folder of the mesh (default: LATEEN_DIR, or the mesh that is running)',
  );
}

/** Adds -n. */
export function withNamespace(command: Command): Command {
  return command.option('-n, --namespace <name>', 'namespace (default: LATEEN_NAMESPACE, or default)');
}

/** Connects to the mesh that is meant. */
export function connectMesh(context: CliContext, options: MeshOption): ControlClient {
  const asked = options.dir ?? context.environment['LATEEN_DIR'] ?? '';
  const found = context.findMesh(asked === '' ? '' : resolve(context.cwd, asked));
  if (!found.ok) throw new CliError(found.error);
  return new ControlClient(found.value);
}

/** The namespace that is meant. */
export function namespaceOf(context: CliContext, options: NamespaceOption): string {
  return givenNamespace(context, options) ?? DEFAULT_NAMESPACE;
}

/** The namespace that was named, by option or environment. */
export function givenNamespace(context: CliContext, options: NamespaceOption): string | undefined {
  const named = options.namespace ?? context.environment['LATEEN_NAMESPACE'];
  return named === '' ? undefined : named;
}
