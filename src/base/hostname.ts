/**
 * Host names and Istio's wildcards. A wildcard starts with `*` and stands for any beginning: `*.example.com` matches every
 * name that ends in `.example.com`. DNS names compare without regard to case. Pure text; nothing is resolved.
 * Source: istio pkg/config/host/name.go and pkg/config/validation (ValidateFQDN, ValidateWildcardDomain).
 */
import { compareBytes } from './bytes-order.ts';

const MAX_NAME_LENGTH = 255;
const MAX_LABEL_LENGTH = 63;
const LABEL = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/i;
const DIGITS = /^[0-9]+$/;

/** True for `*` and names that begin with it. */
export function isWildcard(host: string): boolean {
  return host.startsWith('*');
}

/** True when a short name rule no longer applies: the name has a dot, or is `*`. */
export function isFqdn(host: string): boolean {
  return host === '*' || host.includes('.');
}

/** True when some name is matched by both; either side may be a wildcard. */
export function matchesHost(pattern: string, host: string): boolean {
  const a = pattern.toLowerCase();
  const b = host.toLowerCase();
  if (!isWildcard(a)) return isWildcard(b) ? endsWithTail(a, b) : a === b;
  if (!isWildcard(b)) return endsWithTail(b, a);
  return a.length < b.length ? endsWithTail(b, a) : endsWithTail(a, b);
}

/** True when everything that `host` matches is matched by `pattern` too. */
export function isSubsetOf(host: string, pattern: string): boolean {
  const a = host.toLowerCase();
  const b = pattern.toLowerCase();
  if (!isWildcard(b)) return a === b;
  if (isWildcard(a) && a.length < b.length) return false;
  return endsWithTail(a, b);
}

/** Whether a name (or the part of a wildcard behind its `*`) ends in what stands behind the wildcard's `*`. */
function endsWithTail(host: string, wildcard: string): boolean {
  const body = isWildcard(host) ? host.slice(1) : host;
  return body.endsWith(wildcard.slice(1));
}

/** The order in which patterns are tried: exact names first, then longer wildcards before shorter, then by bytes. */
export function compareHostSpecificity(a: string, b: string): number {
  if (isWildcard(a) !== isWildcard(b)) return isWildcard(a) ? 1 : -1;
  if (isWildcard(a) && a.length !== b.length) return b.length - a.length;
  return compareBytes(a, b);
}

/**
 * The pattern that decides for a host: the same name, else the longest wildcard that covers it. `patterns` are sorted by
 * compareHostSpecificity. A wildcard as host is covered only by patterns that match all that it matches. O(patterns).
 */
export function mostSpecificHost(host: string, sortedPatterns: readonly string[]): string | undefined {
  return sortedPatterns.find((pattern) => isSubsetOf(host, pattern));
}

/**
 * What is wrong with a host name, undefined when nothing is. A wildcard may be `*`, or its first label `*` or `*-label`.
 * With `allowWildcard` false a wildcard is an error as well.
 */
export function validateHostname(host: string, allowWildcard = true): string | undefined {
  if (host === '') return 'empty domain name not allowed';
  if (host.length > MAX_NAME_LENGTH) return `domain name "${host}" too long (max ${MAX_NAME_LENGTH})`;
  const labels = host.split('.');
  // One trailing dot marks a name as absolute.
  if (labels.length > 1 && labels.at(-1) === '') labels.pop();
  const wrong = labels.find((label, i) => !isValidLabel(label, i === 0 && allowWildcard));
  if (wrong !== undefined) return `domain name "${host}" invalid (label "${wrong}" invalid)`;
  const top = labels.at(-1) ?? '';
  if (DIGITS.test(top))
    return `domain name "${host}" invalid (top level domain "${top}" cannot be all-numeric)`;
  return undefined;
}

function isValidLabel(label: string, mayBeWildcard: boolean): boolean {
  if (mayBeWildcard && label === '*') return true;
  const name = mayBeWildcard && label.startsWith('*-') ? label.slice(2) : label;
  return label.length <= MAX_LABEL_LENGTH && LABEL.test(name);
}
