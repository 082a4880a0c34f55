/**
 * Issues and verifies the tokens with which workloads of a mesh without Kubernetes prove who they are to the CA: signed JWTs in
 * the shape of Kubernetes' service account tokens, for the audience `istio-ca`, short-lived. The signing key lives in
 * the state folder; only this process ever uses it. Algorithm, issuer and audience are pinned; nothing in the token chooses them.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { jwtVerify, type JWTPayload, SignJWT } from 'jose';
import type { Clock } from '#base/clock.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { Secret } from '#base/secret.ts';
import { generateKeyPair, type KeyPair, parsePrivateKey, printPrivateKey } from '#identity/key-pair.ts';
import { makeWorkloadIdentity } from '#identity/spiffe.ts';
import type { TokenClaims, TokenVerifier } from './caller.ts';
import { preparePrivateFolder, readPrivateFile, writePrivateFile } from './private-folder.ts';
import { pickFacts, type WorkloadFacts } from './workload-facts.ts';

/** For whom a token is made. */
export interface TokenSubject {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly facts: WorkloadFacts;
  /** Names the replica, for logs. */
  readonly instance: string;
}

const algorithm = 'ES256';
const issuer = 'lateen';
/** Source: Istio, pkg/jwt audiences default. */
const audience = 'istio-ca';
const workloadClaim = 'lateen.dev/workload';
const subjectPrefix = 'system:serviceaccount:';
const keyFile = 'token-key.pem';
const clockSkewSeconds = 60;
const maxTokenLength = 8192;
const maxLifetimeMs = 24 * 3_600_000;

/** How long a token holds unless its issuer says otherwise. */
export const defaultTokenLifetimeMs = 3_600_000;

/** Opens the authenticator of a state folder, making its key at the first start. Errors: a folder or key that cannot be trusted. */
export async function openTokenAuthenticator(
  folder: string,
  clock: Clock,
): Promise<Result<TokenAuthenticator, string>> {
  const refusal = await preparePrivateFolder(folder);
  if (refusal !== undefined) return fail(refusal);
  const path = join(folder, keyFile);
  const stored = await readPrivateFile(path);
  if (stored === undefined) {
    const keyPair = await generateKeyPair();
    await writePrivateFile(folder, keyFile, printPrivateKey(keyPair).reveal());
    return ok(new TokenAuthenticator(keyPair, clock));
  }
  if (!stored.ok) return stored;
  const keyPair = parsePrivateKey(stored.value);
  if (!keyPair.ok || keyPair.value.privateKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    return fail(`${path} holds no P-256 private key: delete it to have a new one made`);
  }
  return ok(new TokenAuthenticator(keyPair.value, clock));
}

/** Both sides of our own tokens. */
export class TokenAuthenticator implements TokenVerifier {
  readonly #keyPair: KeyPair;
  readonly #clock: Clock;

  constructor(keyPair: KeyPair, clock: Clock) {
    this.#keyPair = keyPair;
    this.#clock = clock;
  }

  /** Makes a token. Errors: names that cannot stand in an identity are a bug of the caller and throw. */
  async issueToken(subject: TokenSubject, lifetimeMs: number = defaultTokenLifetimeMs): Promise<Secret> {
    if (
      !makeWorkloadIdentity('x', subject.namespace, subject.serviceAccount).ok ||
      lifetimeMs > maxLifetimeMs
    ) {
      throw new Error(`no token for ${subject.namespace}/${subject.serviceAccount}: bad name or lifetime`);
    }
    const nowSeconds = Math.floor(this.#clock.nowMs() / 1000);
    const claims = { [workloadClaim]: { ...subject.facts, instance: subject.instance } };
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: algorithm, typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject(`${subjectPrefix}${subject.namespace}:${subject.serviceAccount}`)
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + Math.ceil(lifetimeMs / 1000))
      .setJti(randomUUID())
      .sign(this.#keyPair.privateKey);
    return new Secret(token);
  }

  async verifyToken(token: string): Promise<Result<TokenClaims, string>> {
    if (token.length > maxTokenLength) return fail('the token is too long');
    try {
      const { payload } = await jwtVerify(token, this.#keyPair.publicKey, {
        algorithms: [algorithm],
        issuer,
        audience,
        clockTolerance: clockSkewSeconds,
        currentDate: new Date(this.#clock.nowMs()),
        requiredClaims: ['exp', 'iat', 'sub'],
      });
      return readClaims(payload);
    } catch (error) {
      return fail(
        error instanceof Error && 'code' in error ? String(error.code) : 'the token cannot be verified',
      );
    }
  }
}

function readClaims(payload: JWTPayload): Result<TokenClaims, string> {
  const [namespace, serviceAccount, ...more] = (payload.sub ?? '').replace(subjectPrefix, '').split(':');
  const isOurs = payload.sub?.startsWith(subjectPrefix) === true && more.length === 0;
  if (!isOurs || namespace === undefined || serviceAccount === undefined) {
    return fail('the subject is no service account');
  }
  const lifetimeSeconds = (payload.exp ?? 0) - (payload.iat ?? 0);
  if (lifetimeSeconds > maxLifetimeMs / 1000) return fail('the token lives too long');
  return ok({ namespace, serviceAccount, facts: readFacts(payload[workloadClaim]) });
}

function readFacts(claim: unknown): WorkloadFacts {
  if (typeof claim !== 'object' || claim === null) return {};
  const entries = new Map<string, unknown>(Object.entries(claim));
  return pickFacts((name) => {
    const value = entries.get(name);
    return typeof value === 'string' ? value : undefined;
  });
}
