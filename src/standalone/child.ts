/**
 * One child process in a process group of its own, so that stopping it takes its own children along. Output goes to a
 * log file. Started from the main thread: Envoy below it dies with the thread that started it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import type { LogFile } from './log-file.ts';

export interface ChildOptions {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly log: LogFile;
}

/** How a child ended. `error` is set when it could not be started at all. */
export interface ChildExit {
  readonly code: number | null;
  readonly signal: string | null;
  readonly error?: string;
}

export interface Child {
  readonly pid: number;
  /** Resolves once, when the process has ended. */
  readonly exited: Promise<ChildExit>;
  /** SIGTERM to the process, after `graceMs` SIGKILL to its whole group; resolves when it is gone. */
  stop(graceMs: number): Promise<ChildExit>;
}

/** Starts a child. Never throws for a command that can't be run: `exited` says so. */
export function startChild(options: ChildOptions): Child {
  try {
    return watchChild(spawnChild(options));
  } catch (error) {
    const exit = { code: null, signal: null, error: (error as Error).message };
    return { pid: 0, exited: Promise.resolve(exit), stop: async () => exit };
  }
}

function spawnChild({ command, cwd, env, log }: ChildOptions): ChildProcess {
  const [file = '', ...args] = command;
  const output = log.open();
  try {
    return spawn(file, args, { cwd, env: { ...env }, stdio: ['ignore', output, output], detached: true });
  } finally {
    closeSync(output);
  }
}

function watchChild(child: ChildProcess): Child {
  const pid = child.pid ?? 0;
  let ended = false;
  const exited = new Promise<ChildExit>((resolve) => {
    const end = (exit: ChildExit): void => {
      if (ended) return;
      ended = true;
      signalGroup(pid, 'SIGKILL');
      resolve(exit);
    };
    child.once('error', (error) => end({ code: null, signal: null, error: error.message }));
    child.once('exit', (code, signal) => end({ code, signal }));
  });
  const stop = async (graceMs: number): Promise<ChildExit> => {
    if (ended) return exited;
    child.kill('SIGTERM');
    const timer = setTimeout(() => signalGroup(pid, 'SIGKILL'), graceMs);
    try {
      return await exited;
    } finally {
      clearTimeout(timer);
    }
  };
  return { pid, exited, stop };
}

/** Signals a process group; one that is already gone is fine. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  if (pid <= 0) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // ESRCH: nobody of the group is left.
  }
}
