/**
 * The certificate of one of the control plane's own servers, kept fresh: signed anew at half its life and whenever another
 * authority signs. Whoever serves with it is told; connections that are open stay.
 */
import type { Clock } from '#base/clock.ts';
import { Backoff } from '#base/backoff.ts';
import type { Logger } from '#base/logger.ts';
import { ok, type Result } from '#base/result.ts';
import type { Rng } from '#base/rng.ts';
import type { Secret } from '#base/secret.ts';
import { parseCertificates } from '#identity/certificate.ts';
import { findRenewalTime } from '#identity/expiry.ts';
import { generateKeyPair, printPrivateKey } from '#identity/key-pair.ts';
import type { AuthorityRotation } from './authority-rotation.ts';
import type { ServerName, Signer } from './signer.ts';

/** A certificate of one of our own servers, and whose clients it believes. */
export interface ServerCertificate {
  readonly chainPem: string;
  readonly privateKey: Secret;
  readonly rootsPem: string;
}

export interface ServerCertificateParts {
  readonly signer: Signer;
  readonly rotation: AuthorityRotation;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
}

const RETRY = { initialMs: 1_000, maxMs: 60_000 };

/** Makes a key and a certificate for a server of the control plane. */
export async function issueServerCertificate(
  parts: Pick<ServerCertificateParts, 'signer' | 'rotation'>,
  names: readonly ServerName[],
  ttlMs = 0,
): Promise<Result<ServerCertificate, string>> {
  const keyPair = await generateKeyPair();
  const chain = await parts.signer.signServer(keyPair.publicKey, names, ttlMs);
  if (!chain.ok) return chain;
  const { rootsPem } = parts.rotation;
  return ok({ chainPem: chain.value.slice(0, -1).join(''), privateKey: printPrivateKey(keyPair), rootsPem });
}

/** Renews a server's certificate until disposed of; `serve` gets each one after the first. */
export class ServerCertificateKeeper implements Disposable {
  readonly #parts: ServerCertificateParts;
  readonly #names: readonly ServerName[];
  readonly #serve: (certificate: ServerCertificate) => void;
  readonly #backoff: Backoff;
  readonly #watch: Disposable;
  #timer: Disposable;
  #isDisposed = false;

  constructor(
    parts: ServerCertificateParts,
    names: readonly ServerName[],
    first: ServerCertificate,
    serve: (certificate: ServerCertificate) => void,
  ) {
    this.#parts = parts;
    this.#names = names;
    this.#serve = serve;
    this.#backoff = new Backoff(RETRY, parts.rng);
    this.#timer = this.#renewIn(this.#delayMs(first));
    this.#watch = parts.rotation.watch(() => void this.#renew());
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#watch[Symbol.dispose]();
    this.#timer[Symbol.dispose]();
  }

  async #renew(): Promise<void> {
    const issued = await issueServerCertificate(this.#parts, this.#names);
    if (this.#isDisposed) return;
    this.#timer[Symbol.dispose]();
    if (issued.ok) {
      this.#backoff.reset();
      this.#serve(issued.value);
      this.#timer = this.#renewIn(this.#delayMs(issued.value));
    } else {
      this.#parts.log.error('no new certificate for the secure port', { reason: issued.error });
      this.#timer = this.#renewIn(this.#backoff.nextMs());
    }
  }

  #renewIn(delayMs: number): Disposable {
    return this.#parts.clock.schedule(delayMs, () => void this.#renew());
  }

  #delayMs({ chainPem }: ServerCertificate): number {
    const parsed = parseCertificates(chainPem);
    const [leaf] = parsed.ok ? parsed.value : [];
    if (leaf === undefined) return RETRY.initialMs;
    return Math.max(findRenewalTime(leaf, this.#parts.rng) - this.#parts.clock.nowMs(), RETRY.initialMs);
  }
}
