/**
 * A CA's certificate and key as one value, ready to sign. Made once when the CA starts: a certificate that is not
 * a CA's, or a key that does not belong to it, is refused here and not at the first workload.
 */
import 'reflect-metadata';
import { createHash, type KeyObject } from 'node:crypto';
import { SubjectKeyIdentifierExtension, X509Certificate } from '@peculiar/x509';
import { fail, ok, type Result } from '#base/result.ts';
import type { Secret } from '#base/secret.ts';
import { type Certificate, parseCertificates } from '#identity/certificate.ts';
import { type KeyPair, parsePrivateKey } from '#identity/key-pair.ts';
import type { LeafIssuer } from './leaf-certificate.ts';

/** What signs: the issuing certificate, what leads from it to the root, and its key. */
export interface SigningAuthority {
  readonly certificate: Certificate;
  /** The issuing certificate (if it is not the root) and those between it and the root. */
  readonly intermediatePems: readonly string[];
  readonly rootPem: string;
  readonly rootNotAfterUnixMs: number;
  readonly issuer: LeafIssuer;
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
  return ok({
    certificate,
    intermediatePems: chain.value.filter((one) => one.fingerprint !== root.fingerprint).map((one) => one.pem),
    rootPem: root.pem,
    rootNotAfterUnixMs: root.notAfterUnixMs,
    issuer: leafIssuer(new X509Certificate(certificate.x509.raw), keyPair.value),
  });
}

/** The certificate's own key id where it has one: verifiers that build paths by it compare the bytes. */
function leafIssuer(certificate: X509Certificate, { privateKey, publicKey }: KeyPair): LeafIssuer {
  const own = certificate.getExtension(SubjectKeyIdentifierExtension);
  const keyId =
    own === null ? createHash('sha1').update(keyBits(publicKey)).digest() : Buffer.from(own.keyId, 'hex');
  return { name: new Uint8Array(certificate.subjectName.toArrayBuffer()), keyId, key: privateKey };
}

/** What of a key its id is made of. Source: RFC 5280 4.2.1.2, method 1. */
function keyBits(key: KeyObject): Uint8Array {
  if (key.asymmetricKeyType === 'rsa') return key.export({ format: 'der', type: 'pkcs1' });
  const pointBytes = key.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 97 : 65;
  return key.export({ format: 'der', type: 'spki' }).subarray(-pointBytes);
}
