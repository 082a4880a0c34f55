/**
 * The command line put together: reads the environment and gives commands what they may touch. The control plane is loaded only when
 * a command hosts a mesh.
 */
import { spawn } from 'node:child_process';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#base/clock.ts';
import type { CliContext } from '#cli/cli-context.ts';
import { runCli } from '#cli/program.ts';
import { chooseMesh } from '#standalone/mesh-search.ts';
import { hasCode } from '#standalone/system-error.ts';
import { UserFolder, userFolderPath } from '#standalone/user-folder.ts';
import { VERSION } from './version.ts';

const uid = process.getuid?.() ?? 0;
/** What shells say for a command that is not there, and for one that a signal ended. */
const COMMAND_NOT_FOUND = 127;
const SIGNAL_BASE = 128;
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function openUserFolder(): UserFolder {
  return new UserFolder(userFolderPath(process.env['XDG_RUNTIME_DIR'], '/tmp', uid), uid);
}

function onStopSignal(listener: (signal: string) => void): Disposable {
  for (const signal of STOP_SIGNALS) process.on(signal, listener);
  return {
    [Symbol.dispose](): void {
      for (const signal of STOP_SIGNALS) process.off(signal, listener);
    },
  };
}

/** The command has the terminal to itself: Ctrl-C is for it, we only pass on how it ended. */
function runCommand(
  [file = '', ...args]: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const child = spawn(file, args, { stdio: 'inherit', env: environment });
  const signals = onStopSignal((signal) => {
    if (signal !== 'SIGINT') child.kill(signal as NodeJS.Signals);
  });
  return new Promise((done) => {
    const end = (exitCode: number): void => {
      signals[Symbol.dispose]();
      done(exitCode);
    };
    child.once('error', (error) => {
      process.stderr.write(`${file}: ${error.message}\n`);
      end(COMMAND_NOT_FOUND);
    });
    child.once('exit', (code, signal) =>
      end(code ?? SIGNAL_BASE + (signal === null ? 0 : constants.signals[signal])),
    );
  });
}

/** Runs one command; gives the exit code. `root` is the checkout. */
export async function runCommandLine(root: string): Promise<number> {
  // A reader that has seen enough (`lateen status | head`) is no error.
  process.stdout.on('error', (error) => {
    if (hasCode(error, 'EPIPE')) process.exit(0);
    throw error;
  });
  const context: CliContext = {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    environment: process.env,
    cwd: process.cwd(),
    clock: systemClock(),
    version: VERSION,
    samplesFolder: join(root, 'samples'),
    tempFolder: tmpdir(),
    findMesh: (dir) => chooseMesh(openUserFolder().meshes(), dir, process.cwd()),
    async startMesh(options) {
      const host = await import('./mesh-host.ts');
      const userFolder = openUserFolder();
      return host.startMesh({ root, uid, environment: process.env, userFolder }, options);
    },
    runCommand,
    onStopSignal,
  };
  return runCli(process.argv.slice(2), context);
}
