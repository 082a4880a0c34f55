/**
 * Writes a set of files so that each is seen whole: new texts go beside their places first, and only when all are on disk are
 * they renamed. A failure before that (no space, no permission) leaves every file as it was.
 */
import { mkdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { hasCode } from './system-error.ts';

const DEFAULT_MODE = 0o644;

/** Text of a file, '' when there is none. */
export function readTextFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return '';
    throw error;
  }
}

/** Writes all; '' removes the file. Errors: throws what the system says, with nothing changed. */
export function writeTextFiles(changes: ReadonlyMap<string, string>): void {
  const drafts = new Map<string, string>();
  try {
    for (const [file, text] of changes) {
      if (text === '') continue;
      mkdirSync(dirname(file), { recursive: true });
      const target = targetOf(file);
      const draft = join(dirname(target), `.${basename(target)}.${process.pid}.tmp`);
      drafts.set(draft, target);
      writeFileSync(draft, text, { mode: modeOf(target), flush: true });
    }
  } catch (error) {
    for (const draft of drafts.keys()) rmSync(draft, { force: true });
    throw error;
  }
  for (const [draft, target] of drafts) renameSync(draft, target);
  for (const [file, text] of changes) if (text === '') rmSync(file, { force: true });
}

/** The file behind a symbolic link, so that the link stays one. */
function targetOf(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}

function modeOf(file: string): number {
  return (statSync(file, { throwIfNoEntry: false })?.mode ?? DEFAULT_MODE) & 0o777;
}
