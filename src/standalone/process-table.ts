/**
 * What Linux tells about processes: whether one lives, when it started (a pid alone is used again), its children, its name. All
 * answers are snapshots; a process that is gone is an absent answer, never an exception.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { hasCode } from './system-error.ts';

/** Whether a process with this id exists, whoever owns it. */
export function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasCode(error, 'EPERM');
  }
}

/** Start of a process in ticks since boot: with the pid it names one process for good. '' when it is gone. */
export function startTicks(pid: number): string {
  return statFields(pid)[19] ?? '';
}

/** Ids of a process's children that run `commandName` (the kernel's name, at most 15 bytes); of all when ''. */
export function childrenOf(pid: number, commandName = ''): number[] {
  const text = read(`/proc/${pid}/task/${pid}/children`);
  const children = text
    .split(' ')
    .filter((part) => part !== '')
    .map(Number);
  return commandName === '' ? children : children.filter((child) => commandOf(child) === commandName);
}

/** The kernel's name of a process, '' when it is gone. */
export function commandOf(pid: number): string {
  return read(`/proc/${pid}/comm`).trim();
}

/** The process of this user that listens on a TCP port of 127.0.0.1 or of every address; undefined when not to be seen. */
export function portHolder(port: number): { readonly pid: number; readonly command: string } | undefined {
  const sockets = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => listenersOn(file, port)));
  if (sockets.size === 0) return undefined;
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (Number.isInteger(pid) && openSockets(pid).some((socket) => sockets.has(socket)))
      return { pid, command: commandOf(pid) };
  }
  return undefined;
}

const LISTEN_STATE = '0A';

/** Inodes of the sockets that listen on the port. */
function listenersOn(file: string, port: number): string[] {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  return read(file)
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => state === LISTEN_STATE && local.endsWith(`:${hexPort}`))
    .map((fields) => `socket:[${fields[9]}]`);
}

function openSockets(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        return '';
      }
    });
  } catch {
    return [];
  }
}

/** Fields of /proc/PID/stat after the name in parentheses, which may hold blanks itself. */
function statFields(pid: number): string[] {
  const text = read(`/proc/${pid}/stat`);
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
