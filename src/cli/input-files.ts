/** What `-f` names: files, folders (the objects in them), `-` for standard input. Everything is read before anything is sent. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import type { ApplyFile } from '#doors/control-protocol.ts';
import type { CliContext } from './cli-context.ts';
import { CliError, usageError } from './exit-code.ts';

const OBJECT_FILE = /^[^.#~].*\.(?:ya?ml|json)$/i;

/** Reads all inputs, folders in the order of their names. Errors: a CliError for what cannot be read, or for nothing to read. */
export async function readInputs(
  context: CliContext,
  names: readonly string[],
  isRecursive: boolean,
): Promise<readonly ApplyFile[]> {
  const files: ApplyFile[] = [];
  for (const name of names) {
    if (name === '-') files.push({ name: 'standard input', text: await readText(context.stdin) });
    else files.push(...readPath(context, name, isRecursive));
  }
  if (files.length === 0)
    throw usageError(
      `no YAML or JSON file in ${names.join(', ')}${isRecursive ? '' : ' (-R looks into folders below)'}`,
    );
  return files;
}

function readPath(context: CliContext, name: string, isRecursive: boolean): readonly ApplyFile[] {
  const path = resolve(context.cwd, name);
  try {
    if (!statSync(path).isDirectory()) return [{ name, text: readFileSync(path, 'utf8') }];
    return readdirSync(path, { withFileTypes: true })
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap((entry) => {
        const inside = join(name, entry.name);
        if (entry.isDirectory()) {
          const isOpen = isRecursive && !entry.name.startsWith('.') && entry.name !== 'node_modules';
          return isOpen ? readPath(context, inside, true) : [];
        }
        return OBJECT_FILE.test(entry.name)
          ? [{ name: inside, text: readFileSync(join(path, entry.name), 'utf8') }]
          : [];
      });
  } catch (error) {
    throw error instanceof CliError
      ? error
      : new CliError(`${name} cannot be read: ${(error as Error).message}`);
  }
}
