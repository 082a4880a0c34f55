/**
 * lateen: the command line, and the mesh on one machine that it can host. Reads the environment, constructs what commands need,
 * and ends with their exit code.
 */
import { spawn } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { constants, homedir, tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { parseDocuments } from '#api/yaml-documents.ts';
import { systemClock } from '#base/clock.ts';
import { hasErrors, printDiagnostic } from '#base/diagnostic-catalog.ts';
import { systemRng } from '#base/rng.ts';
import type { CliContext, HostedMesh, StartMesh } from '#cli/cli-context.ts';
import { runCli } from '#cli/program.ts';
import { resolveEnvoy } from '#envoy/envoy-provider.ts';
import { pipConfigFiles } from '#envoy/package-index.ts';
import { baseEnvironment } from '#standalone/app-environment.ts';
import { killLeftOvers } from '#standalone/left-overs.ts';
import { openLocalMesh } from '#standalone/local-mesh.ts';
import { openMeshFolder } from '#standalone/mesh-folder.ts';
import { chooseMesh } from '#standalone/mesh-search.ts';
import { localMeshConfig } from '#standalone/mesh-settings.ts';
import { STATE_FOLDER_NAME } from '#standalone/state-folder.ts';
import { explainSystemError, hasCode } from '#standalone/system-error.ts';
import { UserFolder, userFolderPath } from '#standalone/user-folder.ts';
import { openControlPlane } from './control-plane.ts';
import { VERSION } from './version.ts';

const root = resolve(import.meta.dirname, '../..');
const uid = process.getuid?.() ?? 0;
const clock = systemClock();
/** What shells say for a command that is not there, and for one that a signal ended. */
const COMMAND_NOT_FOUND = 127;
const SIGNAL_BASE = 128;
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function openUserFolder(): UserFolder {
  return new UserFolder(userFolderPath(process.env['XDG_RUNTIME_DIR'], '/tmp', uid), uid);
}

async function provideEnvoy(onStep: (text: string) => void): Promise<string> {
  const { ENVOY_PATH, PIP_INDEX_URL, PIP_CONFIG_FILE, PATH = '' } = process.env;
  const envoy = await resolveEnvoy({
    pathDirs: PATH.split(delimiter),
    cacheDir: join(root, '.cache'),
    pipConfigFiles: [
      ...pipConfigFiles(homedir()),
      ...(PIP_CONFIG_FILE === undefined ? [] : [PIP_CONFIG_FILE]),
    ],
    onProgress: (message) => onStep(`Envoy: ${message}`),
    ...(ENVOY_PATH === undefined ? {} : { envoyPath: ENVOY_PATH }),
    ...(PIP_INDEX_URL === undefined ? {} : { pipIndexUrl: PIP_INDEX_URL }),
  });
  if (!envoy.ok) throw new Error(envoy.error.text);
  onStep(`Envoy ${envoy.value.version} (${envoy.value.path})`);
  return envoy.value.path;
}

function readMeshConfig(file: string | undefined): ReturnType<typeof localMeshConfig>['config'] {
  if (file === undefined) return localMeshConfig(undefined).config;
  const [document] = parseDocuments(readFileSync(file, 'utf8'), file);
  const { config, diagnostics } = localMeshConfig(document?.value);
  const found = [...(document?.diagnostic === undefined ? [] : [document.diagnostic]), ...diagnostics];
  if (hasErrors(found)) throw new Error(`mesh config ${file}:\n${found.map(printDiagnostic).join('\n')}`);
  return config;
}

async function startMesh({ dir, meshConfigFile, onStep }: StartMesh): Promise<HostedMesh> {
  try {
    const envoyPath = await provideEnvoy(onStep);
    const folder = realpathSync(dir);
    const mesh = await openLocalMesh({
      dir: folder,
      meshConfig: readMeshConfig(meshConfigFile),
      openControlPlane,
      openFolder: (path, controlPlane) => openMeshFolder(path, controlPlane, clock),
      envoyPath,
      agentCommand: [join(root, 'bin/pilot-agent')],
      baseEnvironment: baseEnvironment(process.env, dirname(process.execPath)),
      userFolder: openUserFolder(),
      uid,
      clock,
      rng: systemRng(),
    });
    onStep('Certificates and control plane are ready.');
    return { ...mesh, pid: process.pid, kill: () => killEverything(folder) };
  } catch (error) {
    if (hasCode(error, 'ENOENT') && (error as NodeJS.ErrnoException).path === dir) {
      throw new Error(`there is no folder ${dir}`);
    }
    throw new Error(explainSystemError(error), { cause: error });
  }
}

/** For a user who does not want to wait for the end. */
function killEverything(dir: string): never {
  killLeftOvers(join(dir, STATE_FOLDER_NAME, 'run'));
  process.exit(1);
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

const context: CliContext = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  cwd: process.cwd(),
  clock,
  version: VERSION,
  samplesFolder: join(root, 'samples'),
  tempFolder: tmpdir(),
  findMesh: (dir) => chooseMesh(openUserFolder().meshes(), dir, process.cwd()),
  startMesh,
  runCommand,
  onStopSignal,
};

// A reader that has seen enough (`lateen status | head`) is no error.
process.stdout.on('error', (error) => {
  if (hasCode(error, 'EPIPE')) process.exit(0);
  throw error;
});
process.exitCode = await runCli(process.argv.slice(2), context);
