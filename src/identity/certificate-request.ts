/**
 * Reads PKCS#10 requests in the control plane. A request is hostile: its size, its depth and its names are bounded
 * before anything is believed, and the signature must prove that the sender holds the key. Nothing but the public
 * key and the asked names leaves here; the signer decides all else. Heavy (@peculiar/x509): never in the agent.
 */
import 'reflect-metadata';
import { createPublicKey, type KeyObject } from 'node:crypto';
import { Pkcs10CertificateRequest, type PublicKey, SubjectAlternativeNameExtension } from '@peculiar/x509';
import { fail, ok, type Result } from '#base/result.ts';
import { parsePem } from './pem.ts';

/** One name that the request asks for, kind as in RFC 5280 (`url`, `dns`, `ip`, `email` …). */
export interface RequestedName {
  readonly kind: string;
  readonly value: string;
}

/** What a request asks, its signature checked. */
export interface CertificateRequest {
  readonly publicKey: PublicKey;
  readonly names: readonly RequestedName[];
}

/** Why a request is refused; safe to send back. */
export type CertificateRequestError =
  | 'request is too large'
  | 'not a certificate request'
  | 'too many names'
  | 'unsupported key'
  | 'signature does not match the key';

const maxPemLength = 16 * 1024;
const maxNames = 8;
const parseLimits = { berOptions: { maxDepth: 24, maxNodes: 500 } };
const extensionRequestOid = '1.2.840.113549.1.9.14';
const subjectAltNameOid = '2.5.29.17';
const curves = ['prime256v1', 'secp384r1', 'secp521r1'];
const rsaBits = { min: 2048, max: 8192 };

/** Reads and checks one PEM request. Errors: CertificateRequestError. Cost: one signature check. */
export async function parseCertificateRequest(
  pem: string,
): Promise<Result<CertificateRequest, CertificateRequestError>> {
  if (pem.length > maxPemLength) return fail('request is too large');
  const blocks = parsePem(pem);
  if (!blocks.ok || blocks.value.length !== 1) return fail('not a certificate request');
  const block = blocks.value[0];
  if (block?.label !== 'CERTIFICATE REQUEST' && block?.label !== 'NEW CERTIFICATE REQUEST') {
    return fail('not a certificate request');
  }
  try {
    return await check(new Pkcs10CertificateRequest(new Uint8Array(block.bytes), parseLimits));
  } catch {
    return fail('not a certificate request');
  }
}

async function check(
  request: Pkcs10CertificateRequest,
): Promise<Result<CertificateRequest, CertificateRequestError>> {
  if (request.getAttributes(extensionRequestOid).length > 1) return fail('not a certificate request');
  const sans = request.getExtensions(subjectAltNameOid);
  const names = [...sans].flatMap((san) => [
    ...new SubjectAlternativeNameExtension(san.rawData, parseLimits).names.items,
  ]);
  if (names.length > maxNames) return fail('too many names');
  const key = createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: 'der', type: 'spki' });
  if (!isSupported(key)) return fail('unsupported key');
  if (!(await request.verify())) return fail('signature does not match the key');
  return ok({
    publicKey: request.publicKey,
    names: Array.from(names, (name) => ({ kind: name.type, value: name.value })),
  });
}

function isSupported(key: KeyObject): boolean {
  const details = key.asymmetricKeyDetails;
  if (key.asymmetricKeyType === 'ec') return curves.includes(details?.namedCurve ?? '');
  const bits = details?.modulusLength ?? 0;
  return key.asymmetricKeyType === 'rsa' && bits >= rsaBits.min && bits <= rsaBits.max;
}
