/**
 * Rules for names: DNS labels as Istio checks them, object names and labels as a Kubernetes API server checks them.
 * Lengths are checked before any pattern runs, so that time is bounded.
 */

const MAX_LABEL = 63;
const MAX_SUBDOMAIN = 253;
const DNS_LABEL = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$/;
const WILDCARD_LABEL = /^(?:\*|(?:\*-?)?[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?)$/;
const LOWER_LABEL = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/;
const QUALIFIED_NAME = /^(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

/** A DNS label (RFC 1123), capitals allowed. Source: istio pkg/config/labels/instance.go IsDNS1123Label. */
export function isDnsLabel(value: string): boolean {
  return value.length <= MAX_LABEL && DNS_LABEL.test(value);
}

/** A DNS label, `*`, or a DNS label behind `*` or `*-`. Source: istio labels IsWildcardDNS1123Label. */
export function isWildcardDnsLabel(value: string): boolean {
  return value.length <= MAX_LABEL && WILDCARD_LABEL.test(value);
}

/** A lower-case DNS label: names of namespaces and services. */
export function isLowerDnsLabel(value: string): boolean {
  return value.length <= MAX_LABEL && LOWER_LABEL.test(value);
}

/** Lower-case DNS labels joined by dots: names of most objects. */
export function isObjectName(value: string): boolean {
  return value.length <= MAX_SUBDOMAIN && value.split('.').every((label) => LOWER_LABEL.test(label));
}

/** The same with capitals: Istio itself has no rule for names of its kinds, and an API server is not always there to have one. */
export function isIstioObjectName(value: string): boolean {
  return value.length <= MAX_SUBDOMAIN && value.split('.').every((label) => DNS_LABEL.test(label));
}

/** Why `key` cannot be a key of a label or an annotation; '' when it can. */
export function labelKeyProblem(key: string): string {
  const slash = key.indexOf('/');
  const prefix = slash < 0 ? '' : key.slice(0, slash);
  const name = key.slice(slash + 1);
  if (slash >= 0) {
    if (prefix.length > MAX_SUBDOMAIN) return 'the prefix is too long';
    if (prefix.length === 0 || !prefix.split('.').every((label) => DNS_LABEL.test(label))) {
      return 'the prefix is not a DNS name';
    }
  }
  if (name.length === 0) return 'the name is empty';
  if (name.length > MAX_LABEL) return `the name has more than ${MAX_LABEL} characters`;
  return QUALIFIED_NAME.test(name) ? '' : 'the name has a character that is not allowed';
}

/** Why `value` cannot be the value of a label; '' when it can. */
export function labelValueProblem(value: string): string {
  if (value === '') return '';
  if (value.length > MAX_LABEL) return `the value has more than ${MAX_LABEL} characters`;
  return QUALIFIED_NAME.test(value) ? '' : 'the value has a character that is not allowed';
}

/**
 * True when a label in a subset, a match or an endpoint is well-formed; unlike a Kubernetes label its value may be of
 * any length. Source: istio labels Instance.Validate.
 */
export function isMatchLabel(key: string, value: string): boolean {
  return labelKeyProblem(key) === '' && (value === '' || QUALIFIED_NAME.test(value));
}
