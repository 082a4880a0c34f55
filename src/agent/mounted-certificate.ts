/**
 * The workload's certificate where it lies in files that somebody else renews (FILE_MOUNTED_CERTS, ./etc/certs, SPIFFE's folder): read
 * at the start, looked at again now and then, handed on when it changed. A pair that does not fit, or roots that cannot be
 * read, leave what was last good in place. Costs three small reads every five seconds.
 * Source: Istio security/pkg/nodeagent/cache/secretcache.go generateFileSecret.
 */
import { createPrivateKey } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { toDisposable } from '#base/disposable.ts';
import { Secret } from '#base/secret.ts';
import { parseCertificates } from '#identity/certificate.ts';
import { joinTrustBundle } from '#identity/trust-bundle.ts';
import type { PushedBundle } from './trust-bundle-message.ts';
import type { AgentParts, WorkloadSecrets } from './workload-certificate.ts';

/** Paths of PEM files. */
export interface MountedFiles {
  readonly chainPath: string;
  readonly keyPath: string;
  readonly rootsPath: string;
}

const POLL_MS = 5_000;
const MAX_BYTES = 4 * 1024 * 1024;

/** Follows the files. */
export class MountedCertificate implements Disposable {
  readonly #files: MountedFiles;
  readonly #parts: AgentParts;
  readonly #watchers = new Set<() => void>();
  #timer: Disposable = toDisposable(() => {});
  #seen = '';
  #problem = '';
  #current: WorkloadSecrets | undefined;
  #pushed: PushedBundle | undefined;

  constructor(files: MountedFiles, parts: AgentParts) {
    this.#files = files;
    this.#parts = parts;
  }

  /** The secrets of now; undefined until the files could be read once. */
  get current(): WorkloadSecrets | undefined {
    return this.#current;
  }

  /** What the control plane pushed last; undefined before the first. */
  get pushed(): PushedBundle | undefined {
    return this.#pushed;
  }

  /** Believes what was pushed beside the roots of the files. */
  believe(bundle: PushedBundle | undefined): Promise<void> {
    this.#pushed = bundle;
    this.#seen = '';
    this.#look();
    return Promise.resolve();
  }

  /** Calls back after every change. */
  watch(changed: () => void): Disposable {
    this.#watchers.add(changed);
    return toDisposable(() => this.#watchers.delete(changed));
  }

  /** Starts to follow them. */
  run(): void {
    this.#look();
    this.#timer = this.#parts.clock.schedule(POLL_MS, () => this.run());
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.#watchers.clear();
  }

  #look(): void {
    try {
      const { chainPath, keyPath, rootsPath } = this.#files;
      const texts = [chainPath, keyPath, rootsPath].map(readText) as [string, string, string];
      const seen = texts.join('\0');
      if (seen === this.#seen) return;
      this.#seen = seen;
      this.#current = secretsOf(texts, this.#pushed, this.#parts.clock.nowMs());
      this.#problem = '';
    } catch (error) {
      this.#report(error instanceof Error ? error.message : String(error));
      return;
    }
    this.#parts.log.info('workload certificate from files', { path: this.#files.chainPath });
    for (const changed of this.#watchers) changed();
  }

  /** Says it once. */
  #report(problem: string): void {
    if (this.#problem === problem) return;
    this.#problem = problem;
    const lastGoodKept = this.#current !== undefined;
    this.#parts.log.warn('the workload certificate in files cannot be used', {
      reason: problem,
      lastGoodKept,
    });
  }
}

function readText(path: string): string {
  if (statSync(path).size > MAX_BYTES) throw new Error(`${path} is too large`);
  return readFileSync(path, 'utf8');
}

/** Errors: throws for what Envoy could not use. */
function secretsOf(
  [chainPem, keyPem, roots]: readonly [string, string, string],
  pushed: PushedBundle | undefined,
  nowMs: number,
): WorkloadSecrets {
  const chain = parseCertificates(chainPem);
  if (!chain.ok) throw new Error(chain.error);
  const [leaf] = chain.value;
  if (leaf === undefined) throw new Error('there is no certificate');
  if (!leaf.x509.checkPrivateKey(createPrivateKey(keyPem)))
    throw new Error('the key does not belong to the certificate');
  const join = (more = ''): string => {
    const bundle = joinTrustBundle(more === '' ? [roots] : [roots, more], nowMs);
    if (!bundle.ok) throw new Error(`roots: ${bundle.error}`);
    return bundle.value.pem;
  };
  return {
    chainPem,
    privateKey: new Secret(keyPem),
    rootsPem: join(pushed?.rootsPem),
    authorityRootsPem: join(pushed?.authorityRootsPem),
    revocationsPem: pushed?.revocationsPem ?? '',
    leaf,
  };
}
