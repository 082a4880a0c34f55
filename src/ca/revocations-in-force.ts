/**
 * The revocation lists that are handed out. Who checks lists at all refuses every certificate of whose authorities one has no list:
 * so there are lists of all authorities in use, or none. The newest authority decides which; of an authority that
 * it replaced the last list stays until nothing that it signed is left.
 * Source: Envoy CertificateValidationContext.crl; istio security/pkg/pki/util/keycertbundle.go Verify.
 */
import type { Certificate } from '#identity/certificate.ts';
import { isIssuedBy, type RevocationList } from '#identity/revocation-list.ts';
import type { AuthorityMaterial } from './authority-material.ts';

/** What is in use now. */
export interface AuthoritiesInUse {
  /** What signs and what is to sign, the newest first. */
  readonly materials: readonly AuthorityMaterial[];
  /** Roots that sign no more and are still believed. */
  readonly retired: readonly Certificate[];
  /** When the last certificate ends that an authority could sign until now. */
  readonly lastEndUnixMs: number;
  readonly nowUnixMs: number;
}

interface Issuer {
  readonly certificate: Certificate;
  /** Infinity while it is part of something that signs. */
  readonly untilUnixMs: number;
}

export class RevocationsInForce {
  #issuers: ReadonlyMap<string, Issuer> = new Map();
  /** The last good list of each issuer, by fingerprint. */
  #byIssuer: ReadonlyMap<string, RevocationList> = new Map();
  #lists: readonly RevocationList[] = [];
  #problem = '';

  /** Of all authorities, or none. */
  get lists(): readonly RevocationList[] {
    return this.#lists;
  }

  /** Why lists that there are do not count yet; '' when all is well. */
  get problem(): string {
    return this.#problem;
  }

  /** Takes over what is in use now. */
  update(inUse: AuthoritiesInUse): void {
    this.#issuers = new Map(this.#issuersOf(inUse));
    const [newest] = inUse.materials;
    const given = inUse.materials.flatMap(({ revocations }) => revocations);
    if (newest === undefined || newest.revocations.length === 0) {
      this.#set([], new Map(), '');
      return;
    }
    const byIssuer = new Map<string, RevocationList>();
    const without: string[] = [];
    for (const [fingerprint, { certificate }] of this.#issuers) {
      const list = newestOf(given, certificate) ?? this.#byIssuer.get(fingerprint);
      if (list === undefined) without.push(certificate.subject);
      else byIssuer.set(fingerprint, list);
    }
    if (without.length > 0) {
      // Nothing of what is in force goes: it is complete for all that it was made for.
      this.#problem = `there is no revocation list of ${without.join(', ')}, of which certificates are in use`;
      return;
    }
    this.#set([...new Set([...byIssuer.values(), ...newest.revocations])], byIssuer, '');
  }

  #set(
    lists: readonly RevocationList[],
    byIssuer: ReadonlyMap<string, RevocationList>,
    problem: string,
  ): void {
    this.#lists = lists;
    this.#byIssuer = byIssuer;
    this.#problem = problem;
  }

  *#issuersOf({
    materials,
    retired,
    lastEndUnixMs,
    nowUnixMs,
  }: AuthoritiesInUse): Iterable<[string, Issuer]> {
    for (const [fingerprint, { certificate, untilUnixMs }] of this.#issuers) {
      const until = Math.min(untilUnixMs, lastEndUnixMs);
      if (until > nowUnixMs) yield [fingerprint, { certificate, untilUnixMs: until }];
    }
    for (const certificate of retired)
      yield [certificate.fingerprint, { certificate, untilUnixMs: nowUnixMs }];
    for (const certificate of materials.flatMap(({ issuers }) => issuers)) {
      yield [certificate.fingerprint, { certificate, untilUnixMs: Number.POSITIVE_INFINITY }];
    }
  }
}

function newestOf(lists: readonly RevocationList[], issuer: Certificate): RevocationList | undefined {
  const own = lists.filter((list) => isIssuedBy(list, issuer));
  return own.sort((a, b) => b.thisUpdateUnixMs - a.thisUpdateUnixMs)[0];
}
