/**
 * Tokens of another issuer (OpenID Connect, JWT_RULE) as proof of a service account: signature, issuer, audience, lifetime and
 * subject are checked here, against keys that somebody else fetches. The rule pins what counts; of the token only its key id is
 * believed before the signature, and algorithms of shared secrets never are. Costs one signature check per call.
 * Source: istio security/pkg/server/ca/authenticate/oidc.go; RFC 8725 (JWT best practices).
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';
import type { Clock } from '#base/clock.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { TokenClaims, TokenVerifier } from './caller.ts';

/** Why a token of an issuer is not taken. */
export type IssuedTokenFault =
  | 'the token is too long'
  | 'the token cannot be read'
  | "the token's algorithm is not taken"
  | "the issuer's keys are not known"
  | 'no key of the issuer fits the token'
  | "the token's signature is wrong"
  | 'the token is of another issuer'
  | 'the token is for another audience'
  | 'the token has expired'
  | 'the token is not valid yet'
  | 'the token lacks a claim'
  | 'the subject is no service account';

/** The keys of an issuer, kept fresh elsewhere. */
export interface IssuerKeys {
  /** JWKS as JSON text; '' while there are none. */
  current(): string;
  /** A token names a key that is not there: fetches anew, not too often. Resolves when `current` is as good as it gets. */
  renew(): Promise<void>;
}

/** Whose tokens, and for whom. */
export interface IssuedTokensOptions {
  readonly issuer: string;
  /** A token has to be for one of them; with none, no token is taken. */
  readonly audiences: readonly string[];
  readonly keys: IssuerKeys;
  readonly clock: Clock;
}

const MAX_TOKEN_LENGTH = 16 * 1024;
const CLOCK_SKEW_SECONDS = 60;
/** Only such with a public key: with a shared secret the published key itself would sign. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const SUBJECT = /^system:serviceaccount:([^:]+):([^:]+)$/;

/** Verifies tokens of one issuer. */
export class IssuedTokens implements TokenVerifier {
  readonly #options: IssuedTokensOptions;
  #text = '';
  #set: ReturnType<typeof createLocalJWKSet> | undefined;

  constructor(options: IssuedTokensOptions) {
    this.#options = options;
  }

  async verifyToken(token: string): Promise<Result<TokenClaims, IssuedTokenFault>> {
    if (token.length > MAX_TOKEN_LENGTH) return fail('the token is too long');
    const first = await this.#verify(token);
    if (first.ok || !mayBeNewKey(first.error)) return first;
    await this.#options.keys.renew();
    return this.#verify(token);
  }

  async #verify(token: string): Promise<Result<TokenClaims, IssuedTokenFault>> {
    const keys = this.#keySet();
    if (keys === undefined) return fail("the issuer's keys are not known");
    const { issuer, audiences, clock } = this.#options;
    try {
      const { payload } = await jwtVerify(token, keys, {
        algorithms: ALGORITHMS,
        issuer,
        audience: [...audiences],
        clockTolerance: CLOCK_SKEW_SECONDS,
        currentDate: new Date(clock.nowMs()),
        requiredClaims: ['exp', 'sub'],
      });
      // An empty list of audiences is no condition to the library.
      if (audiences.length === 0) return fail('the token is for another audience');
      return readClaims(payload);
    } catch (error) {
      return fail(faultOf(error));
    }
  }

  #keySet(): ReturnType<typeof createLocalJWKSet> | undefined {
    const text = this.#options.keys.current();
    if (text !== this.#text) {
      this.#text = text;
      this.#set = text === '' ? undefined : createLocalJWKSet(JSON.parse(text) as JSONWebKeySet);
    }
    return this.#set;
  }
}

function mayBeNewKey(fault: IssuedTokenFault): boolean {
  return fault === 'no key of the issuer fits the token' || fault === "the issuer's keys are not known";
}

function readClaims({ sub = '' }: JWTPayload): Result<TokenClaims, IssuedTokenFault> {
  const [, namespace, serviceAccount] = SUBJECT.exec(sub) ?? [];
  if (namespace === undefined || serviceAccount === undefined)
    return fail('the subject is no service account');
  return ok({ namespace, serviceAccount, facts: {} });
}

const CLAIM_FAULTS: Readonly<Record<string, IssuedTokenFault>> = {
  iss: 'the token is of another issuer',
  aud: 'the token is for another audience',
  nbf: 'the token is not valid yet',
  exp: 'the token has expired',
};

/** What the library found, in our words: its own may quote the token. */
function faultOf(error: unknown): IssuedTokenFault {
  if (error instanceof errors.JWTExpired) return 'the token has expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.reason === 'missing') return 'the token lacks a claim';
    return CLAIM_FAULTS[error.claim] ?? 'the token cannot be read';
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return "the token's algorithm is not taken";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "the token's signature is wrong";
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
    return 'no key of the issuer fits the token';
  if (error instanceof errors.JOSENotSupported) return "the token's algorithm is not taken";
  return 'the token cannot be read';
}
