/**
 * Keeps the mesh's self-signed root on disk, so that it survives restarts: certificate and key, 0600 in a 0700 folder, written
 * atomically. The key is written first and the certificate last, so a crash between the two leaves no half root: a key
 * without a certificate is thrown away. A folder that others may read is refused, not mended.
 */
import { chmod, lstat, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { Secret } from '#base/secret.ts';
import { makeRoot } from './root-certificate.ts';
import { makeSigningAuthority, type SigningAuthority } from './signing-authority.ts';

/** Why there is no root to work with; the text tells an operator what to look at. */
export type RootStoreError = string;

const certificateFile = 'ca-cert.pem';
const keyFile = 'ca-key.pem';

/** Opens the root of a folder, making folder and root when they are not there yet. */
export async function openRootStore(
  folder: string,
  trustDomain: string,
  clock: Clock,
): Promise<Result<SigningAuthority, RootStoreError>> {
  const refusal = await preparePrivateFolder(folder);
  if (refusal !== undefined) return fail(refusal);
  const stored = await readRoot(folder);
  if (stored === undefined) return createRoot(folder, trustDomain, clock);
  if (!stored.ok) return stored;
  const { notAfterUnixMs } = stored.value.certificate;
  if (notAfterUnixMs <= clock.nowMs()) {
    return fail(`the root certificate in ${folder} ended on ${new Date(notAfterUnixMs).toISOString()}`);
  }
  return stored;
}

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

async function readRoot(folder: string): Promise<Result<SigningAuthority, RootStoreError> | undefined> {
  const certificate = await readPrivateFile(join(folder, certificateFile));
  if (certificate === undefined) return undefined;
  if (!certificate.ok) return certificate;
  const key = await readPrivateFile(join(folder, keyFile));
  if (key === undefined) return fail(`${join(folder, keyFile)} is missing, ${certificateFile} is there`);
  if (!key.ok) return key;
  const pem = certificate.value.reveal();
  const authority = makeSigningAuthority(pem, key.value, pem);
  return authority.ok ? authority : fail(`${folder}: ${authority.error}`);
}

async function createRoot(
  folder: string,
  trustDomain: string,
  clock: Clock,
): Promise<Result<SigningAuthority, RootStoreError>> {
  const root = await makeRoot(trustDomain, clock.nowMs());
  await writePrivateFile(folder, keyFile, root.privateKey.reveal());
  await writePrivateFile(folder, certificateFile, root.certificatePem);
  const authority = makeSigningAuthority(root.certificatePem, root.privateKey, root.certificatePem);
  return authority.ok ? authority : fail(authority.error);
}
