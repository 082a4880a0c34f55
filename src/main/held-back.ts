/** Puts law 9 together for a control plane: the mesh, a spare Envoy as oracle, and the verdicts' file in the state folder. */
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { kindInfo } from '#api/kind-registry.ts';
import { collectionKey } from '#api/object-collections.ts';
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import { HeldBackController } from '#controllers/held-back.ts';
import { VerdictStore } from '#controllers/verdict-store.ts';
import { EnvoyOracle, type EnvoyOracleOptions } from '#envoy/envoy-oracle.ts';
import { resolveEnvoy } from '#envoy/envoy-provider.ts';
import type { Mesh, MeshOptions } from './mesh.ts';
import { moduleProblem } from './module-file.ts';
import { openScratchMesh, resourceOf } from './scratch-mesh.ts';

export interface HeldBackSettings {
  readonly mesh: Mesh;
  readonly meshOptions: MeshOptions;
  readonly clock: Clock;
  readonly log: Logger;
  /** A folder of our own for the verdicts; made with 0700 when it is not there. */
  readonly folder: string;
  /** Default: the Envoy that is on this machine already; nothing is downloaded for a verdict. */
  readonly findEnvoy?: EnvoyOracleOptions['findEnvoy'];
  /** Proxies read the files of this machine. */
  readonly sharesDisk?: boolean;
}

const root = resolve(import.meta.dirname, '../..');

/** The controller with the verdicts of the last run in force: to be opened before objects are applied. */
export async function openHeldBack(settings: HeldBackSettings): Promise<HeldBackController> {
  const { mesh, meshOptions, clock, log, folder, findEnvoy = findLocalEnvoy } = settings;
  const oracle = new EnvoyOracle({ findEnvoy, tempDir: tmpdir() });
  const controller = new HeldBackController({
    world: {
      verdicts: mesh.heldBack,
      object: (ref) =>
        kindInfo(ref.kind) === undefined ? undefined : mesh.objects.of(ref.kind).get(collectionKey(ref)),
      current: (proxyId, like) => resourceOf(mesh.graph.snapshots.get(proxyId), like),
      settled: () => mesh.driver.settled(),
      // What goes wrong in the copy is found out by comparing its bytes.
      openScratch: async (proxyId) => openScratchMesh(mesh, { ...meshOptions, onError: () => {} }, proxyId),
    },
    oracle,
    store: new VerdictStore(folder),
    moduleProblem: settings.sharesDisk === true ? moduleProblem : undefined,
    clock,
    log,
  });
  await controller.load();
  return controller;
}

async function findLocalEnvoy(): ReturnType<EnvoyOracleOptions['findEnvoy']> {
  const { ENVOY_PATH, PATH = '' } = process.env;
  const envoy = await resolveEnvoy({
    pathDirs: PATH.split(delimiter),
    cacheDir: join(root, '.cache'),
    pipCommands: [],
    ...(ENVOY_PATH === undefined ? {} : { envoyPath: ENVOY_PATH }),
  });
  return envoy.ok ? envoy.value : undefined;
}
