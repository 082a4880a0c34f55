/** What a mesh on one machine may leave behind when it ends, and must not: processes, sockets, files. Read from /proc. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { childrenOf, startTicks } from '#standalone/process-table.ts';

/** Logs and the mesh's roots stay from one run to the next; what holds them stays with them. */
const KEPT = ['control-plane', 'logs'];

/** A process for good, which a pid alone is not. */
export interface KnownProcess {
  readonly pid: number;
  readonly ticks: string;
}

/** A process and all below it. */
export function familyOf(pid: number): readonly KnownProcess[] {
  return [{ pid, ticks: startTicks(pid) }, ...childrenOf(pid).flatMap(familyOf)];
}

/**
 * Everything that is left of the mesh of a folder: processes of its family or with the folder in their command line,
 * environment or working directory, Unix sockets below a folder of its own, and files of its state folder.
 */
export function* leftOvers(dir: string, scratch: string, family: readonly KnownProcess[]): Iterable<string> {
  for (const { pid, ticks } of family) {
    if (ticks !== '' && startTicks(pid) === ticks) yield `process ${pid}: ${commandLine(pid)}`;
  }
  for (const pid of readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)) {
    const about = [commandLine(pid), read(`/proc/${pid}/environ`), workingDirectory(pid)].join('\0');
    if (pid !== process.pid && about.includes(dir)) yield `process ${pid}: ${commandLine(pid)}`;
  }
  for (const line of read('/proc/net/unix').split('\n')) {
    if (line.includes(scratch)) yield `Unix socket: ${line}`;
  }
  for (const name of list(join(dir, '.lateen'))) {
    if (!KEPT.includes(name)) yield `file ${name} in the state folder`;
  }
  for (const name of list(join(scratch, 'lateen'))) yield `file ${name} in the user's folder`;
}

function commandLine(pid: number): string {
  return read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
}

function workingDirectory(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}

/** Nothing for a folder that never came to be. */
function list(path: string): readonly string[] {
  return existsSync(path) ? readdirSync(path) : [];
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
