/**
 * Turns what a call shows into who calls: a client certificate of the mesh first (renewals), else a bearer token. Everything that
 * does not prove an identity of this mesh is refused with one answer, the reason stays in the log.
 */
import type { Clock } from '#base/clock.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { type Certificate, isValidAt, readCertificate } from '#identity/certificate.ts';
import { type RevocationList, revokes } from '#identity/revocation-list.ts';
import { isOfMesh, makeWorkloadIdentity, parseWorkloadIdentity } from '#identity/spiffe.ts';
import type { Caller, CallPeer, TokenVerifier } from './caller.ts';
import { readSubject } from './workload-facts.ts';

/** What authentication depends on. */
export interface AuthenticatorSettings {
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  /** Asked in order; the first that accepts decides. */
  readonly tokenVerifiers: readonly TokenVerifier[];
  /** The CA's own certificates, of the past too: only subjects that one of them signed are read. */
  readonly authorities: () => readonly Certificate[];
  /** A certificate that one of them names proves nothing any more. */
  readonly revocations: () => readonly RevocationList[];
  readonly clock: Clock;
}

const bearerPattern = /^bearer ([A-Za-z0-9._~+/=-]+)$/i;
const maxHeaderLength = 16 * 1024;

/** Authenticates calls. */
export class Authenticator {
  readonly #settings: AuthenticatorSettings;

  constructor(settings: AuthenticatorSettings) {
    this.#settings = settings;
  }

  /** Finds the caller. Errors: all reasons, for the log; they never quote credentials. */
  async authenticate(peer: CallPeer): Promise<Result<Caller, string>> {
    const reasons: string[] = [];
    if (peer.certificate !== undefined) {
      const caller = this.#readCertificate(peer.certificate);
      if (caller.ok) return caller;
      reasons.push(caller.error);
    }
    if (peer.authorization !== undefined) {
      const caller = await this.#readToken(peer.authorization);
      if (caller.ok) return caller;
      reasons.push(caller.error);
    }
    return fail(reasons.length === 0 ? 'no credentials' : reasons.join('; '));
  }

  #readCertificate(der: Uint8Array): Result<Caller, string> {
    const { trustDomain, trustDomainAliases, authorities, revocations, clock } = this.#settings;
    const certificate = readCertificate(der);
    if (certificate === undefined) return fail('the client certificate cannot be read');
    if (!isValidAt(certificate, clock.nowMs())) return fail('the client certificate is not valid now');
    if (revocations().some((list) => revokes(list, certificate)))
      return fail('the client certificate has been revoked');
    const [uri, ...more] = certificate.uris;
    const identity = uri === undefined || more.length > 0 ? undefined : parseWorkloadIdentity(uri);
    if (identity?.ok !== true) return fail('the client certificate names no workload');
    if (!isOfMesh(identity.value, trustDomain, trustDomainAliases))
      return fail('the certificate is of another mesh');
    const isOurs = authorities().some(
      ({ x509 }) => certificate.x509.checkIssued(x509) && certificate.x509.verify(x509.publicKey),
    );
    return ok({
      identity: identity.value,
      facts: isOurs ? readSubject(certificate.subject) : {},
      via: 'certificate',
    });
  }

  async #readToken(header: string): Promise<Result<Caller, string>> {
    const token = header.length > maxHeaderLength ? undefined : bearerPattern.exec(header)?.[1];
    if (token === undefined) return fail('the authorization header is no bearer token');
    const reasons: string[] = [];
    for (const verifier of this.#settings.tokenVerifiers) {
      const claims = await verifier.verifyToken(token);
      if (!claims.ok) {
        reasons.push(claims.error);
        continue;
      }
      const { namespace, serviceAccount, facts, pod } = claims.value;
      const identity = makeWorkloadIdentity(this.#settings.trustDomain, namespace, serviceAccount);
      if (!identity.ok) return fail('the token names no valid service account');
      return ok({ identity: identity.value, facts, via: 'token', ...(pod === undefined ? {} : { pod }) });
    }
    return fail(reasons.length === 0 ? 'tokens are not accepted' : reasons.join('; '));
  }
}
