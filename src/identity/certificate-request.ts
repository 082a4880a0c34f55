/**
 * Reads PKCS#10 requests in the control plane. A request is hostile: its size, its depth and its names are bounded
 * before anything is believed, and the signature must prove that the sender holds the key. Nothing but the public
 * key and the asked names leaves here; the signer decides all else.
 * Source: RFC 2986 4.1, 4.2; RFC 2985 5.4.2 (extensionRequest); RFC 5280 4.2.1.6 (names).
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { fail, ok, type Result } from '#base/result.ts';
import { contentsOf, DerError, type DerElement, readElements, readOid } from './der-reader.ts';
import { parsePem } from './pem.ts';

/** One name that the request asks for, kind as in RFC 5280 (`url`, `dns`, `ip`, `email` …); an address in hex. */
export interface RequestedName {
  readonly kind: string;
  readonly value: string;
}

/** What a request asks, its signature checked. */
export interface CertificateRequest {
  readonly publicKey: KeyObject;
  readonly names: readonly RequestedName[];
  /** It asks for nothing but names: an empty subject, and no extension but that of names. */
  readonly isPlain: boolean;
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
const maxAttributes = 16;
const maxExtensions = 32;
const extensionRequestOid = '1.2.840.113549.1.9.14';
const subjectAltNameOid = '2.5.29.17';
const curves = ['prime256v1', 'secp384r1', 'secp521r1'];
const rsaBits = { min: 2048, max: 8192 };
const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  sequence: 0x30,
  set: 0x31,
  attributes: 0xa0,
};
/** GeneralName by tag; other kinds have no name here. */
const nameKinds: ReadonlyMap<number, string> = new Map([
  [0x81, 'email'],
  [0x82, 'dns'],
  [0x86, 'url'],
  [0x87, 'ip'],
]);
/** How a request may be signed: kind of key and hash. */
const signatures: ReadonlyMap<string, readonly [keyType: string, hash: string]> = new Map([
  ['1.2.840.10045.4.3.2', ['ec', 'sha256']],
  ['1.2.840.10045.4.3.3', ['ec', 'sha384']],
  ['1.2.840.10045.4.3.4', ['ec', 'sha512']],
  ['1.2.840.113549.1.1.11', ['rsa', 'sha256']],
  ['1.2.840.113549.1.1.12', ['rsa', 'sha384']],
  ['1.2.840.113549.1.1.13', ['rsa', 'sha512']],
]);

/** Reads and checks one PEM request. Errors: CertificateRequestError. Cost: one signature check. */
export function parseCertificateRequest(pem: string): Result<CertificateRequest, CertificateRequestError> {
  if (pem.length > maxPemLength) return fail('request is too large');
  const blocks = parsePem(pem);
  if (!blocks.ok || blocks.value.length !== 1) return fail('not a certificate request');
  const block = blocks.value[0];
  if (block?.label !== 'CERTIFICATE REQUEST' && block?.label !== 'NEW CERTIFICATE REQUEST') {
    return fail('not a certificate request');
  }
  try {
    return check(readParts(block.bytes));
  } catch (error) {
    if (error instanceof DerError) return fail('not a certificate request');
    throw error;
  }
}

interface RequestParts {
  /** What is signed, whole. */
  readonly info: Uint8Array;
  /** SubjectPublicKeyInfo, whole. */
  readonly keyInfo: Uint8Array;
  readonly names: readonly RequestedName[];
  readonly isPlain: boolean;
  readonly algorithm: string;
  readonly signature: Uint8Array;
}

function readParts(bytes: Uint8Array): RequestParts {
  const [outer, ...behind] = readElements(bytes, 2);
  if (behind.length > 0) throw new DerError('something behind the request');
  const [info, algorithm, signature, ...more] = readElements(contentsOf(outer, tags.sequence), 3);
  if (info === undefined || more.length > 0) throw new DerError('not a request');
  const [version, subject, keyInfo, attributes] = readElements(contentsOf(info, tags.sequence), 4);
  contentsOf(version, tags.integer);
  const subjectBytes = contentsOf(subject, tags.sequence);
  contentsOf(keyInfo, tags.sequence);
  const [oid] = readElements(contentsOf(algorithm, tags.sequence), 2);
  const bits = contentsOf(signature, tags.bitString);
  if (bits[0] !== 0) throw new DerError('not a signature');
  const asked = readAttributes(
    attributes === undefined ? new Uint8Array() : contentsOf(attributes, tags.attributes),
  );
  return {
    info: info.whole,
    keyInfo: keyInfo?.whole ?? new Uint8Array(),
    names: asked.names,
    isPlain: isEmptySubject(subjectBytes) && asked.isPlain,
    algorithm: readOid(oid),
    signature: bits.subarray(1),
  };
}

/** Nothing, or Istio's empty organization. Source: Istio security/pkg/pki/util GenCSRTemplate. */
function isEmptySubject(contents: Uint8Array): boolean {
  return contents.length === 0 || Buffer.from(contents).toString('hex') === '31093007060355040a1300';
}

/** Names of the one request for extensions that there may be, and of its SAN; plain when there is nothing else. */
function readAttributes(attributes: Uint8Array): Pick<RequestParts, 'names' | 'isPlain'> {
  const all = readElements(attributes, maxAttributes).map((attribute) =>
    readElements(contentsOf(attribute, tags.sequence), 2),
  );
  const requests = all.filter(([oid]) => readOid(oid) === extensionRequestOid);
  const [request, ...others] = requests;
  if (others.length > 0) throw new DerError('several requests for extensions');
  if (request === undefined) return { names: [], isPlain: all.length === 0 };
  const [extensions, ...more] = readElements(contentsOf(request[1], tags.set), 2);
  if (more.length > 0) throw new DerError('several lists of extensions');
  const asked = readElements(contentsOf(extensions, tags.sequence), maxExtensions).map((extension) =>
    readElements(contentsOf(extension, tags.sequence), 3),
  );
  const sans = asked.filter(([oid]) => readOid(oid) === subjectAltNameOid);
  const names = sans.flatMap((san) => readAltNames(extensionValue(san)));
  return { names, isPlain: all.length === 1 && asked.length === sans.length && sans.length <= 1 };
}

/** Behind the identifier, and the word on whether it is critical. */
function extensionValue(extension: readonly DerElement[]): Uint8Array {
  const [, second, third] = extension;
  if (third === undefined) return contentsOf(second, tags.octetString);
  contentsOf(second, tags.boolean);
  return contentsOf(third, tags.octetString);
}

function readAltNames(value: Uint8Array): readonly RequestedName[] {
  const [names, ...more] = readElements(value, 2);
  if (more.length > 0) throw new DerError('not a list of names');
  return readElements(contentsOf(names, tags.sequence), maxPemLength).map(({ tag, contents }) => {
    const kind = nameKinds.get(tag) ?? 'other';
    return { kind, value: Buffer.from(contents).toString(kind === 'ip' ? 'hex' : 'latin1') };
  });
}

function check(parts: RequestParts): Result<CertificateRequest, CertificateRequestError> {
  const { names, isPlain, keyInfo } = parts;
  if (names.length > maxNames) return fail('too many names');
  const publicKey = readKey(keyInfo);
  if (publicKey === undefined || !isSupported(publicKey)) return fail('unsupported key');
  if (!isSigned(parts, publicKey)) return fail('signature does not match the key');
  return ok({ publicKey, names, isPlain });
}

function readKey(keyInfo: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.from(keyInfo), format: 'der', type: 'spki' });
  } catch {
    return undefined;
  }
}

function isSupported(key: KeyObject): boolean {
  const details = key.asymmetricKeyDetails;
  if (key.asymmetricKeyType === 'ec') return curves.includes(details?.namedCurve ?? '');
  const bits = details?.modulusLength ?? 0;
  return key.asymmetricKeyType === 'rsa' && bits >= rsaBits.min && bits <= rsaBits.max;
}

function isSigned({ info, algorithm, signature }: RequestParts, key: KeyObject): boolean {
  const [keyType, hash = ''] = signatures.get(algorithm) ?? [];
  return keyType === key.asymmetricKeyType && verify(hash, info, key, signature);
}
