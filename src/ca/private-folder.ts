/**
 * Files that only their owner may read, in a folder that only its owner may enter. Written whole or not at all; what others could
 * have touched is refused, not mended.
 */
import { chmod, lstat, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fail, ok, type Result } from '#base/result.ts';
import { Secret } from '#base/secret.ts';

/**
 * Makes a folder that only its owner may enter, or checks that it is one; returns why it cannot be used.
 * Symbolic links are refused: whoever may place one could choose where keys go.
 */
export async function preparePrivateFolder(folder: string): Promise<string | undefined> {
  const made = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (made !== undefined) await chmod(folder, 0o700);
  const stat = await lstat(folder);
  if (!stat.isDirectory()) return `${folder} is not a folder`;
  if (process.getuid !== undefined && stat.uid !== process.getuid())
    return `${folder} belongs to another user`;
  if ((stat.mode & 0o077) !== 0) {
    return `${folder} may be used by others (mode ${(stat.mode & 0o777).toString(8)}): run chmod 700 ${folder}`;
  }
  return undefined;
}

/** Reads a key file that only its owner may read. Gives undefined when there is none. */
export async function readPrivateFile(path: string): Promise<Result<Secret, string> | undefined> {
  const stat = await lstat(path).catch(() => undefined);
  if (stat === undefined) return undefined;
  if (!stat.isFile()) return fail(`${path} is not a file`);
  if ((stat.mode & 0o077) !== 0) return fail(`${path} may be read by others: run chmod 600 ${path}`);
  return ok(new Secret(await readFile(path, 'utf8')));
}

/** Writes a file that only its owner may read: whole or not at all, and on the disk when this returns. */
export async function writePrivateFile(folder: string, name: string, content: string): Promise<void> {
  const temporary = join(folder, `.${name}.new`);
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(folder, name));
}
