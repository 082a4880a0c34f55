/**
 * Starts meshes in this process for the command line: finds Envoy, reads mesh config, and puts control plane, folder and runner
 * together. Loaded only by commands that host a mesh, since it brings the whole control plane along.
 */
import { readFileSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { type Clock, systemClock } from '#base/clock.ts';
import { hasErrors, printDiagnostic } from '#base/diagnostic-catalog.ts';
import { systemRng } from '#base/rng.ts';
import type { HostedMesh, StartMesh } from '#cli/cli-context.ts';
import { resolveEnvoy } from '#envoy/envoy-provider.ts';
import { pipConfigFiles } from '#envoy/package-index.ts';
import { baseEnvironment } from '#standalone/app-environment.ts';
import { killLeftOvers } from '#standalone/left-overs.ts';
import { type LocalMeshConfig, openLocalMesh } from '#standalone/local-mesh.ts';
import { openMeshFolder } from '#standalone/mesh-folder.ts';
import { localMeshDefaults } from '#standalone/mesh-settings.ts';
import { STATE_FOLDER_NAME } from '#standalone/state-folder.ts';
import { explainSystemError, hasCode } from '#standalone/system-error.ts';
import { MeshConfigLayers } from '#sources/mesh-config-layers.ts';
import { WatchedFile } from '#sources/watched-file.ts';
import type { UserFolder } from '#standalone/user-folder.ts';
import { openControlPlane } from './control-plane.ts';

/** What main knows already. */
export interface HostSurroundings {
  /** The checkout. */
  readonly root: string;
  readonly uid: number;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly userFolder: UserFolder;
}

/** Starts a mesh. Errors: rejects with a text for people, nothing left behind. */
export async function startMesh(
  around: HostSurroundings,
  { dir, meshConfigFile, onStep }: StartMesh,
): Promise<HostedMesh> {
  const clock = systemClock();
  try {
    const envoyPath = await provideEnvoy(around, onStep);
    const folder = realpathSync(dir);
    const mesh = await openLocalMesh({
      dir: folder,
      meshConfig: openMeshConfig(meshConfigFile, clock),
      openControlPlane,
      openFolder: (path, controlPlane) => openMeshFolder(path, controlPlane, clock),
      envoyPath,
      agentCommand: [join(around.root, 'bin/pilot-agent')],
      baseEnvironment: baseEnvironment(around.environment, dirname(process.execPath)),
      userFolder: around.userFolder,
      uid: around.uid,
      clock,
      rng: systemRng(),
    });
    onStep('Certificates and control plane are ready.');
    return {
      ...mesh,
      pid: process.pid,
      kill: () => void killLeftOvers(join(folder, STATE_FOLDER_NAME, 'run')),
    };
  } catch (error) {
    if (hasCode(error, 'ENOENT') && (error as NodeJS.ErrnoException).path === dir) {
      throw new Error(`there is no folder ${dir}`);
    }
    throw new Error(explainSystemError(error), { cause: error });
  }
}

async function provideEnvoy(
  { environment, root }: HostSurroundings,
  onStep: (text: string) => void,
): Promise<string> {
  const { ENVOY_PATH, PIP_INDEX_URL, PIP_CONFIG_FILE, PATH = '' } = environment;
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

/** Mesh config from the user's file, if any. Errors: throws a text for people when it cannot be used. */
function openMeshConfig(file: string | undefined, clock: Clock): LocalMeshConfig {
  const layers = new MeshConfigLayers(localMeshDefaults());
  if (file === undefined) return { current: layers.config, follow: () => ({ [Symbol.dispose]: () => {} }) };
  const found = layers.set('own', readFileSync(file, 'utf8'), file);
  if (hasErrors(found)) throw new Error(`mesh config ${file}:\n${found.map(printDiagnostic).join('\n')}`);
  return {
    current: layers.config,
    follow: (onChange) =>
      new WatchedFile(file, clock, (text) => {
        const problems = layers.set('own', text, file).map(printDiagnostic);
        onChange(layers.config, problems);
      }),
  };
}
