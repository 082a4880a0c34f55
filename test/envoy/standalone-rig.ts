/**
 * For tests of the mesh on one machine: runs bin/lateen as a user would, in a folder and with a registry of its own, and looks
 * afterwards for anything that was left. Waits for what is printed, never for time alone.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { get } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { MeshStatus } from '#doors/control-protocol.ts';

export const ROOT = resolve(import.meta.dirname, '../..');
const LATEEN = join(ROOT, 'bin/lateen');
const START_LIMIT_MS = 60_000;

/** What a command printed, and how it ended. */
export interface CommandResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that goes on. */
export interface RunningCommand {
  readonly child: ChildProcess;
  /** All output so far. */
  output(): string;
  /** Resolves when the output matches. Errors: rejects when the command ends before, or time is up. */
  shows(pattern: RegExp): Promise<void>;
  /** Sends a signal and waits for the end. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface StandaloneRig extends AsyncDisposable {
  /** Everything of this test lies below. */
  readonly top: string;
  /** The mesh's folder, empty at first. */
  readonly dir: string;
  write(file: string, text: string): void;
  copySample(sample: string): void;
  start(argv: readonly string[], environment?: Readonly<Record<string, string>>): RunningCommand;
  run(
    argv: readonly string[],
    input?: string,
    environment?: Readonly<Record<string, string>>,
  ): Promise<CommandResult>;
  status(): Promise<MeshStatus>;
  /** Processes that work in or below the rig's folder: `pid command`. */
  processes(): readonly string[];
}

/** Makes a rig; disposing ends what is still running and removes the folder. */
export function openStandaloneRig(): StandaloneRig {
  const top = realpathSync(mkdtempSync(join(tmpdir(), 'lateen-rig-')));
  const dir = join(top, 'mesh');
  for (const name of ['mesh', 'runtime', 'tmp']) mkdirSync(join(top, name), { mode: 0o700 });
  const base = {
    ...process.env,
    XDG_RUNTIME_DIR: join(top, 'runtime'),
    TMPDIR: join(top, 'tmp'),
    NO_COLOR: '1',
  };
  const running = new Set<RunningCommand>();
  const start = (
    argv: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): RunningCommand => {
    const child = spawn(LATEEN, argv, {
      cwd: top,
      env: { ...base, ...environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const command = watchCommand(child);
    running.add(command);
    return command;
  };
  const run: StandaloneRig['run'] = async (argv, input = '', environment = {}) => {
    const child = spawn(LATEEN, argv, { cwd: top, env: { ...base, ...environment } });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const [exitCode] = await once(child, 'close');
    return { exitCode, stdout, stderr };
  };
  return {
    top,
    dir,
    write: (file, text) => writeFileSync(join(dir, file), text),
    copySample: (sample) => cpSync(join(ROOT, 'samples', sample), dir, { recursive: true }),
    start,
    run,
    status: async () => JSON.parse((await run(['status', '-o', 'json'])).stdout),
    processes: () => processesBelow(top),
    async [Symbol.asyncDispose](): Promise<void> {
      for (const command of running) if (command.child.exitCode === null) await command.end('SIGTERM');
      rmSync(top, { recursive: true, force: true });
    },
  };
}

function watchCommand(child: ChildProcess): RunningCommand {
  let text = '';
  let changed = Promise.withResolvers<void>();
  const note = (chunk: unknown): void => {
    text += chunk;
    changed.resolve();
    changed = Promise.withResolvers();
  };
  child.stdout?.on('data', note);
  child.stderr?.on('data', note);
  const exited = once(child, 'close').then(([code]) => {
    note('');
    return code as number | null;
  });
  return {
    child,
    output: () => text,
    async shows(pattern) {
      const limit = AbortSignal.timeout(START_LIMIT_MS);
      while (!pattern.test(text)) {
        if (child.exitCode !== null) throw new Error(`ended without showing ${pattern}:\n${text}`);
        if (limit.aborted) throw new Error(`does not show ${pattern}:\n${text}`);
        await Promise.race([changed.promise, once(limit, 'abort'), exited]);
      }
    },
    async end(signal = 'SIGINT') {
      if (child.exitCode === null) child.kill(signal);
      return exited;
    },
  };
}

function processesBelow(top: string): readonly string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        const cwd = readlinkSync(`/proc/${pid}/cwd`);
        return cwd.startsWith(top) ? [`${pid} ${readlinkSync(`/proc/${pid}/exe`)}`] : [];
      } catch {
        return [];
      }
    });
}

/** A port of 127.0.0.1 that nobody listens on just now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Status of a GET, 0 when there is no answer. */
export function statusOf(url: string, headers: Readonly<Record<string, string>> = {}): Promise<number> {
  return new Promise((done) => {
    const call = get(url, { agent: false, headers, timeout: 15_000 }, (answer) => {
      answer.resume();
      answer.on('error', () => done(0));
      answer.on('end', () => done(answer.statusCode ?? 0));
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => done(0));
  });
}

/** Asks again and again until the condition holds. Errors: rejects when time is up, with what it was last. */
export async function until<T>(
  what: () => Promise<T> | T,
  holds: (value: T) => boolean,
  limitMs: number,
): Promise<number> {
  const startMs = performance.now();
  for (;;) {
    const value = await what();
    const tookMs = performance.now() - startMs;
    if (holds(value)) return tookMs;
    if (tookMs > limitMs) throw new Error(`not so within ${limitMs} ms; it is ${JSON.stringify(value)}`);
    await new Promise((next) => setImmediate(next));
  }
}
