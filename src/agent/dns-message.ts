/**
 * DNS messages as far as a proxy needs them: the question of a query, answers of its own, and the few bytes that change when
 * a message is passed on; everything else stays as it came, so that record types nobody knew pass too. Input is hostile:
 * one pass, every length checked, and no pointer of compressed names is ever followed.
 * Source: RFC 1035 section 4, RFC 6891 (EDNS), RFC 2181 section 9 (truncation).
 */

export const TYPE_A = 1;
export const TYPE_CNAME = 5;
export const TYPE_AAAA = 28;
const TYPE_OPT = 41;
const CLASS_IN = 1;

export const RCODE_OK = 0;
export const RCODE_FORMAT_ERROR = 1;
export const RCODE_SERVER_FAILURE = 2;
export const RCODE_NOT_IMPLEMENTED = 4;

const HEADER_BYTES = 12;
const MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;
/** Without EDNS no more may be sent in a datagram. */
const MIN_DATAGRAM_BYTES = 512;
/** What travels unfragmented nearly everywhere, told to clients that ask with EDNS. Source: DNS flag day 2020. */
const OWN_DATAGRAM_BYTES = 1232;
export const MAX_MESSAGE_BYTES = 65_535;

const FLAG_RESPONSE = 0x8000;
const FLAG_AUTHORITATIVE = 0x0400;
const FLAG_TRUNCATED = 0x0200;
const FLAG_RECURSION_DESIRED = 0x0100;
const FLAG_RECURSION_AVAILABLE = 0x0080;
const OPCODE_MASK = 0x7800;
const RCODE_MASK = 0x000f;

/** A query that can be answered. */
export interface DnsQuery {
  readonly bytes: Buffer;
  /** Lower case, with the dot at its end. A label with a dot or a byte beyond ASCII in it stands for no host name: '' then. */
  readonly name: string;
  readonly type: number;
  /** Where the question ends. */
  readonly questionEnd: number;
  readonly hasEdns: boolean;
  /** The longest datagram that the client takes. */
  readonly datagramBytes: number;
}

/** A message that is none: what to answer, or nothing at all. */
export interface DnsRefusal {
  readonly rcode: number | undefined;
}

/** An answer of our own. */
export interface DnsAnswer {
  readonly rcode: number;
  readonly isAuthoritative: boolean;
  /** The name that the question's name stands for, with the dot at its end; the addresses are those of that name then. */
  readonly canonicalName: string | undefined;
  /** 4 or 16 bytes each. */
  readonly addresses: readonly Uint8Array[];
  readonly ttlSeconds: number;
}

/** Reads a query. Cost: one pass. */
export function readQuery(bytes: Buffer): DnsQuery | DnsRefusal {
  if (bytes.length < HEADER_BYTES) return { rcode: undefined };
  const flags = bytes.readUInt16BE(2);
  // A response here would be an answer to a question that nobody asked: answering it could go on for ever.
  if ((flags & FLAG_RESPONSE) !== 0) return { rcode: undefined };
  if ((flags & OPCODE_MASK) !== 0) return { rcode: RCODE_NOT_IMPLEMENTED };
  if (bytes.readUInt16BE(4) !== 1) return { rcode: RCODE_FORMAT_ERROR };
  const labels = readLabels(bytes, HEADER_BYTES);
  if (labels === undefined || labels.end + 4 > bytes.length) return { rcode: RCODE_FORMAT_ERROR };
  const questionEnd = labels.end + 4;
  const edns = readEdns(bytes, questionEnd);
  if (edns === undefined) return { rcode: RCODE_FORMAT_ERROR };
  const isInternet = bytes.readUInt16BE(labels.end + 2) === CLASS_IN;
  return {
    bytes,
    name: isInternet ? labels.name : '',
    type: bytes.readUInt16BE(labels.end),
    questionEnd,
    hasEdns: edns.datagramBytes > 0,
    datagramBytes: Math.max(MIN_DATAGRAM_BYTES, edns.datagramBytes),
  };
}

interface Labels {
  readonly name: string;
  /** Behind the name. */
  readonly end: number;
}

/** A name without compression, as questions have it. */
function readLabels(bytes: Buffer, start: number): Labels | undefined {
  const labels: string[] = [];
  let isHostName = true;
  for (let at = start; at < bytes.length && at - start < MAX_NAME_BYTES; ) {
    const length = bytes[at] ?? 0;
    if (length === 0) return { name: isHostName ? `${labels.join('.')}.` : '', end: at + 1 };
    if (length > MAX_LABEL_BYTES) return undefined;
    const label = bytes.subarray(at + 1, at + 1 + length);
    if (label.length < length) return undefined;
    if (label.some((byte) => byte === 0x2e || byte > 0x7e)) isHostName = false;
    labels.push(label.toString('latin1').toLowerCase());
    at += 1 + length;
  }
  return undefined;
}

/** The size in the OPT record, 0 without one; undefined when the rest of the message is broken. */
function readEdns(bytes: Buffer, start: number): { readonly datagramBytes: number } | undefined {
  const records = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10);
  let at = start;
  let datagramBytes = 0;
  for (let i = 0; i < records; i++) {
    const fields = skipName(bytes, at);
    if (fields === undefined || fields + 10 > bytes.length) return undefined;
    if (bytes.readUInt16BE(fields) === TYPE_OPT) datagramBytes = bytes.readUInt16BE(fields + 2);
    at = fields + 10 + bytes.readUInt16BE(fields + 8);
    if (at > bytes.length) return undefined;
  }
  return { datagramBytes };
}

/** Behind a name that may end in a pointer. */
function skipName(bytes: Buffer, start: number): number | undefined {
  for (let at = start; at < bytes.length && at - start < MAX_NAME_BYTES; ) {
    const length = bytes[at] ?? 0;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    if (length > MAX_LABEL_BYTES) return undefined;
    at += 1 + length;
  }
  return undefined;
}

/** Encodes an answer of at most `limitBytes`: addresses that do not fit are left out, and the answer says so. */
export function encodeAnswer(query: DnsQuery, answer: DnsAnswer, limitBytes: number): Buffer {
  const alias = answer.canonicalName === undefined ? undefined : encodeName(answer.canonicalName);
  const fixedBytes =
    query.questionEnd + (alias === undefined ? 0 : 12 + alias.length) + (query.hasEdns ? 11 : 0);
  const recordBytes = 12 + (answer.addresses[0]?.length ?? 0);
  const room = Math.max(0, Math.floor((limitBytes - fixedBytes) / recordBytes));
  const kept = answer.addresses.slice(0, room);
  const parts: Uint8Array[] = [Buffer.from(query.bytes.subarray(0, query.questionEnd))];
  // Names are pointers: the question's lies behind the header, the alias behind its record's fixed fields.
  let owner = HEADER_BYTES;
  if (alias !== undefined) {
    parts.push(recordHead(owner, TYPE_CNAME, answer.ttlSeconds, alias.length), alias);
    owner = query.questionEnd + 12;
  }
  for (const address of kept) {
    const type = address.length === 4 ? TYPE_A : TYPE_AAAA;
    parts.push(recordHead(owner, type, answer.ttlSeconds, address.length), address);
  }
  if (query.hasEdns) parts.push(optRecord());
  const message = Buffer.concat(parts);
  const isTruncated = kept.length < answer.addresses.length;
  writeHeader(message, query, {
    rcode: answer.rcode,
    flags: (answer.isAuthoritative ? FLAG_AUTHORITATIVE : 0) | (isTruncated ? FLAG_TRUNCATED : 0),
    answers: kept.length + (alias === undefined ? 0 : 1),
  });
  return message;
}

/** An answer that says only that there is none. */
export function encodeFailure(query: DnsQuery, rcode: number): Buffer {
  const none = { canonicalName: undefined, addresses: [], ttlSeconds: 0, isAuthoritative: false };
  return encodeAnswer(query, { ...none, rcode }, MAX_MESSAGE_BYTES);
}

/** The same to a message that could not be read: its header alone. */
export function encodeRefusal(bytes: Buffer, rcode: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  bytes.copy(header, 0, 0, 4);
  const kept = header.readUInt16BE(2) & (OPCODE_MASK | FLAG_RECURSION_DESIRED);
  header.writeUInt16BE(FLAG_RESPONSE | kept | rcode, 2);
  return header;
}

interface ResponseHeader {
  readonly rcode: number;
  readonly flags: number;
  readonly answers: number;
}

function writeHeader(message: Buffer, query: DnsQuery, { rcode, flags, answers }: ResponseHeader): void {
  const asked = query.bytes.readUInt16BE(2) & FLAG_RECURSION_DESIRED;
  message.writeUInt16BE(FLAG_RESPONSE | FLAG_RECURSION_AVAILABLE | asked | flags | rcode, 2);
  message.writeUInt16BE(1, 4);
  message.writeUInt16BE(answers, 6);
  message.writeUInt16BE(0, 8);
  message.writeUInt16BE(query.hasEdns ? 1 : 0, 10);
}

/** Name (a pointer), type, class, TTL and length of a record. */
function recordHead(owner: number, type: number, ttlSeconds: number, length: number): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc000 | owner, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(CLASS_IN, 4);
  head.writeUInt32BE(ttlSeconds, 6);
  head.writeUInt16BE(length, 10);
  return head;
}

function optRecord(): Buffer {
  const record = Buffer.alloc(11);
  record.writeUInt16BE(TYPE_OPT, 1);
  record.writeUInt16BE(OWN_DATAGRAM_BYTES, 3);
  return record;
}

function encodeName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  const parts = labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label, 'latin1')]);
  return Buffer.concat([...parts, Buffer.of(0)]);
}

/** The query under another id. */
export function withId(bytes: Buffer, id: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** True when the message answers that query, sent under that id. Names are compared without regard to case. */
export function isAnswerTo(message: Buffer, query: DnsQuery, id: number): boolean {
  if (message.length < HEADER_BYTES || message.readUInt16BE(0) !== id) return false;
  const flags = message.readUInt16BE(2);
  if ((flags & FLAG_RESPONSE) === 0 || (flags & OPCODE_MASK) !== 0) return false;
  // Some servers leave the question out of a refusal.
  if (message.readUInt16BE(4) === 0) return (flags & RCODE_MASK) !== RCODE_OK;
  if (message.readUInt16BE(4) !== 1) return false;
  const asked = query.bytes.toString('latin1', HEADER_BYTES, query.questionEnd).toLowerCase();
  return message.toString('latin1', HEADER_BYTES, query.questionEnd).toLowerCase() === asked;
}

/** True when an answer says that it could not be sent whole. */
export function isTruncated(message: Buffer): boolean {
  return message.length >= HEADER_BYTES && (message.readUInt16BE(2) & FLAG_TRUNCATED) !== 0;
}

/** An answer from upstream as the client gets it: under its own id, and cut to nothing where it is too long for it. */
export function relayedAnswer(message: Buffer, query: DnsQuery, limitBytes: number): Buffer {
  const id = query.bytes.readUInt16BE(0);
  if (message.length <= limitBytes) return withId(message, id);
  const cut = Buffer.from(query.bytes.subarray(0, query.questionEnd));
  cut.writeUInt16BE(message.readUInt16BE(2) | FLAG_TRUNCATED, 2);
  for (const field of [6, 8, 10]) cut.writeUInt16BE(0, field);
  return cut;
}
