/**
 * The CA put together: root on disk, signer, tokens, authenticator and the call that workloads make. Whoever runs a control
 * plane opens one; there is nothing to close.
 */
import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { Secret } from '#base/secret.ts';
import { generateKeyPair, printPrivateKey } from '#identity/key-pair.ts';
import { Authenticator } from './authenticator.ts';
import { CaMetrics } from './ca-metrics.ts';
import type { TokenVerifier } from './caller.ts';
import { CertificateService } from './certificate-service.ts';
import { openRootStore } from './root-store.ts';
import { type ServerName, Signer, type SignerOptions } from './signer.ts';
import { openTokenAuthenticator, type TokenAuthenticator } from './token-authenticator.ts';

/** What a CA depends on. */
export interface CertificateAuthoritySettings {
  /** Holds the root and the token key; 0700. */
  readonly folder: string;
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  readonly signer: SignerOptions;
  /** Verifiers besides our own tokens' (Kubernetes' TokenReview). */
  readonly tokenVerifiers: readonly TokenVerifier[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** A certificate of one of our own servers. */
export interface ServerCertificate {
  readonly chainPem: string;
  readonly privateKey: Secret;
}

/** An open CA. */
export interface CertificateAuthority {
  readonly service: CertificateService;
  readonly authenticator: Authenticator;
  readonly tokens: TokenAuthenticator;
  readonly signer: Signer;
  readonly metrics: CaMetrics;
  /** All metrics of the CA by name, the time to expiry as of `nowUnixMs`. */
  collectMetrics(nowUnixMs: number): ReadonlyMap<string, number>;
  /** The root that workloads trust. */
  readonly rootPem: string;
}

/** Opens the CA of a state folder. Errors: a text that tells an operator what to mend. */
export async function openCertificateAuthority(
  settings: CertificateAuthoritySettings,
): Promise<Result<CertificateAuthority, string>> {
  const { folder, trustDomain, trustDomainAliases, clock, log } = settings;
  const authority = await openRootStore(folder, trustDomain, clock);
  if (!authority.ok) return authority;
  const tokens = await openTokenAuthenticator(folder, clock);
  if (!tokens.ok) return tokens;
  const signer = new Signer(authority.value, settings.signer, clock);
  const metrics = new CaMetrics();
  const authenticator = new Authenticator({
    trustDomain,
    trustDomainAliases,
    tokenVerifiers: [tokens.value, ...settings.tokenVerifiers],
    authority: authority.value.certificate,
    clock,
  });
  const service = new CertificateService({ authenticator, signer, metrics, log });
  return ok({
    service,
    authenticator,
    tokens: tokens.value,
    signer,
    metrics,
    rootPem: authority.value.rootPem,
    collectMetrics: (nowUnixMs) => metrics.collect(authority.value, nowUnixMs),
  });
}

/** Makes a key and a certificate for a server of the control plane. */
export async function issueServerCertificate(
  signer: Signer,
  names: readonly ServerName[],
  ttlMs = 0,
): Promise<Result<ServerCertificate, string>> {
  const keyPair = await generateKeyPair();
  const publicKey = keyPair.publicKey.toCryptoKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify']);
  const chain = await signer.signServer(publicKey, names, ttlMs);
  if (!chain.ok) return fail(chain.error);
  return ok({ chainPem: chain.value.join(''), privateKey: printPrivateKey(keyPair) });
}
