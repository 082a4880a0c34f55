/**
 * The CA's authority over time. A new root is first believed, then used, and the old one is forgotten last:
 *   introduced - its root joins the bundle, the old authority goes on signing until everybody has the new bundle;
 *   signing    - the new authority signs, the old root stays in the bundle for the longest life of what it signed;
 *   retired    - the old root leaves the bundle.
 * So every certificate that is in use was signed by a root that everybody believes. A new intermediate under a root that is
 * believed already signs at once, but where revocation lists are checked: its list has to be with everybody first. What has to survive a restart goes to the store before it takes effect.
 */
import type { Clock } from '#base/clock.ts';
import { toDisposable } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import { type Certificate, parseCertificates } from '#identity/certificate.ts';
import type { RevocationList } from '#identity/revocation-list.ts';
import { joinTrustBundle } from '#identity/trust-bundle.ts';
import { type AuthorityMaterial, isSameAuthority } from './authority-material.ts';
import { RevocationsInForce } from './revocations-in-force.ts';
import type { SigningAuthority } from './signing-authority.ts';

/** A root that signs no more and is still believed. */
export interface RetiredRoot {
  readonly pem: string;
  readonly untilUnixMs: number;
}

/** Keeps what a restart must find again. */
export interface RotationStore {
  /** Before `material` is introduced; `retired` has the roots to believe should the program end before it signs. */
  introduce(material: AuthorityMaterial, retired: readonly RetiredRoot[]): Promise<void>;
  /** Before `material` signs, and whenever the list of retired roots changes. */
  settle(material: AuthorityMaterial, retired: readonly RetiredRoot[]): Promise<void>;
}

/** For what is kept elsewhere: a Secret that control planes share, or what an operator brings along. */
export const NOTHING_KEPT: RotationStore = Object.freeze({
  introduce: () => Promise.resolve(),
  settle: () => Promise.resolve(),
});

export interface RotationOptions {
  readonly first: AuthorityMaterial;
  readonly retired: readonly RetiredRoot[];
  readonly store: RotationStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long at most the old authority signs on while the new root is handed out. */
  readonly overlapMs: number;
  /** The longest life of a certificate that is signed. */
  readonly maxTtlMs: number;
}

/**
 * Why another authority began to sign: everybody had its root in place, the limit had passed, or its root was believed before.
 */
export type SwitchCause = 'acknowledged' | 'limit' | 'known';

/** What a root's life is checked for this often. */
const SWEEP_MS = 3_600_000;

export class AuthorityRotation implements Disposable {
  readonly #options: RotationOptions;
  readonly #watchers = new Set<() => void>();
  #signing: AuthorityMaterial;
  #introduced: AuthorityMaterial | undefined;
  #retired: readonly RetiredRoot[];
  #rootsPem = '';
  readonly #revocations = new RevocationsInForce();
  #lastSwitch: SwitchCause | undefined;
  /** Roots of others that are believed too. */
  #believed: readonly string[] = [];
  #overlap: Disposable = toDisposable(() => {});
  #sweeper: Disposable = toDisposable(() => {});
  /** One change after the other. */
  #queue: Promise<void> = Promise.resolve();

  constructor(options: RotationOptions) {
    this.#options = options;
    this.#signing = options.first;
    this.#retired = options.retired;
    this.#join();
    this.#sweep();
  }

  /** What signs now. */
  get authority(): SigningAuthority {
    return this.#signing.authority;
  }

  /** What signs now, with its roots. */
  get material(): AuthorityMaterial {
    return this.#signing;
  }

  /** Every root that is to be believed now. */
  get rootsPem(): string {
    return this.#rootsPem;
  }

  /** True while a new root is handed out that does not sign yet. */
  get isPending(): boolean {
    return this.#introduced !== undefined;
  }

  /** Certificates that have signed for this mesh and may still be met: subjects that they signed are ours. */
  get issuers(): readonly Certificate[] {
    const retired = this.#retiredCertificates();
    const signing = [this.#signing, this.#introduced].flatMap((one) => one?.authority.certificate ?? []);
    return [...signing, ...retired];
  }

  /** Roots that sign no more and are still believed. */
  get retired(): readonly RetiredRoot[] {
    return this.#retired;
  }

  /** Why the authority of now signs; undefined when it did from the start. */
  get lastSwitch(): SwitchCause | undefined {
    return this.#lastSwitch;
  }

  /** Calls back after the roots or the signing authority have changed. */
  watch(changed: () => void): Disposable {
    this.#watchers.add(changed);
    return toDisposable(() => this.#watchers.delete(changed));
  }

  /** Takes over another authority, at once or with an overlap. Resolves when its roots are believed. */
  introduce(material: AuthorityMaterial, overlapMs: number = this.#options.overlapMs): Promise<void> {
    return this.#then(async () => {
      const { store, log, clock, maxTtlMs } = this.#options;
      if (this.#replace(material)) return;
      const isKnown = this.#rootsPem.includes(material.authority.rootPem.trim());
      // Where lists are checked, nobody takes a certificate of an authority whose list they do not have.
      const isChecked = material.revocations.length + this.#revocations.lists.length > 0;
      if (isKnown && !isChecked) {
        await this.#signWith(material, 'known');
        return;
      }
      await store.introduce(material, this.#retiredWith(material, clock.nowMs() + overlapMs + maxTtlMs));
      this.#introduced = material;
      log.info('a new root is handed out', { fingerprint: rootOf(material), signsInMs: overlapMs });
      this.#join();
      this.#overlap[Symbol.dispose]();
      this.#overlap = clock.schedule(overlapMs, () => void this.confirm('limit'));
    });
  }

  /** Revocation lists of all authorities in use, PEM; none where nothing is revoked. */
  get revocations(): readonly RevocationList[] {
    return this.#revocations.lists;
  }

  /** Why revocation lists that there are do not count; '' when all is well. */
  get revocationProblem(): string {
    return this.#revocations.problem;
  }

  /** Roots of others, in PEM, that are to be believed beside our own, in the place of those before. */
  believe(rootPems: readonly string[]): void {
    this.#believed = rootPems;
    this.#join();
  }

  /** What was introduced may sign. Nothing happens when `rootsPem`, what everybody has, is not what there is now. */
  confirm(cause: Exclude<SwitchCause, 'known'>, rootsPem: string = this.#rootsPem): Promise<void> {
    return this.#then(async () => {
      const introduced = this.#introduced;
      if (introduced === undefined || rootsPem !== this.#rootsPem) return;
      this.#overlap[Symbol.dispose]();
      await this.#signWith(introduced, cause);
    });
  }

  [Symbol.dispose](): void {
    this.#overlap[Symbol.dispose]();
    this.#sweeper[Symbol.dispose]();
    this.#watchers.clear();
  }

  #retiredCertificates(): readonly Certificate[] {
    const parsed = parseCertificates(this.#retired.map(({ pem }) => pem).join(''), 100);
    return parsed.ok ? parsed.value : [];
  }

  #then(step: () => Promise<void>): Promise<void> {
    const next = this.#queue.then(step);
    this.#queue = next.catch((error: unknown) =>
      this.#options.log.error('the authority was not changed', { error: String(error) }),
    );
    return next;
  }

  /** Another list, or none, of an authority that is there already; false for another authority. */
  #replace(material: AuthorityMaterial): boolean {
    if (this.#introduced !== undefined && isSameAuthority(this.#introduced, material))
      this.#introduced = material;
    else if (this.#introduced === undefined && isSameAuthority(this.#signing, material))
      this.#signing = material;
    else return false;
    this.#join();
    return true;
  }

  async #signWith(material: AuthorityMaterial, cause: SwitchCause): Promise<void> {
    const { store, clock, log, maxTtlMs } = this.#options;
    const retired = this.#retiredWith(material, clock.nowMs() + maxTtlMs);
    await store.settle(material, retired);
    this.#signing = material;
    this.#introduced = undefined;
    this.#lastSwitch = cause;
    this.#retired = retired;
    log.info('another authority signs', {
      issuer: material.authority.certificate.subject,
      root: rootOf(material),
      cause,
    });
    this.#join();
  }

  /** The retired roots once `material` signs. */
  #retiredWith(material: AuthorityMaterial, untilUnixMs: number): readonly RetiredRoot[] {
    const pem = this.#signing.authority.rootPem;
    const others = this.#retired.filter((one) => one.pem !== pem);
    return material.rootsPem.includes(pem.trim()) ? others : [...others, { pem, untilUnixMs }];
  }

  /** Forgets retired roots whose time is over; safe over any length of time. */
  #sweep(): void {
    const { clock, store } = this.#options;
    this.#sweeper = clock.schedule(SWEEP_MS, () => this.#sweep());
    const left = this.#retired.filter(({ untilUnixMs }) => untilUnixMs > clock.nowMs());
    if (left.length === this.#retired.length) return;
    void this.#then(async () => {
      await store.settle(this.#signing, left);
      this.#retired = left;
      this.#join();
    });
  }

  #join(): void {
    const { clock, maxTtlMs, log } = this.#options;
    const nowUnixMs = clock.nowMs();
    const pems = [this.#signing, this.#introduced].flatMap((one) => one?.rootsPem ?? []);
    const others = [...this.#retired.map(({ pem }) => pem), ...this.#believed];
    const bundle = joinTrustBundle([...pems, ...others], nowUnixMs);
    this.#rootsPem = bundle.ok ? bundle.value.pem : this.#signing.rootsPem;
    const before = this.#revocations.problem;
    this.#revocations.update({
      materials: [this.#introduced, this.#signing].flatMap((one) => one ?? []),
      retired: this.#retiredCertificates(),
      lastEndUnixMs: nowUnixMs + maxTtlMs,
      nowUnixMs,
    });
    const { problem } = this.#revocations;
    if (problem !== '' && problem !== before) log.warn('revocation lists are not in force', { problem });
    for (const changed of this.#watchers) changed();
  }
}

function rootOf({ authority }: AuthorityMaterial): string {
  const parsed = parseCertificates(authority.rootPem);
  return parsed.ok ? (parsed.value[0]?.fingerprint ?? '') : '';
}
