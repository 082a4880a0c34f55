/**
 * Certificates by somebody else's signer (EXTERNAL_CA): the caller and its request are checked here as ever, the signer is asked, and its
 * answer is believed only as far as it was asked: the one SPIFFE id, the request's key, no authority, no longer life, and a
 * chain up to a root that is known for that signer. Costs what the signer takes; so many requests may be under way.
 * Source: Istio security/pkg/pki/ra/k8s_ra.go, common.go; the check of the answer is ours.
 */
import type { KeyObject } from 'node:crypto';
import type { Clock } from '#base/clock.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { type Certificate, isValidAt, parseCertificates } from '#identity/certificate.ts';
import type { CertificateRequest } from '#identity/certificate-request.ts';
import type { SignerRoots } from './signer-roots.ts';

/** A request that may be signed: for whom, with what key. */
export interface RegistrationOrder {
  readonly csrPem: string;
  readonly request: CertificateRequest;
  readonly spiffeId: string;
  /** 0 for the default. */
  readonly ttlMs: number;
  /** Name of a signer within the domain; '' for the default one. */
  readonly certSigner: string;
}

/** Why there is no certificate. */
export type RegistrationFault =
  | 'lifetime is above the maximum'
  | 'the request asks for more than names'
  | 'the request names no identity'
  | 'no signer is configured'
  | 'the signer has no domain'
  | 'too many requests are under way'
  | 'the signer gave no certificate'
  | "the signer's answer cannot be read"
  | 'the signer signed another key'
  | 'the signer signed another identity'
  | 'the signer made an authority'
  | 'the certificate is not valid now'
  | 'the certificate lives too long'
  | 'no root is known for the signer'
  | 'the chain does not lead to a root of the signer';

/** Asks a signer by its full name; gives certificates in PEM, leaf first. Errors: a text for the log. */
export type AskSigner = (order: {
  readonly csrPem: string;
  readonly signerName: string;
  readonly ttlMs: number;
  readonly spiffeId: string;
}) => Promise<Result<string, string>>;

export interface RegistrationOptions {
  readonly ask: AskSigner;
  /** K8S_SIGNER: full name of the signer for requests that name none; '' for none. */
  readonly defaultSigner: string;
  /** CERT_SIGNER_DOMAIN: what stands before a signer's name; '' when requests may not choose. */
  readonly signerDomain: string;
  readonly roots: SignerRoots;
  readonly defaultTtlMs: number;
  readonly maxTtlMs: number;
  readonly clock: Clock;
  readonly onFault: (fault: RegistrationFault, detail: string) => void;
}

const MAX_PENDING = 200;
/** Signers' clocks, and what they round up. */
const LIFE_SLACK_MS = 300_000;

/** Has certificates signed. */
export class RegistrationAuthority {
  readonly roots: SignerRoots;
  readonly #options: RegistrationOptions;
  #pending = 0;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.roots = options.roots;
  }

  /** Gives the chain in PEM: leaf, intermediates, and as last text the signer's roots. */
  async issue(order: RegistrationOrder): Promise<Result<readonly string[], RegistrationFault>> {
    const { defaultTtlMs, maxTtlMs, ask, onFault } = this.#options;
    const { request, csrPem, spiffeId } = order;
    if (order.ttlMs > maxTtlMs) return fail('lifetime is above the maximum');
    // The signer sees the request itself, so nothing may stand in it that we do not know.
    if (!request.isPlain) return fail('the request asks for more than names');
    if (request.names.length === 0) return fail('the request names no identity');
    const signerName = this.#signerOf(order.certSigner);
    if (!signerName.ok) return signerName;
    if (this.#pending >= MAX_PENDING) return fail('too many requests are under way');
    const ttlMs = order.ttlMs === 0 ? defaultTtlMs : order.ttlMs;
    this.#pending++;
    try {
      const signed = await ask({ csrPem, signerName: signerName.value, ttlMs, spiffeId });
      if (!signed.ok) {
        onFault('the signer gave no certificate', signed.error);
        return fail('the signer gave no certificate');
      }
      const chain = this.#check(signed.value, { signerName: signerName.value, ttlMs, order });
      if (!chain.ok) onFault(chain.error, signerName.value);
      return chain;
    } finally {
      this.#pending--;
    }
  }

  #signerOf(certSigner: string): Result<string, RegistrationFault> {
    const { defaultSigner, signerDomain } = this.#options;
    if (certSigner !== '')
      return signerDomain === '' ? fail('the signer has no domain') : ok(`${signerDomain}/${certSigner}`);
    return defaultSigner === '' ? fail('no signer is configured') : ok(defaultSigner);
  }

  #check(
    pem: string,
    asked: { readonly signerName: string; readonly ttlMs: number; readonly order: RegistrationOrder },
  ): Result<readonly string[], RegistrationFault> {
    const nowMs = this.#options.clock.nowMs();
    const parsed = parseCertificates(pem);
    const [leaf, ...others] = parsed.ok ? parsed.value : [];
    if (leaf === undefined) return fail("the signer's answer cannot be read");
    const fault = leafFault(leaf, { ...asked.order, ttlMs: asked.ttlMs, nowMs });
    if (fault !== undefined) return fail(fault);
    const roots = this.roots.rootsOf(asked.signerName, others.filter(isSelfSigned), nowMs);
    if (roots.length === 0) return fail('no root is known for the signer');
    const intermediates = others.filter((one) => !isSelfSigned(one));
    if (!leadsTo([leaf, ...intermediates], roots, nowMs))
      return fail('the chain does not lead to a root of the signer');
    const rootsPem = roots.map((root) => root.pem).join('');
    return ok([leaf.pem, ...intermediates.map((one) => one.pem), rootsPem]);
  }
}

interface Expectation {
  readonly request: { readonly publicKey: KeyObject };
  readonly spiffeId: string;
  readonly ttlMs: number;
  readonly nowMs: number;
}

function leafFault(leaf: Certificate, wanted: Expectation): RegistrationFault | undefined {
  const { request, spiffeId, ttlMs, nowMs } = wanted;
  if (!leaf.x509.publicKey.equals(request.publicKey)) return 'the signer signed another key';
  // The one name, and no other of any kind.
  if (leaf.x509.subjectAltName !== `URI:${spiffeId}`) return 'the signer signed another identity';
  if (leaf.isAuthority) return 'the signer made an authority';
  if (!isValidAt(leaf, nowMs)) return 'the certificate is not valid now';
  return leaf.notAfterUnixMs - nowMs > ttlMs + LIFE_SLACK_MS ? 'the certificate lives too long' : undefined;
}

function isSelfSigned({ x509 }: Certificate): boolean {
  return x509.checkIssued(x509) && x509.verify(x509.publicKey);
}

/** Each signed by the next, the last by a root; authorities all but the first, all valid now. */
function leadsTo(chain: readonly Certificate[], roots: readonly Certificate[], nowMs: number): boolean {
  if (!chain.every((one) => isValidAt(one, nowMs))) return false;
  if (!chain.slice(1).every((one) => one.isAuthority)) return false;
  const isLinked = chain.every((one, i) => {
    const issuer = chain[i + 1];
    return issuer === undefined || isIssuedBy(one, issuer);
  });
  const last = chain.at(-1);
  return isLinked && last !== undefined && roots.some((root) => isIssuedBy(last, root));
}

function isIssuedBy({ x509 }: Certificate, issuer: Certificate): boolean {
  return x509.checkIssued(issuer.x509) && x509.verify(issuer.x509.publicKey);
}
