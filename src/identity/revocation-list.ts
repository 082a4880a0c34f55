/**
 * Reads certificate revocation lists: who issued one, when it ends, which serials it revokes, and whether an authority signed it.
 * Strict DER by hand, with bounds; linear in the text. Lists for parts of certificates (deltas, distribution points) are not
 * understood by Envoy either and are refused.
 * Source: RFC 5280 5.1.
 */
import { type KeyObject, verify } from 'node:crypto';
import { fail, ok, type Result } from '#base/result.ts';
import type { Certificate } from './certificate.ts';
import { contentsOf, type DerElement, DerError, readElements, readOid } from './der-reader.ts';
import { encodePem, parsePem } from './pem.ts';

/** What we need to know of one list. */
export interface RevocationList {
  readonly pem: string;
  /** DER of the issuer's name. */
  readonly issuer: Buffer;
  readonly thisUpdateUnixMs: number;
  /** Infinity for a list that does not say. */
  readonly nextUpdateUnixMs: number;
  /** Lower-case hex without leading zeros, as certificates have them. */
  readonly serials: ReadonlySet<string>;
  readonly signed: Buffer;
  readonly hash: string;
  readonly signature: Buffer;
}

/** Why a text holds no revocation lists. */
export type RevocationListError = 'no PEM' | 'not a revocation list' | 'too many revocation lists';

/** As much as a ConfigMap holds. */
const MAX_TEXT_BYTES = 1 << 20;
const MAX_LISTS = 50;
const MAX_ENTRIES = 100_000;

const [SEQUENCE, SET, UTC_TIME, GENERALIZED_TIME, EXTENSIONS] = [0x30, 0x31, 0x17, 0x18, 0xa0];
const [BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING] = [0x01, 0x02, 0x03, 0x04];
/** UTF8String, PrintableString, TeletexString, IA5String, UniversalString, BMPString. */
const STRINGS: ReadonlySet<number> = new Set([0x0c, 0x13, 0x14, 0x16, 0x1c, 0x1e]);
const MAX_NAME_PARTS = 50;
/** Signatures with these hashes: ECDSA and RSA. */
const HASHES: ReadonlyMap<string, string> = new Map([
  ['1.2.840.10045.4.3.2', 'sha256'],
  ['1.2.840.10045.4.3.3', 'sha384'],
  ['1.2.840.10045.4.3.4', 'sha512'],
  ['1.2.840.113549.1.1.11', 'sha256'],
  ['1.2.840.113549.1.1.12', 'sha384'],
  ['1.2.840.113549.1.1.13', 'sha512'],
]);
/** What says nothing of the list's scope: its number, and the key that signed. Others may be there if they are not critical. */
const KNOWN_EXTENSIONS: ReadonlySet<string> = new Set(['2.5.29.20', '2.5.29.35']);
const DELTA_INDICATOR = '2.5.29.27';

/** Reads every list of a PEM text. Errors: RevocationListError; a text without any is an error too. */
export function parseRevocationLists(pem: string): Result<readonly RevocationList[], RevocationListError> {
  const blocks = parsePem(pem, MAX_TEXT_BYTES);
  if (!blocks.ok) return fail('no PEM');
  if (blocks.value.length > MAX_LISTS) return fail('too many revocation lists');
  const lists: RevocationList[] = [];
  for (const { label, bytes } of blocks.value) {
    const list = label === 'X509 CRL' ? readRevocationList(bytes) : undefined;
    if (list === undefined) return fail('not a revocation list');
    lists.push(list);
  }
  return ok(lists);
}

/** True when the authority issued and signed the list. */
export function isIssuedBy(list: RevocationList, { x509 }: Certificate): boolean {
  const subject = nameOf(x509.raw, 'subject');
  return subject !== undefined && list.issuer.equals(subject) && isSignedWith(list, x509.publicKey);
}

/** True when the list names the certificate. */
export function revokes(list: RevocationList, { x509, serial }: Certificate): boolean {
  return list.serials.has(serial) && nameOf(x509.raw, 'issuer')?.equals(list.issuer) === true;
}

/** True when the list is over at a time: whoever checks it then refuses everybody. */
export function isOver({ nextUpdateUnixMs }: RevocationList, nowUnixMs: number): boolean {
  return nextUpdateUnixMs <= nowUnixMs;
}

function isSignedWith({ hash, signed, signature }: RevocationList, key: KeyObject): boolean {
  try {
    return verify(hash, signed, key, signature);
  } catch {
    return false;
  }
}

function readRevocationList(bytes: Buffer): RevocationList | undefined {
  try {
    const [outer, ...behind] = readElements(bytes, 1);
    const parts = readElements(contentsOf(outer, SEQUENCE), 3);
    const [signed, algorithm, signature] = parts;
    const hash = HASHES.get(readAlgorithm(algorithm));
    const bits = contentsOf(signature, BIT_STRING);
    if (behind.length > 0 || hash === undefined || signed === undefined || bits[0] !== 0) return undefined;
    return {
      pem: encodePem('X509 CRL', bytes),
      ...readContent(signed),
      signed: Buffer.from(signed.whole),
      hash,
      signature: Buffer.from(bits.subarray(1)),
    };
  } catch (error) {
    if (error instanceof DerError) return undefined;
    throw error;
  }
}

/** AlgorithmIdentifier: its name; parameters are not looked at. */
function readAlgorithm(element: DerElement | undefined): string {
  return readOid(readElements(contentsOf(element, SEQUENCE), 2)[0]);
}

/** TBSCertList. */
function readContent(
  signed: DerElement,
): Pick<RevocationList, 'issuer' | 'thisUpdateUnixMs' | 'nextUpdateUnixMs' | 'serials'> {
  const fields = [...readElements(contentsOf(signed, SEQUENCE), 7)];
  if (fields[0]?.tag === INTEGER) fields.shift();
  const [algorithm, issuer, thisUpdate, ...rest] = fields;
  readAlgorithm(algorithm);
  checkName(issuer);
  const hasEnd = rest[0]?.tag === UTC_TIME || rest[0]?.tag === GENERALIZED_TIME;
  const nextUpdate = hasEnd ? rest.shift() : undefined;
  const entries = rest[0]?.tag === SEQUENCE ? rest.shift() : undefined;
  const extensions = rest.shift();
  if (rest.length > 0) throw new DerError('more than a list has');
  checkExtensions(extensions);
  return {
    issuer: Buffer.from(issuer?.whole ?? []),
    thisUpdateUnixMs: readTime(thisUpdate),
    nextUpdateUnixMs: nextUpdate === undefined ? Number.POSITIVE_INFINITY : readTime(nextUpdate),
    serials: new Set(entries === undefined ? [] : readElements(entries.contents, MAX_ENTRIES).map(readEntry)),
  };
}

/** Name: sets of pairs of an attribute's name and its value. */
function checkName(name: DerElement | undefined): void {
  for (const set of readElements(contentsOf(name, SEQUENCE), MAX_NAME_PARTS)) {
    for (const pair of readElements(contentsOf(set, SET), MAX_NAME_PARTS)) {
      const [attribute, value, ...rest] = readElements(contentsOf(pair, SEQUENCE), 2);
      readOid(attribute);
      if (value === undefined || !STRINGS.has(value.tag) || rest.length > 0) throw new DerError('no name');
    }
  }
}

function readEntry(entry: DerElement): string {
  const [serial, date, extensions] = readElements(contentsOf(entry, SEQUENCE), 3);
  const bytes = contentsOf(serial, INTEGER);
  if (bytes.length === 0) throw new DerError('no serial number');
  readTime(date);
  if (extensions !== undefined) readExtensions(extensions);
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/^0+(?=.)/, '');
}

function checkExtensions(extensions: DerElement | undefined): void {
  if (extensions === undefined) return;
  const [list, ...rest] = readElements(contentsOf(extensions, EXTENSIONS), 2);
  if (list === undefined || rest.length > 0) throw new DerError('not extensions');
  for (const { oid, isCritical } of readExtensions(list)) {
    if (oid === DELTA_INDICATOR || (isCritical && !KNOWN_EXTENSIONS.has(oid)))
      throw new DerError('a list for a part of what was issued');
  }
}

function readExtensions(list: DerElement): readonly { readonly oid: string; readonly isCritical: boolean }[] {
  return readElements(contentsOf(list, SEQUENCE), 20).map((extension) => {
    const [id, ...rest] = readElements(contentsOf(extension, SEQUENCE), 3);
    const critical = rest[0]?.tag === BOOLEAN ? rest.shift() : undefined;
    contentsOf(rest.shift(), OCTET_STRING);
    if (rest.length > 0) throw new DerError('not an extension');
    return { oid: readOid(id), isCritical: critical !== undefined && critical.contents[0] !== 0 };
  });
}

/** UTCTime or GeneralizedTime in Zulu, with seconds. Source: RFC 5280 4.1.2.5. */
function readTime(element: DerElement | undefined): number {
  const isLong = element?.tag === GENERALIZED_TIME;
  const text = Buffer.from(contentsOf(element, isLong ? GENERALIZED_TIME : UTC_TIME)).toString('latin1');
  const match = /^(\d{2,4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  if (match === null || text.length !== (isLong ? 15 : 13)) throw new DerError('not a time');
  const [year = 0, month = 0, ...rest] = match.slice(1).map(Number);
  const [day = 0, hour = 0, minute = 0, second = 0] = rest;
  const fullYear = isLong ? year : year + (year < 50 ? 2000 : 1900);
  const time = Date.UTC(fullYear, month - 1, day, hour, minute, second);
  if (new Date(time).getUTCMonth() !== month - 1) throw new DerError('not a time');
  return time;
}

/** A name in a certificate that has been parsed already, DER; undefined when it is not found. */
function nameOf(der: Buffer, which: 'issuer' | 'subject'): Buffer | undefined {
  try {
    const [certificate] = readElements(der, 1);
    const [signed] = readElements(contentsOf(certificate, SEQUENCE), 3);
    const fields = [...readElements(contentsOf(signed, SEQUENCE), 10)];
    // The version is not there in the oldest form.
    if (fields[0]?.tag === 0xa0) fields.shift();
    const name = fields[which === 'issuer' ? 2 : 4];
    return name === undefined ? undefined : Buffer.from(name.whole);
  } catch {
    return undefined;
  }
}
