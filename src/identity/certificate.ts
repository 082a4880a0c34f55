/**
 * Reads certificates: who they name, when they end, which serial they carry. Used by the agent (what it got from
 * the CA) and by the control plane (what clients show); node:crypto parses, this file bounds and names.
 */
import { X509Certificate } from 'node:crypto';
import { fail, ok, type Result } from '#base/result.ts';
import { encodePem, parsePem } from './pem.ts';

/** What we need to know of one certificate. */
export interface Certificate {
  readonly pem: string;
  /** Lower-case hex without leading zeros, as Envoy's /certs prints it. */
  readonly serial: string;
  readonly subject: string;
  readonly issuer: string;
  readonly notBeforeUnixMs: number;
  readonly notAfterUnixMs: number;
  /** URI names of the SAN, in order. */
  readonly uris: readonly string[];
  readonly isAuthority: boolean;
  /** SHA-256 over the DER, lower-case hex; equal exactly for equal certificates. */
  readonly fingerprint: string;
  readonly x509: X509Certificate;
}

/** Why a text is no certificate chain. */
export type CertificateError = 'no PEM' | 'not a certificate' | 'too many certificates';

const maxChainLength = 20;

/** Reads every certificate of a PEM text, leaf first as it stands. Errors: CertificateError. */
export function parseCertificates(
  pem: string,
  limit: number = maxChainLength,
): Result<readonly Certificate[], CertificateError> {
  const blocks = parsePem(pem);
  if (!blocks.ok) return fail('no PEM');
  if (blocks.value.length > limit) return fail('too many certificates');
  const certificates: Certificate[] = [];
  for (const block of blocks.value) {
    const certificate = block.label === 'CERTIFICATE' ? readCertificate(block.bytes) : undefined;
    if (certificate === undefined) return fail('not a certificate');
    certificates.push(certificate);
  }
  return ok(certificates);
}

/** Reads one certificate from DER; undefined when the bytes are none. */
export function readCertificate(bytes: Uint8Array): Certificate | undefined {
  try {
    return describe(new X509Certificate(bytes));
  } catch {
    return undefined;
  }
}

/** Says whether a certificate holds at a time. */
export function isValidAt(certificate: Certificate, nowUnixMs: number): boolean {
  return certificate.notBeforeUnixMs <= nowUnixMs && nowUnixMs < certificate.notAfterUnixMs;
}

function describe(x509: X509Certificate): Certificate {
  return {
    pem: encodePem('CERTIFICATE', x509.raw),
    serial: x509.serialNumber.toLowerCase().replace(/^0+(?=.)/, ''),
    subject: x509.subject ?? '',
    issuer: x509.issuer ?? '',
    notBeforeUnixMs: x509.validFromDate.getTime(),
    notAfterUnixMs: x509.validToDate.getTime(),
    uris: uriNames(x509.subjectAltName ?? ''),
    isAuthority: x509.ca,
    fingerprint: x509.fingerprint256.replaceAll(':', '').toLowerCase(),
    x509,
  };
}

/**
 * The URI names in node's printed SAN (`DNS:a, URI:spiffe://b`). A name with a special character is printed as a
 * JSON string; such a name is no SPIFFE id, so it is decoded only to be seen, never split.
 */
function uriNames(printed: string): string[] {
  const uris: string[] = [];
  for (const match of printed.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g)) {
    const [, kind, value = ''] = match;
    if (kind === 'URI') uris.push(value.startsWith('"') ? unquote(value) : value);
  }
  return uris;
}

function unquote(json: string): string {
  try {
    return String(JSON.parse(json));
  } catch {
    return json;
  }
}
