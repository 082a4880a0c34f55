/**
 * Trust domain aliases: a principal in one of the mesh's trust domains means the same one in all of them, so that a mesh can
 * change its trust domain without changing policies. `cluster.local` always means the mesh's own.
 * Source: istio pilot/pkg/security/trustdomain/bundle.go.
 */

const OWN_DOMAIN = 'cluster.local';
/** Parts of `domain/ns/NAMESPACE/sa/ACCOUNT`. */
const PRINCIPAL_PARTS = 5;

/** Each principal of the mesh under each of its trust domains; all others as they are. */
export function withPrincipalAliases(
  principals: readonly string[],
  trustDomains: readonly string[],
): string[] {
  return principals.flatMap((principal) => aliasesOf(principal, trustDomains));
}

/** Each trust domain of the mesh replaced by all of them. */
export function withTrustDomainAliases(
  domains: readonly string[],
  trustDomains: readonly string[],
): string[] {
  return [...new Set(domains.flatMap((domain) => (trustDomains.includes(domain) ? trustDomains : [domain])))];
}

function aliasesOf(principal: string, trustDomains: readonly string[]): readonly string[] {
  const parts = principal.split('/');
  const [domain = ''] = parts;
  if (parts.length !== PRINCIPAL_PARTS || domain === '*') return [principal];
  if (trustDomains.length === 0) return [principal];
  if (domain !== OWN_DOMAIN && !trustDomains.some((own) => overlaps(domain, own))) return [principal];
  const rest = parts.slice(1).join('/');
  const aliases = trustDomains.map((own) => (endsAsPattern(own, domain) ? principal : `${own}/${rest}`));
  return [...new Set(aliases)];
}

/** Equal, or one is a pattern with a wildcard at an end that the other fits. */
function overlaps(a: string, b: string): boolean {
  return (
    a === b ||
    b === '*' ||
    startsAsPattern(a, b) ||
    startsAsPattern(b, a) ||
    endsAsPattern(a, b) ||
    endsAsPattern(b, a)
  );
}

function startsAsPattern(text: string, pattern: string): boolean {
  return pattern.endsWith('*') && text.startsWith(pattern.slice(0, -1));
}

function endsAsPattern(text: string, pattern: string): boolean {
  return pattern.startsWith('*') && text.endsWith(pattern.slice(1));
}
