/** The file of roots that sign no more and are still believed: it outlives restarts, so that no certificate in use loses its root. */
import { join } from 'node:path';
import type { RetiredRoot } from './authority-rotation.ts';
import { readPrivateFile, writePrivateFile } from './private-folder.ts';

const FILE = 'retired-roots.json';
const MAX_ROOTS = 20;

/** The roots of the file whose time is not over; what cannot be read is none, since nothing was signed by it lately. */
export async function readRetiredRoots(folder: string, nowUnixMs: number): Promise<readonly RetiredRoot[]> {
  const file = await readPrivateFile(join(folder, FILE));
  if (file?.ok !== true) return [];
  try {
    return readRetiredList(JSON.parse(file.value.reveal()), nowUnixMs);
  } catch {
    return [];
  }
}

/** The roots of a list whose time is not over; what is no root is left out. */
export function readRetiredList(list: unknown, nowUnixMs: number): readonly RetiredRoot[] {
  if (!Array.isArray(list)) return [];
  return list.slice(-MAX_ROOTS).filter((one) => isRetiredRoot(one) && one.untilUnixMs > nowUnixMs);
}

/** Writes the list, the newest roots where there are too many. */
export function writeRetiredRoots(folder: string, roots: readonly RetiredRoot[]): Promise<void> {
  return writePrivateFile(folder, FILE, `${JSON.stringify(roots.slice(-MAX_ROOTS), undefined, 1)}\n`);
}

function isRetiredRoot(value: unknown): value is RetiredRoot {
  if (typeof value !== 'object' || value === null) return false;
  const { pem, untilUnixMs } = value as Readonly<Record<string, unknown>>;
  return typeof pem === 'string' && typeof untilUnixMs === 'number';
}
