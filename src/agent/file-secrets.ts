/**
 * Certificates and CA certificates in files of the pod, as secrets for Envoy (`file-cert:CERT~KEY`, `file-root:PATH`): read when Envoy
 * first asks, looked at again now and then, handed on when they changed. A pair that does not fit together, or a file that cannot be
 * read, leaves what was last good in place. `file-root:system` are the machine's own CA certificates.
 * Source: Istio pkg/security SdsCertificateConfig, security/pkg/nodeagent/cache/secretcache.go.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Clock } from '#base/clock.ts';
import { Scope, toDisposable } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import { Secret } from '#base/secret.ts';
import { type EncodedSecret, encodeCertificateSecret, encodeRootsSecret } from './discovery-message.ts';

/** What it runs on. */
export interface FileSecretParts {
  readonly clock: Clock;
  readonly log: Logger;
}

const POLL_MS = 5_000;
const MAX_BYTES = 4 * 1024 * 1024;
/** More names than any proxy's configuration has. */
const MAX_NAMES = 1_000;
const SYSTEM = 'system';
/** Where distributions keep them; the first that is there counts. Source: Istio pkg/security GetOSRootFilePath. */
const SYSTEM_ROOTS: readonly string[] = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** The files that a name stands for. */
type FileNames =
  | { readonly certificate: string; readonly key: string }
  | { readonly roots: readonly string[] };

interface Followed {
  readonly files: FileNames;
  /** Texts as last seen, good or bad. */
  seen: string;
  /** What is wrong with them; '' when nothing is. */
  problem: string;
  secret: EncodedSecret | undefined;
}

/** Follows files by name. */
export class FileSecrets implements Disposable {
  readonly #parts: FileSecretParts;
  readonly #followed = new Map<string, Followed>();
  readonly #watchers = new Set<() => void>();
  readonly #scope = new Scope();
  #timer: Disposable | undefined;
  #version = 0;

  constructor(parts: FileSecretParts) {
    this.#parts = parts;
    this.#scope.add(toDisposable(() => this.#timer?.[Symbol.dispose]()));
  }

  /** Those that can be read. */
  *secrets(): Iterable<readonly [string, EncodedSecret]> {
    for (const [name, { secret }] of this.#followed) if (secret !== undefined) yield [name, secret];
  }

  /** Begins to follow the files of a name; other names are left alone. */
  follow(name: string): void {
    const files = filesOf(name);
    if (files === undefined || this.#followed.has(name) || this.#followed.size >= MAX_NAMES) return;
    const followed: Followed = { files, seen: '', problem: '', secret: undefined };
    this.#followed.set(name, followed);
    if (this.#look(name, followed)) this.#tell();
    this.#timer ??= this.#parts.clock.schedule(POLL_MS, () => this.#lookAtAll());
  }

  watch(changed: () => void): Disposable {
    this.#watchers.add(changed);
    return toDisposable(() => this.#watchers.delete(changed));
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }

  #lookAtAll(): void {
    const changes = Array.from(this.#followed, ([name, followed]) => this.#look(name, followed));
    if (changes.includes(true)) this.#tell();
    this.#timer = this.#parts.clock.schedule(POLL_MS, () => this.#lookAtAll());
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher();
  }

  /** True when there is a new secret. */
  #look(name: string, followed: Followed): boolean {
    try {
      const texts = readTexts(followed.files);
      const seen = texts.join('\0');
      if (seen === followed.seen) return false;
      followed.seen = seen;
      const body = encode(name, texts);
      this.#version++;
      followed.secret = { name, version: `file-${this.#version}`, body };
      followed.problem = '';
      return true;
    } catch (error) {
      this.#report(name, followed, error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  /** Says it once. */
  #report(name: string, followed: Followed, problem: string): void {
    if (followed.problem === problem) return;
    followed.problem = problem;
    const isKept = followed.secret !== undefined;
    this.#parts.log.warn('a certificate file cannot be used', {
      name,
      reason: problem,
      lastGoodKept: isKept,
    });
  }
}

function filesOf(name: string): FileNames | undefined {
  if (name.startsWith('file-root:')) {
    const path = name.slice('file-root:'.length);
    if (path === '') return undefined;
    return { roots: path === SYSTEM ? SYSTEM_ROOTS : [path] };
  }
  if (!name.startsWith('file-cert:')) return undefined;
  const [certificate = '', key = '', ...rest] = name.slice('file-cert:'.length).split('~');
  return certificate === '' || key === '' || rest.length > 0 ? undefined : { certificate, key };
}

/** One text for roots, two for a certificate with its key. Errors: throws what the file system says. */
function readTexts(files: FileNames): readonly string[] {
  if ('certificate' in files) return [readText(files.certificate), readText(files.key)];
  for (const path of files.roots.slice(0, -1)) {
    try {
      return [readText(path)];
    } catch {
      // The next one may be there.
    }
  }
  return [readText(files.roots.at(-1) ?? '')];
}

function readText(path: string): string {
  if (statSync(path).size > MAX_BYTES) throw new Error(`${path} is too large`);
  return readFileSync(path, 'utf8');
}

/** Errors: throws for what Envoy could not use. */
function encode(name: string, [first = '', key]: readonly string[]): Uint8Array {
  const certificate = new X509Certificate(first);
  if (key === undefined) return encodeRootsSecret(name, first);
  if (!certificate.checkPrivateKey(createPrivateKey(key)))
    throw new Error('the key does not belong to the certificate');
  return encodeCertificateSecret(name, first, new Secret(key));
}
