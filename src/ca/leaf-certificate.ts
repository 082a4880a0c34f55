/**
 * Certificates of workloads and servers as DER, written by hand: the general library takes two milliseconds of CPU for one, and a
 * mesh that comes back asks for thousands at once. What they hold is fixed, and everything in them was checked before.
 * Cost: the signature and some ten microseconds. Source: RFC 5280 4.1, 4.2.1; extensions and their order as Istio's CA has them.
 */
import { type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { parseIp } from '#base/cidr.ts';
import { der, derBitString, derOctetString, derOid, derSequence, derSet } from '#identity/der.ts';
import type { SubjectAttribute } from './workload-facts.ts';

/** A name in the SAN. */
export interface LeafName {
  readonly type: 'uri' | 'dns' | 'ip';
  readonly value: string;
}

/** What is certified. */
export interface LeafContent {
  /** Positive, without a leading zero byte. */
  readonly serial: Uint8Array;
  readonly notBeforeUnixMs: number;
  readonly notAfterUnixMs: number;
  readonly subject: readonly SubjectAttribute[];
  readonly publicKey: KeyObject;
  readonly names: readonly LeafName[];
}

/** Who certifies it, in the parts that every certificate repeats. */
export interface LeafIssuer {
  /** The issuer's subject, DER as it stands in its own certificate: verifiers compare bytes. */
  readonly name: Uint8Array;
  /** The issuer's key id. */
  readonly keyId: Uint8Array;
  readonly key: KeyObject;
}

const TAGS = {
  boolean: 0x01,
  integer: 0x02,
  null: 0x05,
  utf8: 0x0c,
  printable: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
  keyId: 0x80,
  version: 0xa0,
  extensions: 0xa3,
} as const;
/** GeneralName by kind. */
const NAME_TAGS: Readonly<Record<LeafName['type'], number>> = { dns: 0x82, uri: 0x86, ip: 0x87 };
const VERSION_3 = der(TAGS.version, der(TAGS.integer, Uint8Array.of(2)));
const CRITICAL = der(TAGS.boolean, Uint8Array.of(0xff));
/** What a value may hold to be a PrintableString. */
const PRINTABLE = /^[A-Za-z0-9 '()+,./:=?-]*$/;
/** Years that UTCTime can tell. Source: RFC 5280 4.1.2.5. */
const UTC_TIME_END = 2050;

const ECDSA_SHA256 = derSequence(derOid('1.2.840.10045.4.3.2'));
const ECDSA_SHA384 = derSequence(derOid('1.2.840.10045.4.3.3'));
const RSA_SHA256 = derSequence(derOid('1.2.840.113549.1.1.11'), der(TAGS.null));

const SUBJECT_ALT_NAME = derOid('2.5.29.17');
const AUTHORITY_KEY_ID = derOid('2.5.29.35');
/** No CA; signs and exchanges keys; for clients and servers. */
const FIXED_EXTENSIONS: readonly Uint8Array[] = [
  extension(derOid('2.5.29.19'), CRITICAL, derSequence()),
  extension(derOid('2.5.29.15'), CRITICAL, Uint8Array.of(0x03, 0x02, 0x05, 0xa0)),
  extension(
    derOid('2.5.29.37'),
    new Uint8Array(),
    derSequence(derOid('1.3.6.1.5.5.7.3.1'), derOid('1.3.6.1.5.5.7.3.2')),
  ),
];

/** Off the event loop: an RSA key takes milliseconds. */
const signAsync = promisify(sign);

/** Signs a certificate and gives its DER. */
export async function signLeaf(content: LeafContent, issuer: LeafIssuer): Promise<Uint8Array> {
  const { algorithm, hash } = signatureOf(issuer.key);
  const body = derSequence(
    VERSION_3,
    der(TAGS.integer, content.serial),
    algorithm,
    issuer.name,
    derSequence(time(content.notBeforeUnixMs), time(content.notAfterUnixMs)),
    derSequence(...content.subject.map(attribute)),
    content.publicKey.export({ format: 'der', type: 'spki' }),
    der(TAGS.extensions, derSequence(...FIXED_EXTENSIONS, authorityKeyId(issuer), subjectAltName(content))),
  );
  return derSequence(body, algorithm, derBitString(await signAsync(hash, body, issuer.key)));
}

/** SHA-256, SHA-384 for P-384. */
function signatureOf(key: KeyObject): { readonly algorithm: Uint8Array; readonly hash: string } {
  if (key.asymmetricKeyType !== 'ec') return { algorithm: RSA_SHA256, hash: 'sha256' };
  const isP384 = key.asymmetricKeyDetails?.namedCurve === 'secp384r1';
  return isP384 ? { algorithm: ECDSA_SHA384, hash: 'sha384' } : { algorithm: ECDSA_SHA256, hash: 'sha256' };
}

function extension(oid: Uint8Array, critical: Uint8Array, value: Uint8Array): Uint8Array {
  return derSequence(oid, critical, derOctetString(value));
}

function authorityKeyId({ keyId }: LeafIssuer): Uint8Array {
  return extension(AUTHORITY_KEY_ID, new Uint8Array(), derSequence(der(TAGS.keyId, keyId)));
}

/** Critical, since the subject may be empty. */
function subjectAltName({ names }: LeafContent): Uint8Array {
  const items = names.map(({ type, value }) => der(NAME_TAGS[type], nameBytes(type, value)));
  return extension(SUBJECT_ALT_NAME, CRITICAL, derSequence(...items));
}

function nameBytes(type: LeafName['type'], value: string): Uint8Array {
  if (type !== 'ip') return Buffer.from(value, 'latin1');
  const bytes = parseIp(value);
  if (bytes === undefined) throw new Error(`${value} is no IP address`);
  return bytes;
}

function attribute({ oid, value }: SubjectAttribute): Uint8Array {
  const tag = PRINTABLE.test(value) ? TAGS.printable : TAGS.utf8;
  return derSet(derSequence(derOid(oid), der(tag, Buffer.from(value))));
}

function time(unixMs: number): Uint8Array {
  const digits = new Date(unixMs).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '');
  const isUtc = Number(digits.slice(0, 4)) < UTC_TIME_END;
  return der(
    isUtc ? TAGS.utcTime : TAGS.generalizedTime,
    Buffer.from(`${isUtc ? digits.slice(2) : digits}Z`),
  );
}
