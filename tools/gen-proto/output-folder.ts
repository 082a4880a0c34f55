// Writes generated files, or compares them with what lies on disk (`--check`).
// Writing leaves equal files untouched and removes generated ones that are no longer made, so a second run
// changes nothing.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface Differences {
  readonly missing: readonly string[];
  readonly changed: readonly string[];
  readonly surplus: readonly string[];
}

/** Compares path -> text with the files below `folder`. */
export function compareOutput(folder: string, texts: ReadonlyMap<string, string>): Differences {
  const onDisk = new Set(listFiles(folder));
  const paths = [...texts.keys()].sort();
  return {
    missing: paths.filter((path) => !onDisk.has(path)),
    changed: paths.filter(
      (path) => onDisk.has(path) && readFileSync(join(folder, path), 'utf8') !== texts.get(path),
    ),
    surplus: [...onDisk].filter((path) => !texts.has(path)).sort(),
  };
}

/** Makes `folder` hold exactly `texts`; returns what had to be done for that. */
export function writeOutput(folder: string, texts: ReadonlyMap<string, string>): Differences {
  const differences = compareOutput(folder, texts);
  for (const path of [...differences.missing, ...differences.changed]) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), texts.get(path) ?? '');
  }
  for (const path of differences.surplus) rmSync(join(folder, path));
  return differences;
}

/** Says in one line whether anything differs; the exit code of `--check` hangs on it. */
export function describeDifferences({ missing, changed, surplus }: Differences): string {
  return `${missing.length} missing, ${changed.length} changed, ${surplus.length} surplus`;
}

/** True when nothing differs. */
export function isSame({ missing, changed, surplus }: Differences): boolean {
  return missing.length + changed.length + surplus.length === 0;
}

function listFiles(folder: string): readonly string[] {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
