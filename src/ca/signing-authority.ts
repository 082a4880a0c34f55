/**
 * A CA's certificate and key as one value, ready to sign. Made once when the CA starts: a certificate that is not
 * a CA's, or a key that does not belong to it, is refused here and not at the first workload.
 */
import 'reflect-metadata';
import type { webcrypto } from 'node:crypto';
import { X509Certificate } from '@peculiar/x509';
import { fail, ok, type Result } from '#base/result.ts';
import type { Secret } from '#base/secret.ts';
import { type Certificate, parseCertificates } from '#identity/certificate.ts';
import { parsePrivateKey } from '#identity/key-pair.ts';

/** What signs: the issuing certificate, what leads from it to the root, and its key. */
export interface SigningAuthority {
  readonly certificate: Certificate;
  readonly x509: X509Certificate;
  /** The issuing certificate (if it is not the root) and those between it and the root. */
  readonly intermediatePems: readonly string[];
  readonly rootPem: string;
  readonly rootNotAfterUnixMs: number;
  readonly key: webcrypto.CryptoKey;
}

/** Why certificates and key make no authority. */
export type AuthorityError =
  | 'the certificate cannot be read'
  | 'the private key cannot be read'
  | 'the certificate is not a CA certificate'
  | 'the private key does not belong to the certificate';

/** Makes an authority from PEM: the issuing certificate first in `chainPem`, the root last in `rootPem`. */
export function makeSigningAuthority(
  chainPem: string,
  keyPem: Secret,
  rootPem: string,
): Result<SigningAuthority, AuthorityError> {
  const chain = parseCertificates(chainPem);
  const roots = parseCertificates(rootPem);
  if (!chain.ok || !roots.ok) return fail('the certificate cannot be read');
  const [certificate] = chain.value;
  const root = roots.value.at(-1);
  if (certificate === undefined || root === undefined) return fail('the certificate cannot be read');
  const keyPair = parsePrivateKey(keyPem);
  if (!keyPair.ok) return fail('the private key cannot be read');
  if (!certificate.isAuthority) return fail('the certificate is not a CA certificate');
  if (!certificate.x509.checkPrivateKey(keyPair.value.privateKey)) {
    return fail('the private key does not belong to the certificate');
  }
  const key = keyPair.value.privateKey;
  const curve = key.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'P-384' : 'P-256';
  const algorithm =
    key.asymmetricKeyType === 'ec'
      ? { name: 'ECDSA', namedCurve: curve }
      : { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  return ok({
    certificate,
    x509: new X509Certificate(certificate.x509.raw),
    intermediatePems: chain.value.filter((one) => one.fingerprint !== root.fingerprint).map((one) => one.pem),
    rootPem: root.pem,
    rootNotAfterUnixMs: root.notAfterUnixMs,
    key: key.toCryptoKey(algorithm, false, ['sign']),
  });
}

/** How the authority's key signs: SHA-256, SHA-384 for P-384. */
export function signatureAlgorithm(authority: SigningAuthority): {
  readonly name: string;
  readonly hash: string;
} {
  const { algorithm } = authority.key;
  const isP384 = 'namedCurve' in algorithm && algorithm.namedCurve === 'P-384';
  return { name: algorithm.name, hash: isP384 ? 'SHA-384' : 'SHA-256' };
}
