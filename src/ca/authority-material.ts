/**
 * What a CA works with: an authority that signs and the roots that the mesh believes. Built from PEM with everything checked that
 * would otherwise fail at the first workload: the pair, the path from the signing certificate to a root, the dates.
 * Source: istio security/pkg/pki/util VerifyCertificate; RFC 5280 for the path.
 */
import 'reflect-metadata';
import { KeyUsageFlags, KeyUsagesExtension, X509Certificate } from '@peculiar/x509';
import type { Secret } from '#base/secret.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { type Certificate, isValidAt, parseCertificates } from '#identity/certificate.ts';
import { isIssuedBy, isOver, parseRevocationLists, type RevocationList } from '#identity/revocation-list.ts';
import { makeSigningAuthority, type SigningAuthority } from './signing-authority.ts';

export interface AuthorityMaterial {
  readonly authority: SigningAuthority;
  /** All roots to believe, PEM; the authority's own among them. */
  readonly rootsPem: string;
  /** The signing certificate first, its root last. */
  readonly issuers: readonly Certificate[];
  /** Of each of the issuers, and whatever others lie beside them; none where nothing is revoked at all. */
  readonly revocations: readonly RevocationList[];
}

/** PEM texts as they lie in files or Secrets. */
export interface AuthorityTexts {
  /** The signing certificate. */
  readonly certificatePem: string;
  readonly privateKey: Secret;
  /** The signing certificate and those between it and the root; '' where the certificate is the root's child or the root. */
  readonly chainPem: string;
  readonly rootsPem: string;
  /** Revocation lists; '' for none. */
  readonly revocationsPem?: string;
}

const MAX_PATH_LENGTH = 10;

/** Checks and joins the texts. Errors: a text for an operator, which never quotes keys. */
export function makeAuthorityMaterial(
  texts: AuthorityTexts,
  nowUnixMs: number,
): Result<AuthorityMaterial, string> {
  const signing = parseCertificates(texts.certificatePem);
  if (!signing.ok) return fail(`ca-cert.pem: ${signing.error}`);
  const roots = parseCertificates(texts.rootsPem, 100);
  if (!roots.ok) return fail(`root-cert.pem: ${roots.error}`);
  const chain = parseCertificates(texts.chainPem === '' ? texts.certificatePem : texts.chainPem);
  if (!chain.ok) return fail(`cert-chain.pem: ${chain.error}`);
  const [certificate] = signing.value;
  if (certificate === undefined) return fail('ca-cert.pem: not a certificate');
  const path = pathToRoot(certificate, chain.value, roots.value);
  if (path === undefined)
    return fail('no path leads from ca-cert.pem through cert-chain.pem to root-cert.pem');
  const [root] = path.slice(-1);
  if (root === undefined) return fail('there is no root');
  const late = path.find((one) => !isValidAt(one, nowUnixMs));
  if (late !== undefined) {
    const isOver = late.notAfterUnixMs <= nowUnixMs;
    const when = isOver ? `ended on ${time(late.notAfterUnixMs)}` : `begins on ${time(late.notBeforeUnixMs)}`;
    return fail(`the certificate of ${late.subject} ${when}`);
  }
  const between = path.slice(0, -1);
  const issuing = between.length === 0 ? path : between;
  const pem = (list: readonly Certificate[]): string => list.map((one) => one.pem).join('');
  const authority = makeSigningAuthority(pem(issuing), texts.privateKey, root.pem);
  if (!authority.ok) return authority;
  const revocations = readRevocations(texts.revocationsPem ?? '', path, nowUnixMs);
  if (!revocations.ok) return fail(`ca-crl.pem: ${revocations.error}`);
  return ok({
    authority: authority.value,
    rootsPem: pem(roots.value),
    issuers: path,
    revocations: revocations.value,
  });
}

/** True when both sign the same way and believe the same roots. */
export function isSameAuthority(one: AuthorityMaterial, other: AuthorityMaterial): boolean {
  return authorityKey(one) === authorityKey(other);
}

/** Changes whenever something of the material does. */
export function materialKey(material: AuthorityMaterial): string {
  return [authorityKey(material), ...material.revocations.map(({ pem }) => pem)].join('\n');
}

function authorityKey({ authority, rootsPem }: AuthorityMaterial): string {
  return [authority.certificate.fingerprint, ...authority.intermediatePems, rootsPem].join('\n');
}

/** Envoy takes lists only where there is one of each authority on the path. Source: as above, Verify. */
function readRevocations(
  pem: string,
  path: readonly Certificate[],
  nowUnixMs: number,
): Result<readonly RevocationList[], string> {
  if (pem.trim() === '') return ok([]);
  const lists = parseRevocationLists(pem);
  if (!lists.ok) return lists;
  for (const issuer of path) {
    const own = lists.value.filter((list) => isIssuedBy(list, issuer));
    if (own.length === 0) return fail(`there is no revocation list of ${issuer.subject}`);
    if (!maySignLists(issuer)) return fail(`${issuer.subject} may not sign revocation lists`);
    if (own.every((list) => isOver(list, nowUnixMs)))
      return fail(`the revocation list of ${issuer.subject} is over`);
  }
  return lists;
}

/** The signing certificate first, a root last; undefined when there is no such path. */
function pathToRoot(
  certificate: Certificate,
  chain: readonly Certificate[],
  roots: readonly Certificate[],
): readonly Certificate[] | undefined {
  const path = [certificate];
  for (let at = certificate; path.length <= MAX_PATH_LENGTH; ) {
    const isRoot = roots.some(({ fingerprint }) => fingerprint === at.fingerprint);
    if (isRoot) return path;
    const issuer = [...roots, ...chain].find((one) => one.fingerprint !== at.fingerprint && issued(one, at));
    if (issuer === undefined) return undefined;
    path.push(issuer);
    at = issuer;
  }
  return undefined;
}

/** Envoy takes no list of an authority whose certificate does not allow it. Source: RFC 5280 6.3.3 (f). */
function maySignLists({ x509 }: Certificate): boolean {
  const usages = new X509Certificate(x509.raw).getExtension(KeyUsagesExtension);
  return usages === null || (usages.usages & KeyUsageFlags.cRLSign) !== 0;
}

function issued(issuer: Certificate, child: Certificate): boolean {
  return (
    issuer.isAuthority && child.x509.checkIssued(issuer.x509) && child.x509.verify(issuer.x509.publicKey)
  );
}

function time(unixMs: number): string {
  return new Date(unixMs).toISOString();
}
