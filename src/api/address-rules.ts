/**
 * IP addresses and CIDR ranges in text. Same verdicts as Go's net/netip: no leading zeros in IPv4, IPv6 zones allowed
 * in addresses but not in ranges, host bits behind a prefix allowed. Pure string work, no sockets.
 */

const MAX_TEXT = 100;
const IPV4_PART = /^(?:0|[1-9]\d{0,2})$/;
const HEX_GROUP = /^[0-9a-fA-F]{1,4}$/;
const PREFIX_LENGTH = /^(?:0|[1-9]\d{0,2})$/;

/** An IPv4 address in dotted form. */
export function isIpv4(text: string): boolean {
  const parts = text.split('.');
  return (
    text.length <= MAX_TEXT &&
    parts.length === 4 &&
    parts.every((part) => IPV4_PART.test(part) && Number(part) <= 255)
  );
}

/** An IPv6 address, without zone. */
export function isIpv6(text: string): boolean {
  if (text.length > MAX_TEXT || !text.includes(':')) return false;
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')));
  const last = groups[groups.length - 1] as string[];
  const tail = last[last.length - 1];
  let count = groups.reduce((sum, part) => sum + part.length, 0);
  if (tail?.includes('.') === true) {
    if (!isIpv4(tail)) return false;
    last.pop();
    count += 1;
  }
  if (!groups.every((part) => part.every((group) => HEX_GROUP.test(group)))) return false;
  return halves.length === 2 ? count < 8 : count === 8;
}

/** An IPv4 or IPv6 address; IPv6 with an optional zone (fe80::1%eth0). Source: Go netip.ParseAddr. */
export function isIpAddress(text: string): boolean {
  if (isIpv4(text)) return true;
  const percent = text.indexOf('%');
  if (percent < 0) return isIpv6(text);
  return percent < text.length - 1 && isIpv6(text.slice(0, percent));
}

/** An address with a prefix length. Source: Go netip.ParsePrefix. */
export function isCidr(text: string): boolean {
  const slash = text.lastIndexOf('/');
  if (slash < 0) return false;
  const address = text.slice(0, slash);
  const bits = text.slice(slash + 1);
  if (!PREFIX_LENGTH.test(bits)) return false;
  if (isIpv4(address)) return Number(bits) <= 32;
  return isIpv6(address) && Number(bits) <= 128;
}

/** An address or a CIDR range. Source: istio pkg/config/validation/agent ValidateIPSubnet. */
export function isAddressOrCidr(text: string): boolean {
  return text.includes('/') ? isCidr(text) : isIpAddress(text);
}
