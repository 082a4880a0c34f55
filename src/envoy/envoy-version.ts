// Asks an Envoy executable for its version, and looks for a fitting one on PATH.
// Part of envoy-provider.ts. Runs `envoy --version`, which takes about a tenth of a second.
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { fail, ok, type Result } from '#base/result.ts';

const TIMEOUT_MS = 15_000;
const MAX_OUTPUT_BYTES = 64 * 1024;
/** `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`; a distribution may add to the number. */
const VERSION_PATTERN = /version: [0-9a-zA-Z]*\/(\d{1,5}\.\d{1,5}\.\d{1,5})[^/\s]*\//;

/** Runs `path --version`; the error is a clause such as `it is not executable`. */
export async function readEnvoyVersion(path: string): Promise<Result<string, string>> {
  try {
    await access(path, constants.X_OK);
    if (!(await stat(path)).isFile()) return fail('it is not a file');
  } catch (error) {
    return fail(
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'it does not exist' : 'it is not executable',
    );
  }
  return new Promise((resolve) => {
    const options = { timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES, encoding: 'utf8' } as const;
    execFile(path, ['--version'], options, (error, stdout) => {
      if (error !== null) return resolve(fail(`\`--version\` failed (${firstLine(error.message)})`));
      const version = VERSION_PATTERN.exec(stdout)?.[1];
      resolve(version === undefined ? fail('`--version` does not answer like Envoy') : ok(version));
    });
  });
}

/** True for the same release line: `1.40.3` fits `1.40.0`, `1.41.0` does not. */
export function isSameReleaseLine(version: string, pinned: string): boolean {
  return releaseLine(version) === releaseLine(pinned);
}

/** The first fitting `envoy` on PATH, and a note on each one that was passed over. */
export async function findEnvoyOnPath(
  pathDirs: readonly string[],
  pinned: string,
): Promise<{
  readonly found?: { readonly path: string; readonly version: string };
  readonly notes: readonly string[];
}> {
  const notes: string[] = [];
  for (const dir of new Set(pathDirs)) {
    if (!isAbsolute(dir)) continue;
    const path = join(dir, 'envoy');
    const version = await readEnvoyVersion(path);
    if (version.ok && isSameReleaseLine(version.value, pinned))
      return { found: { path, version: version.value }, notes };
    if (version.ok) notes.push(`${path} is Envoy ${version.value}; ${releaseLine(pinned)}.x is needed`);
    else if (version.error !== 'it does not exist') notes.push(`${path} was passed over: ${version.error}`);
  }
  return { notes };
}

function releaseLine(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]?.slice(0, 200) ?? '';
}
