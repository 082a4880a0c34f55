/**
 * IP addresses and CIDR blocks of both families, strictly read: no leading zeros in IPv4, no zones, no shorthands. What two
 * readers could take for different addresses is refused. IPv4-mapped IPv6 addresses stay IPv6.
 */
import { fail, ok, type Result } from './result.ts';

/** An address as 4 or 16 bytes. */
export type IpBytes = Uint8Array;

/** A block; bits of `address` behind the prefix are zero. */
export interface Cidr {
  readonly address: IpBytes;
  readonly prefixLength: number;
}

/** The longest text of an address, `ffff:…:255.255.255.255`. */
const MAX_IP_LENGTH = 45;
const GROUPS = 8;

/** The address, or undefined when the text is none. */
export function parseIp(text: string): IpBytes | undefined {
  if (text.length > MAX_IP_LENGTH) return undefined;
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

export function isIp(text: string): boolean {
  return parseIp(text) !== undefined;
}

export function isIpv4(text: string): boolean {
  return parseIp(text)?.length === 4;
}

export function isIpv6(text: string): boolean {
  return parseIp(text)?.length === 16;
}

function parseIpv4(text: string): IpBytes | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const isValid = parts.every((part) => /^(?:0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255);
  return isValid ? Uint8Array.from(parts, Number) : undefined;
}

function parseIpv6(text: string): IpBytes | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? '', halves.length === 1);
  const tail = parseGroups(halves[1] ?? '', true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = GROUPS - head.length - tail.length;
  // `::` stands for at least one group.
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => 0), ...tail];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** 16-bit groups of one side of `::`; only the end of an address may be written as IPv4. */
function parseGroups(text: string, mayEndInIpv4: boolean): readonly number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const bytes = mayEndInIpv4 && i === parts.length - 1 ? parseIpv4(part) : undefined;
    if (bytes === undefined) return undefined;
    const [a = 0, b = 0, c = 0, d = 0] = bytes;
    groups.push((a << 8) | b, (c << 8) | d);
  }
  return groups;
}

/** The one text of an address: RFC 5952 for IPv6 (IPv4-mapped addresses end in dotted form). */
export function formatIp(address: IpBytes): string {
  if (address.length === 4) return address.join('.');
  if (isMappedIpv4(address)) return `::ffff:${address.subarray(12).join('.')}`;
  const groups: string[] = [];
  for (let i = 0; i < GROUPS; i++) {
    groups.push((((address[2 * i] ?? 0) << 8) | (address[2 * i + 1] ?? 0)).toString(16));
  }
  const { start, length } = longestZeroRun(groups);
  if (length < 2) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
}

function isMappedIpv4(address: IpBytes): boolean {
  return address.subarray(0, 10).every((byte) => byte === 0) && address[10] === 0xff && address[11] === 0xff;
}

function longestZeroRun(groups: readonly string[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let i = 0; i <= groups.length; i++) {
    if (groups[i] === '0') continue;
    if (i - start > best.length) best = { start, length: i - start };
    start = i + 1;
  }
  return best;
}

/** The address in its one text form; undefined when it is none. */
export function normaliseIp(text: string): string | undefined {
  const address = parseIp(text);
  return address === undefined ? undefined : formatIp(address);
}

/** Reads `address/bits`; an address alone is a block of itself. Errors: a text for people. */
export function parseCidr(text: string): Result<Cidr, string> {
  const slash = text.indexOf('/');
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return fail(`"${text}" is not an IP address or CIDR block`);
  const bits = slash < 0 ? String(address.length * 8) : text.slice(slash + 1);
  const prefixLength = Number(bits);
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(bits) || prefixLength > address.length * 8) {
    return fail(`"${text}" has a prefix length that is not between 0 and ${address.length * 8}`);
  }
  return ok({ address: maskAddress(address, prefixLength), prefixLength });
}

function maskAddress(address: IpBytes, prefixLength: number): IpBytes {
  return address.map((byte, i) => byte & maskOfByte(prefixLength - 8 * i));
}

/** The mask of a byte of which `bits` (may be below 0 or above 8) lie within the prefix. */
function maskOfByte(bits: number): number {
  return (0xff00 >> Math.min(8, Math.max(0, bits))) & 0xff;
}

export function formatCidr(cidr: Cidr): string {
  return `${formatIp(cidr.address)}/${cidr.prefixLength}`;
}

/** True when the address lies in the block; never for the other family. */
export function cidrContains(cidr: Cidr, address: IpBytes): boolean {
  if (cidr.address.length !== address.length) return false;
  return cidr.address.every(
    (byte, i) => byte === ((address[i] ?? 0) & maskOfByte(cidr.prefixLength - 8 * i)),
  );
}

/** True when all of `inner` lies in `outer`. */
export function cidrCovers(outer: Cidr, inner: Cidr): boolean {
  return outer.prefixLength <= inner.prefixLength && cidrContains(outer, inner.address);
}
