/**
 * The workload's certificate, kept fresh: makes a key, has the CA sign it, checks the answer, hands it to whoever serves it, and does
 * it again at half its life. A fresh key each time; keys live in memory only. While the CA cannot be reached the old
 * certificate stays and attempts go on, the slower the longer. The roots are the CA's, those that were pushed since, and those of a
 * file that is looked at now and then: one that goes is believed on until the next certificate, one that comes is never lost.
 */
import { readFile } from 'node:fs/promises';
import { Backoff } from '#base/backoff.ts';
import type { Clock } from '#base/clock.ts';
import { Scope, toDisposable } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { Rng } from '#base/rng.ts';
import type { Secret } from '#base/secret.ts';
import { type Certificate, parseCertificates } from '#identity/certificate.ts';
import { makeCsr } from '#identity/csr.ts';
import { findRenewalTime, type RenewalRatio } from '#identity/expiry.ts';
import { generateKeyPair, type KeyKind, type KeyPair, printPrivateKey } from '#identity/key-pair.ts';
import { joinTrustBundle } from '#identity/trust-bundle.ts';
import type { AgentMetrics } from './agent-metrics.ts';
import { RevocationFile } from './revocation-file.ts';
import type { PushedBundle } from './trust-bundle-message.ts';

/** Who signs; the CA in production, anything in tests. */
export interface CertificateSource {
  createCertificate(csrPem: string, ttlMs: number): Promise<Result<readonly string[], string>>;
}

/** What the certificate is for. */
export interface WorkloadCertificateSettings {
  readonly spiffeId: string;
  readonly ttlMs: number;
  readonly keyKind: KeyKind;
  /** When it is renewed; undefined: at about half its life. */
  readonly renewal: RenewalRatio | undefined;
  /** Further roots to believe; undefined: only the CA's. */
  readonly rootsPath: string | undefined;
  /** Revocation lists, where nobody pushes any; undefined: none. */
  readonly revocationsPath: string | undefined;
}

/** What everything here runs on. */
export interface AgentParts {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  readonly metrics: AgentMetrics;
}

/** What Envoy needs to speak for the workload. */
export interface WorkloadSecrets {
  readonly chainPem: string;
  readonly privateKey: Secret;
  readonly rootsPem: string;
  /** Those of them that vouch for control planes of the mesh too. */
  readonly authorityRootsPem: string;
  /** Revocation lists to check peers with; '' for none. */
  readonly revocationsPem: string;
  readonly leaf: Certificate;
}

interface Issued {
  readonly keyPair: KeyPair;
  /** Leaf first, without roots. */
  readonly chain: readonly Certificate[];
  /** What the CA says is to be believed. */
  readonly rootsPem: string;
}

const rootsPollMs = 10_000;
const MAX_ROOTS = 100;
const retry = { initialMs: 200, maxMs: 30_000 };

/** Holds the current certificate and renews it. */
export class WorkloadCertificate implements Disposable {
  readonly #settings: WorkloadCertificateSettings;
  readonly #source: CertificateSource;
  readonly #parts: AgentParts;
  readonly #backoff: Backoff;
  readonly #watchers = new Set<() => void>();
  readonly #scope = new Scope();
  #timer: Disposable = toDisposable(() => {});
  #issued: Issued | undefined;
  #current: WorkloadSecrets | undefined;
  #pushed: PushedBundle | undefined;
  /** The file's text as last seen, and its roots as last good. */
  #seenRoots: string | undefined;
  #fileRoots: readonly string[] = [];
  readonly #revocations: RevocationFile;

  constructor(settings: WorkloadCertificateSettings, source: CertificateSource, parts: AgentParts) {
    this.#settings = settings;
    this.#source = source;
    this.#parts = parts;
    this.#backoff = new Backoff(retry, parts.rng);
    this.#revocations = new RevocationFile(settings.revocationsPath, parts);
  }

  /** The secrets of now; undefined until the CA has answered once. */
  get current(): WorkloadSecrets | undefined {
    return this.#current;
  }

  /** What the control plane pushed last; undefined before the first. */
  get pushed(): PushedBundle | undefined {
    return this.#pushed;
  }

  /** Takes over what was pushed; resolves when the secrets are made of it. */
  async believe(bundle: PushedBundle | undefined): Promise<void> {
    this.#pushed = bundle;
    await this.#publish();
  }

  /** Calls back after every change. */
  watch(changed: () => void): Disposable {
    this.#watchers.add(changed);
    return toDisposable(() => this.#watchers.delete(changed));
  }

  /** Starts to get and to keep the certificate. */
  run(): void {
    void this.#renew();
    const { rootsPath, revocationsPath } = this.#settings;
    if (rootsPath !== undefined || revocationsPath !== undefined) this.#pollFiles();
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
    this.#timer[Symbol.dispose]();
    this.#watchers.clear();
  }

  async #renew(): Promise<void> {
    const { log, metrics, clock, rng } = this.#parts;
    metrics.add('istio_agent_num_outgoing_requests{request_type="csr"}');
    const issued = await this.#issue();
    if (this.#scope.isDisposed) return;
    if (!issued.ok) {
      metrics.add('istio_agent_num_failed_outgoing_requests{request_type="csr"}');
      const delayMs = this.#backoff.nextMs();
      log.warn('no certificate', { reason: issued.error, retryInMs: Math.round(delayMs) });
      this.#schedule(delayMs);
      return;
    }
    this.#backoff.reset();
    this.#issued = issued.value;
    await this.#publish();
    const [leaf] = issued.value.chain;
    if (leaf === undefined || this.#scope.isDisposed) return;
    const renewAtMs = findRenewalTime(leaf, rng, this.#settings.renewal);
    log.info('workload certificate', { serial: leaf.serial, renewAt: new Date(renewAtMs).toISOString() });
    this.#schedule(Math.max(renewAtMs - clock.nowMs(), retry.initialMs));
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#parts.clock.schedule(delayMs, () => void this.#renew());
  }

  async #issue(): Promise<Result<Issued, string>> {
    const { spiffeId, ttlMs, keyKind } = this.#settings;
    const keyPair = await generateKeyPair(keyKind);
    const answer = await this.#source.createCertificate(makeCsr(keyPair, spiffeId), ttlMs);
    if (!answer.ok) return answer;
    // The last text holds the roots, of which there are several while one takes over from another.
    const rootsPem = answer.value.at(-1) ?? '';
    const parsed = parseCertificates(answer.value.slice(0, -1).join('\n'));
    const roots = parseCertificates(rootsPem, MAX_ROOTS);
    if (answer.value.length < 2 || !roots.ok) return fail("the CA's answer has no root");
    if (!parsed.ok) return fail(`the CA's answer: ${parsed.error}`);
    const [leaf] = parsed.value;
    if (leaf === undefined) return fail("the CA's answer is empty");
    if (!leaf.x509.checkPrivateKey(keyPair.privateKey)) return fail('the CA signed another key');
    if (leaf.uris.length !== 1 || leaf.uris[0] !== spiffeId)
      return fail(`the certificate is not for ${spiffeId}`);
    return ok({ keyPair, chain: parsed.value, rootsPem });
  }

  /** Makes the secrets of what was issued and of the roots of now; watchers hear only of a change. */
  async #publish(): Promise<void> {
    await this.#readRoots();
    await this.#revocations.look();
    const [leaf] = this.#issued?.chain ?? [];
    if (this.#issued === undefined || leaf === undefined || this.#revocations.isUnusable) return;
    const { rootsPem: pushed = '', authorityRootsPem: pushedAuthorities = '' } = this.#pushed ?? {};
    const bundle = this.#join(this.#issued, pushed);
    const authorities = this.#join(this.#issued, pushedAuthorities);
    if (!bundle.ok || this.#scope.isDisposed) return;
    const chainPem = this.#issued.chain.map((certificate) => certificate.pem).join('');
    const rootsPem = bundle.value.pem;
    const authorityRootsPem = authorities.ok ? authorities.value.pem : '';
    // An Istio control plane pushes roots alone.
    const revocationsPem = this.#pushed?.revocationsPem || this.#revocations.pem;
    const isSame =
      this.#current?.chainPem === chainPem &&
      this.#current.rootsPem === rootsPem &&
      this.#current.authorityRootsPem === authorityRootsPem &&
      this.#current.revocationsPem === revocationsPem;
    if (isSame) return;
    const privateKey = printPrivateKey(this.#issued.keyPair);
    this.#current = { chainPem, privateKey, rootsPem, authorityRootsPem, revocationsPem, leaf };
    for (const changed of this.#watchers) changed();
  }

  /** What was pushed with the CA's roots and the file's. */
  #join({ rootsPem }: Issued, pushed: string): ReturnType<typeof joinTrustBundle> {
    const all = [rootsPem, pushed, ...this.#fileRoots].filter((pem) => pem !== '');
    return joinTrustBundle(all, this.#parts.clock.nowMs());
  }

  /** Reads the roots of the file; one that is gone or broken for a while changes nothing. */
  async #readRoots(): Promise<void> {
    const { rootsPath } = this.#settings;
    const text =
      rootsPath === undefined ? undefined : await readFile(rootsPath, 'utf8').catch(() => undefined);
    if (text === undefined || text === this.#seenRoots) return;
    this.#seenRoots = text;
    const bundle = joinTrustBundle([text], this.#parts.clock.nowMs());
    if (bundle.ok) this.#fileRoots = [bundle.value.pem];
    else this.#parts.log.warn('roots not used', { path: rootsPath, reason: bundle.error });
  }

  #pollFiles(): void {
    const timer = this.#parts.clock.schedule(rootsPollMs, () => {
      this.#scope.remove(timer);
      void this.#publish();
      this.#pollFiles();
    });
    this.#scope.add(timer);
  }
}
