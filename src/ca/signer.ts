/**
 * Signs workload certificates: the caller's SPIFFE id as the one critical SAN, for as long as asked within bounds. Takes from
 * a request nothing but its public key. What it signs is exactly its input; who may have what is decided before
 * (certificate-service.ts). One signature per call, about a tenth of a millisecond.
 */
import { type KeyObject, randomBytes } from 'node:crypto';
import type { Clock } from '#base/clock.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { encodePem } from '#identity/pem.ts';
import { printWorkloadIdentity, type WorkloadIdentity } from '#identity/spiffe.ts';
import { type LeafContent, type LeafName, signLeaf } from './leaf-certificate.ts';
import type { SigningAuthority } from './signing-authority.ts';
import { buildSubject, type SubjectAttribute, type WorkloadFacts } from './workload-facts.ts';

/** What the mesh may set. */
export interface SignerOptions {
  readonly defaultTtlMs: number;
  readonly maxTtlMs: number;
  /** What the subject carries: the workload's facts (decision 003), or nothing as with Istio. */
  readonly subject: 'workload' | 'empty';
}

/** Istio's lifetimes: a day, at most ninety (DEFAULT_WORKLOAD_CERT_TTL, MAX_WORKLOAD_CERT_TTL). */
export const defaultSignerOptions: SignerOptions = {
  defaultTtlMs: 24 * 3_600_000,
  maxTtlMs: 90 * 24 * 3_600_000,
  subject: 'workload',
};

/** One certificate to sign. `ttlMs` 0 means the default. */
export interface SigningOrder {
  readonly publicKey: KeyObject;
  readonly identity: WorkloadIdentity;
  readonly facts: WorkloadFacts;
  readonly ttlMs: number;
}

/** A name of one of our servers. */
export interface ServerName {
  readonly type: 'dns' | 'ip';
  readonly value: string;
}

/** Why an order is refused. */
export type SigningError = 'lifetime is above the maximum' | 'the signing certificate has expired';

const maxBackdateMs = 120_000;

/** What signs at the moment, and the roots that go with every certificate. */
export interface SigningState {
  readonly authority: SigningAuthority;
  /** PEM of every root that the mesh believes. */
  readonly rootsPem: string;
}

/** Signs with the authority of the moment. */
export class Signer {
  readonly #state: SigningState;
  readonly #options: SignerOptions;
  readonly #clock: Clock;

  constructor(state: SigningState, options: SignerOptions, clock: Clock) {
    this.#state = state;
    this.#options = options;
    this.#clock = clock;
  }

  get authority(): SigningAuthority {
    return this.#state.authority;
  }

  /** Signs a workload's certificate and returns the chain in PEM: leaf, intermediates, and as last text all roots. */
  async sign(order: SigningOrder): Promise<Result<readonly string[], SigningError>> {
    const name = { type: 'uri', value: printWorkloadIdentity(order.identity) } as const;
    return this.#issue(order.publicKey, order.ttlMs, this.#subject(order), [name]);
  }

  /** Signs a certificate for one of the control plane's own servers (15012, webhooks), by DNS names and addresses. */
  async signServer(
    publicKey: KeyObject,
    names: readonly ServerName[],
    ttlMs: number,
  ): Promise<Result<readonly string[], SigningError>> {
    return this.#issue(publicKey, ttlMs, [], names);
  }

  async #issue(
    publicKey: KeyObject,
    askedTtlMs: number,
    subject: readonly SubjectAttribute[],
    names: readonly LeafName[],
  ): Promise<Result<readonly string[], SigningError>> {
    if (askedTtlMs > this.#options.maxTtlMs) return fail('lifetime is above the maximum');
    // One authority for the whole of it: another may take over meanwhile.
    const { authority, rootsPem } = this.#state;
    const ttlMs = askedTtlMs === 0 ? this.#options.defaultTtlMs : askedTtlMs;
    const validity = this.#chooseValidity(authority, ttlMs);
    if (validity === undefined) return fail('the signing certificate has expired');
    const serial = Buffer.from(makeSerial(), 'hex');
    const content = { serial, subject, publicKey, names, ...validity };
    const certificate = await signLeaf(content, authority.issuer);
    return ok([encodePem('CERTIFICATE', certificate), ...authority.intermediatePems, rootsPem]);
  }

  /** Backdated against clock skew, exactly as long as asked, never longer than the issuer's own life. */
  #chooseValidity(
    authority: SigningAuthority,
    ttlMs: number,
  ): Pick<LeafContent, 'notBeforeUnixMs' | 'notAfterUnixMs'> | undefined {
    const nowMs = this.#clock.nowMs();
    const endMs = authority.certificate.notAfterUnixMs;
    if (endMs <= nowMs) return undefined;
    const notBeforeMs = nowMs - Math.min(maxBackdateMs, ttlMs / 10);
    return { notBeforeUnixMs: notBeforeMs, notAfterUnixMs: Math.min(notBeforeMs + ttlMs, endMs) };
  }

  #subject(order: SigningOrder): readonly SubjectAttribute[] {
    return this.#options.subject === 'empty' ? [] : buildSubject(order.identity, order.facts);
  }
}

/** 128 random bits, positive and without a leading zero byte. Source: RFC 5280 4.1.2.2 (at most 20 bytes). */
export function makeSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}
