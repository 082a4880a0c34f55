/** CIDR ranges of Envoy's messages. */
import { type Cidr, cidrContains, parseCidr, parseIp } from '#base/cidr.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import type { CidrRange } from '#proto/envoy/config/core/v3/address_pb.ts';

/** The range; undefined for one that Envoy refuses. */
export const cidrOf: (range: CidrRange) => Cidr | undefined = identityMemo((range: CidrRange) => {
  const parsed = parseCidr(`${range.addressPrefix}/${range.prefixLen ?? 0}`);
  return parsed.ok ? parsed.value : undefined;
});

export function inCidr(range: CidrRange, address: string): boolean {
  const cidr = cidrOf(range);
  const ip = parseIp(address);
  return cidr !== undefined && ip !== undefined && cidrContains(cidr, ip);
}
