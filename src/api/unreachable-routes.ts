/**
 * Finds routes and matches of a VirtualService that no request can reach, because an earlier rule takes everything.
 * Warnings under Istio's codes. Source: istio pkg/config/validation/validation.go analyzeUnreachable*Rules.
 * Cost: linear in the matches, and quadratic in those with a uri prefix (bounded).
 */
import type { Findings } from './findings.ts';
import type { HttpMatch, HttpRoute, StringMatch, VirtualServiceSpec } from './virtual-service.ts';

const MAX_COMPARED_PREFIXES = 300;

interface AnyRoute {
  readonly name?: string;
  readonly match?: readonly object[];
}

/** A match by uri prefix, reduced to what decides whether an earlier one covers it. */
interface PrefixMatch {
  readonly path: string;
  readonly ruleName: string;
  readonly matchName: string;
  readonly prefix: string;
  readonly port: number;
  readonly method: string;
  readonly authority: string;
  readonly maps: readonly Readonly<Record<string, StringMatch>>[];
}

/** Adds a warning for each rule, and each match of a rule, that is never used. */
export function findUnreachableRoutes(spec: VirtualServiceSpec, findings: Findings): void {
  for (const part of ['http', 'tcp', 'tls'] as const)
    findUnreachable((spec[part] as AnyRoute[] | undefined) ?? [], `spec.${part}`, findings);
  findCoveredPrefixes(spec.http ?? [], findings);
}

function findUnreachable(routes: readonly AnyRoute[], path: string, findings: Findings): void {
  const firstUse = new Map<string, number>();
  let catchAll = false;
  for (const [i, route] of routes.entries()) {
    const at = `${path}[${i}]`;
    const unused = (reason: string): void =>
      findings.add('IST0130', at, { ruleno: nameOf(route, i), reason });
    const matches = route.match ?? [];
    if (matches.length === 0) {
      if (catchAll) unused('only the last rule can have no matches');
      catchAll = true;
      continue;
    }
    let duplicates = 0;
    for (const [j, match] of matches.entries()) {
      if (catchAll) {
        unused('route without matches defined before');
        continue;
      }
      const key = conditionsOf(match);
      const earlier = firstUse.get(key);
      if (earlier === undefined) firstUse.set(key, i);
      else {
        duplicates++;
        findings.add('IST0131', `${at}.match[${j}]`, {
          ruleno: nameOf(route, i),
          matchno: nameOf(match, j),
          dupno: nameOf(routes[earlier] as AnyRoute, earlier),
        });
      }
    }
    if (duplicates === matches.length) unused('all matches used by prior rules');
  }
}

/** A match without its name: equal texts match the same requests. */
function conditionsOf(match: { readonly name?: string }): string {
  const { name: _name, ...conditions } = match;
  return JSON.stringify(conditions);
}

/** Rules and matches are named by their name in quotes, or by their number. */
function nameOf(item: { readonly name?: string }, index: number): string {
  return (item.name ?? '') === '' ? `#${index}` : JSON.stringify(item.name);
}

function findCoveredPrefixes(routes: readonly HttpRoute[], findings: Findings): void {
  const reachable = routes.slice(
    0,
    routes.findIndex((route) => (route.match ?? []).length === 0) + 1 || routes.length,
  );
  const seen = new Set<string>();
  const prefixes: PrefixMatch[] = [];
  for (const [i, route] of reachable.entries()) {
    for (const [j, match] of (route.match ?? []).entries()) {
      const key = conditionsOf(match);
      if (seen.has(key) || (match.uri?.prefix ?? '') === '') continue;
      seen.add(key);
      prefixes.push(reduce(match, `spec.http[${i}].match[${j}]`, nameOf(route, i), nameOf(match, j)));
    }
  }
  const compared = prefixes.slice(0, MAX_COMPARED_PREFIXES);
  for (const [i, earlier] of compared.entries()) {
    for (const later of compared.slice(i + 1)) {
      if (later.prefix === earlier.prefix || !covers(earlier, later)) continue;
      findings.add('IST0131', later.path, {
        ruleno: later.ruleName,
        matchno: `${later.matchName} of prefix ${later.prefix}`,
        dupno: `${earlier.matchName} of prefix ${earlier.prefix} on ${earlier.ruleName}`,
      });
    }
  }
}

function reduce(match: HttpMatch, path: string, ruleName: string, matchName: string): PrefixMatch {
  return {
    path,
    ruleName,
    matchName,
    prefix: match.uri?.prefix ?? '',
    port: match.port ?? 0,
    method: printMatch(match.method) || 'exact:GET',
    authority: printMatch(match.authority),
    maps: [match.headers ?? {}, match.queryParams ?? {}, match.withoutHeaders ?? {}],
  };
}

function printMatch(match: StringMatch | undefined): string {
  if ((match?.exact ?? '') !== '') return `exact:${match?.exact}`;
  return (match?.prefix ?? '') === '' ? '' : `prefix:${match?.prefix}`;
}

/** True when `earlier` takes every request that `later` would match, as far as Istio looks. */
function covers(earlier: PrefixMatch, later: PrefixMatch): boolean {
  if (!later.prefix.startsWith(earlier.prefix) || later.port !== earlier.port) return false;
  if (!earlier.method.startsWith(later.method) || !earlier.authority.startsWith(later.authority))
    return false;
  return earlier.maps.every((map, index) => coversMap(map, later.maps[index] ?? {}));
}

function coversMap(
  earlier: Readonly<Record<string, StringMatch>>,
  later: Readonly<Record<string, StringMatch>>,
): boolean {
  const keys = Object.keys(earlier);
  if (keys.length !== Object.keys(later).length) return false;
  return keys.every((key) => {
    const other = Object.hasOwn(later, key) ? later[key] : undefined;
    return other !== undefined && printMatch(earlier[key]).startsWith(printMatch(other));
  });
}
