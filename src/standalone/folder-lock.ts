/**
 * One owner per folder: a lock file that names its owner by pid and start time. It appears with its content in one step
 * (link), so nobody reads half of it; the lock of a process that is gone is taken over.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isAlive, startTicks } from './process-table.ts';
import { hasCode } from './system-error.ts';

const ATTEMPTS = 5;

/** Takes the lock. Gives the pid of the owner when there is one. */
export function lockFolder(lockFile: string): Disposable | { readonly ownerPid: number } {
  const mine = `${process.pid} ${startTicks(process.pid)}`;
  const draft = `${lockFile}.${process.pid}`;
  writeFileSync(draft, mine, { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (tryLink(draft, lockFile)) return { [Symbol.dispose]: () => unlock(lockFile, mine) };
      const text = readLock(lockFile);
      const ownerPid = livingOwner(text);
      if (ownerPid !== undefined) return { ownerPid };
      removeStale(lockFile, text);
    }
    throw new Error(`${lockFile} changes hands all the time; try again`);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** The pid of the living owner of a lock file; undefined when nobody holds it. */
export function lockOwner(lockFile: string): number | undefined {
  return livingOwner(readLock(lockFile));
}

function livingOwner(text: string): number | undefined {
  const [pidText = '', ticks = ''] = text.split(' ');
  const pid = Number(pidText);
  return isAlive(pid) && startTicks(pid) === ticks ? pid : undefined;
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Moves the stale lock aside; when another process was faster and this is its fresh one, puts it back. */
function removeStale(lockFile: string, staleText: string): void {
  const aside = `${lockFile}.stale.${process.pid}`;
  try {
    renameSync(lockFile, aside);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return;
    throw error;
  }
  if (readLock(aside) !== staleText) tryLink(aside, lockFile);
  rmSync(aside, { force: true });
}

function unlock(lockFile: string, mine: string): void {
  if (readLock(lockFile) === mine) rmSync(lockFile, { force: true });
}

function readLock(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return '';
    throw error;
  }
}
