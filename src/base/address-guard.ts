/**
 * Where a URL that a user wrote may lead when the control plane or an agent follows it: never to addresses that answer only to
 * this machine or hand out the machine's credentials (security cases T14). Asked about each address at the moment of dialling,
 * so that a name that changes its meaning in between gains nothing.
 */
import { type Cidr, cidrContains, formatIp, type IpBytes, parseCidr, parseIp } from './cidr.ts';

export interface AddressGuard {
  /** Exceptions: what lies in one of these is never refused. */
  readonly allowed: readonly Cidr[];
  /** Refused besides what always is. */
  readonly blocked: readonly Cidr[];
}

/** Always refused: [block, what it is]. */
const REFUSED: readonly (readonly [Cidr, string])[] = [
  ['169.254.0.0/16', 'link-local'],
  ['fe80::/10', 'link-local'],
  ['127.0.0.0/8', 'loopback'],
  ['::1', 'loopback'],
  ['0.0.0.0/8', 'unspecified'],
  ['::', 'unspecified'],
  ['100.100.100.200', "a cloud's metadata service"],
  ['168.63.129.16', "a cloud's metadata service"],
  ['fd00:ec2::254', "a cloud's metadata service"],
  ['224.0.0.0/4', 'multicast'],
  ['ff00::/8', 'multicast'],
].map(([block = '', what = '']) => [requireCidr(block), what]);

/** IPv6 prefixes of 96 bits behind which an IPv4 address stands: mapped, and NAT64. */
const EMBEDDING: readonly Cidr[] = ['::ffff:0:0/96', '64:ff9b::/96'].map(requireCidr);

/** A guard that lets loopback through: for a mesh on one machine, where everything is there. */
export const LOOPBACK_ALLOWED: AddressGuard = {
  allowed: ['127.0.0.0/8', '::1'].map(requireCidr),
  blocked: [],
};

export const NO_EXCEPTIONS: AddressGuard = { allowed: [], blocked: [] };

/** Why the address may not be dialled; '' when it may. What is no address is refused. */
export function refusalOf(text: string, guard: AddressGuard): string {
  const given = parseIp(text);
  if (given === undefined) return `${text} is not an address`;
  const address = embeddedIpv4(given) ?? given;
  const isIn = (block: Cidr): boolean => cidrContains(block, address);
  if (guard.allowed.some(isIn)) return '';
  const always = REFUSED.find(([block]) => isIn(block));
  if (always !== undefined) return `${formatIp(given)} is ${always[1]}`;
  return guard.blocked.some(isIn) ? `${formatIp(given)} is in a blocked range` : '';
}

function embeddedIpv4(address: IpBytes): IpBytes | undefined {
  return EMBEDDING.some((block) => cidrContains(block, address)) ? address.subarray(12) : undefined;
}

function requireCidr(text: string): Cidr {
  const block = parseCidr(text);
  if (!block.ok) throw new Error(block.error);
  return block.value;
}
