/**
 * A CA that the operator brings along, as files or as entries of a Secret: Istio's names (ca-cert.pem, ca-key.pem, cert-chain.pem, root-cert.pem) or those of
 * a TLS Secret (tls.crt, tls.key, ca.crt). Looked at every few seconds, since mounted Secrets change under their names; what is
 * broken or half written changes nothing.
 * Source: istio security/pkg/pki/ca/ca.go NewPluggedCertIstioCAOptions, SigningCAFileBundle.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import { fail, type Result } from '#base/result.ts';
import { Secret } from '#base/secret.ts';
import { type AuthorityMaterial, makeAuthorityMaterial, materialKey } from './authority-material.ts';
import type { RetiredRoot, RotationStore } from './authority-rotation.ts';
import { preparePrivateFolder } from './private-folder.ts';
import { writeRetiredRoots } from './retired-roots.ts';

interface FileNames {
  readonly certificate: string;
  readonly key: string;
  /** '' where the certificate's file holds the chain. */
  readonly chain: string;
  readonly roots: string;
  /** '' where the form has none. */
  readonly revocations: string;
}

const FORMS: readonly FileNames[] = [
  {
    certificate: 'ca-cert.pem',
    key: 'ca-key.pem',
    chain: 'cert-chain.pem',
    roots: 'root-cert.pem',
    revocations: 'ca-crl.pem',
  },
  { certificate: 'tls.crt', key: 'tls.key', chain: '', roots: 'ca.crt', revocations: '' },
];
const POLL_MS = 5_000;

/** What was brought along: undefined when there is nothing. Errors: a text for an operator. */
export type ReadPluggedIn = () => Promise<Result<AuthorityMaterial, string> | undefined>;

/** How something is read. */
export interface PluggedInReading {
  readonly nowUnixMs: number;
  /** False: revocation lists do not count. Default: they do. */
  readonly hasRevocations?: boolean;
}

/** The authority of a folder. */
export function readPluggedIn(
  folder: string,
  reading: PluggedInReading,
): Promise<Result<AuthorityMaterial, string> | undefined> {
  return readEntries(folder, (name) => readIfThere(join(folder, name)), reading);
}

/** What cannot be read is not taken for something that is not there. */
async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** The authority in the entries of a Secret; `name` is for messages. */
export function readPluggedInSecret(
  name: string,
  entries: ReadonlyMap<string, Secret>,
  reading: PluggedInReading,
): Promise<Result<AuthorityMaterial, string> | undefined> {
  return readEntries(name, (entry) => Promise.resolve(entries.get(entry)?.reveal()), reading);
}

async function readEntries(
  place: string,
  read: (name: string) => Promise<string | undefined>,
  { nowUnixMs, hasRevocations = true }: PluggedInReading,
): Promise<Result<AuthorityMaterial, string> | undefined> {
  let texts: Texts | undefined;
  try {
    texts = await readTexts(read);
  } catch (error) {
    return fail(`${place}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (texts === undefined) return undefined;
  const { certificate, key, chain, roots, revocations = '' } = texts;
  if (key === undefined || roots === undefined)
    return fail(`${place}: the key or the root certificate is missing`);
  const material = makeAuthorityMaterial(
    {
      certificatePem: certificate,
      privateKey: new Secret(key),
      // Istio's chain may begin below the signing certificate or with it; tls.crt is the chain itself.
      chainPem: `${certificate}\n${chain ?? ''}`,
      rootsPem: roots,
      revocationsPem: hasRevocations ? revocations : '',
    },
    nowUnixMs,
  );
  return material.ok ? material : fail(`${place}: ${material.error}`);
}

/** Looks again and again. What there is at the start is `seen` already. */
export class PluggedInWatch implements Disposable {
  readonly #read: ReadPluggedIn;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #changed: (material: AuthorityMaterial) => Promise<void>;
  #seen: string;
  #problem = '';
  #timer: Disposable;

  constructor(
    read: ReadPluggedIn,
    seen: AuthorityMaterial,
    parts: { readonly clock: Clock; readonly log: Logger },
    changed: (material: AuthorityMaterial) => Promise<void>,
  ) {
    this.#read = read;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#changed = changed;
    this.#seen = materialKey(seen);
    this.#timer = this.#schedule();
  }

  /** Why what is there now does not count; '' when it does. */
  get problem(): string {
    return this.#problem;
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }

  #schedule(): Disposable {
    return this.#clock.schedule(POLL_MS, () => {
      this.#timer = this.#schedule();
      void this.#look();
    });
  }

  async #look(): Promise<void> {
    const found = await this.#read();
    const seen = found?.ok === true ? materialKey(found.value) : (found?.error ?? 'gone');
    this.#problem = found?.ok === true ? '' : seen;
    if (seen === this.#seen) return;
    this.#seen = seen;
    if (found?.ok === true) await this.#changed(found.value);
    else this.#log.error('the plugged-in CA is not usable; the last good one stays', { reason: seen });
  }
}

/** Keeps only what a restart cannot find in the operator's files: roots that are gone from there. */
export class PluggedInStore implements RotationStore {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Errors: why the folder cannot be used. */
  static async open(folder: string): Promise<PluggedInStore | string> {
    return (await preparePrivateFolder(folder)) ?? new PluggedInStore(folder);
  }

  introduce(_material: AuthorityMaterial, retired: readonly RetiredRoot[]): Promise<void> {
    return writeRetiredRoots(this.#folder, retired);
  }

  settle(_material: AuthorityMaterial, retired: readonly RetiredRoot[]): Promise<void> {
    return writeRetiredRoots(this.#folder, retired);
  }
}

interface Texts {
  readonly certificate: string;
  readonly key: string | undefined;
  readonly chain: string | undefined;
  readonly roots: string | undefined;
  readonly revocations: string | undefined;
}

async function readTexts(read: (name: string) => Promise<string | undefined>): Promise<Texts | undefined> {
  for (const names of FORMS) {
    const certificate = await read(names.certificate);
    if (certificate === undefined) continue;
    const chain = names.chain === '' ? undefined : await read(names.chain);
    const revocations = names.revocations === '' ? undefined : await read(names.revocations);
    const [key, roots] = await Promise.all([read(names.key), read(names.roots)]);
    return { certificate, key, chain, roots, revocations };
  }
  return undefined;
}
