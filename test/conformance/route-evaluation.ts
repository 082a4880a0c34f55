/**
 * Where a request goes by a route configuration: Envoy's documented rules, on proto JSON (lowerCamel). Evaluates what the
 * suite router asks for; a stock Envoy does the same in test/envoy.
 */
import { RE2JS } from 're2js';

type Plain = Readonly<Record<string, unknown>>;

/** A request as the tables have it. */
export interface RouterRequest {
  readonly host: string;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly scheme?: string;
}

/** What is decided; only the fields that are set. */
export type RouterOutcome = Readonly<Record<string, unknown>>;

/** The route configuration's answer to one request. */
export function evaluateRequest(table: Plain, request: RouterRequest): RouterOutcome {
  const host = findVirtualHost(table, request.host);
  if (host === undefined) return { outcome: 'not_found' };
  if (host['requireTls'] === 'ALL' && (request.scheme ?? 'http') === 'http') {
    return {
      outcome: 'redirect',
      redirect: { code: 301, scheme: 'https', host: request.host, path: request.path },
    };
  }
  const route = listOf(host['routes']).find((item) => matches(plain(item['match']), request));
  if (route === undefined) return { outcome: 'not_found' };
  const direct = route['directResponse'];
  if (direct !== undefined) return { ...directOutcome(plain(direct)), ...headerOperations(route) };
  if (route['redirect'] !== undefined)
    return { outcome: 'redirect', redirect: redirectOutcome(route, request) };
  return routeOutcome(route, request);
}

function directOutcome({ status, body }: Plain): RouterOutcome {
  // Not the host of this certificate: what the tables call not found.
  if (status === 421) return { outcome: 'not_found' };
  return definedOf({
    outcome: 'direct_response',
    status,
    body: body === undefined ? undefined : snakeCase(body),
  });
}

/** Domain precedence: exact, `*.suffix`, `prefix.*`, `*`; of two patterns the longer. */
function findVirtualHost(table: Plain, authority: string): Plain | undefined {
  const lower = authority.toLowerCase();
  const host = table['ignorePortInHostMatching'] === true ? lower.replace(/:\d+$/, '') : lower;
  let best: { readonly host: Plain; readonly rank: number } | undefined;
  for (const candidate of listOf(table['virtualHosts'])) {
    for (const domain of candidate['domains'] as readonly string[]) {
      const rank = domainRank(domain.toLowerCase(), host);
      if (rank > (best?.rank ?? 0)) best = { host: candidate, rank };
    }
  }
  return best?.host;
}

const MAX_HOST = 1000;

function domainRank(domain: string, host: string): number {
  if (domain === '*') return 1;
  if (domain === host) return 3 * MAX_HOST;
  if (host.length < domain.length) return 0;
  if (domain.startsWith('*') && host.endsWith(domain.slice(1))) return 2 * MAX_HOST + domain.length;
  return domain.endsWith('*') && host.startsWith(domain.slice(0, -1)) ? MAX_HOST + domain.length : 0;
}

function matches(match: Plain, request: RouterRequest): boolean {
  const [path = '', query = ''] = request.path.split('?');
  if (!matchesPath(match, path)) return false;
  const headers = new Map(
    Object.entries(request.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  headers.set(':method', request.method).set(':authority', request.host).set(':path', request.path);
  headers.set(':scheme', request.scheme ?? 'http');
  if (!listOf(match['headers']).every((header) => matchesHeader(header, headers))) return false;
  // Nothing but a filter sets metadata, and none runs here.
  if (listOf(match['dynamicMetadata']).some((item) => item['invert'] !== true)) return false;
  const parameters = new URLSearchParams(query);
  return listOf(match['queryParameters']).every((item) => {
    const value = parameters.get(String(item['name']));
    return (
      value !== null && (item['presentMatch'] === true || matchesText(plain(item['stringMatch']), value))
    );
  });
}

function matchesPath(match: Plain, path: string): boolean {
  const fold = (text: unknown): string =>
    match['caseSensitive'] === false ? String(text).toLowerCase() : String(text);
  const { path: exact, prefix, pathSeparatedPrefix: separated, safeRegex } = match;
  if (exact !== undefined) return fold(path) === fold(exact);
  if (prefix !== undefined) return fold(path).startsWith(fold(prefix));
  if (separated !== undefined)
    return fold(path) === fold(separated) || fold(path).startsWith(`${fold(separated)}/`);
  return safeRegex === undefined || RE2JS.matches(String(plain(safeRegex)['regex']), path);
}

function matchesHeader(header: Plain, headers: ReadonlyMap<string, string>): boolean {
  const isEmptyWhenMissing = header['treatMissingHeaderAsEmpty'] === true;
  const value = headers.get(String(header['name']).toLowerCase()) ?? (isEmptyWhenMissing ? '' : undefined);
  const { presentMatch } = header;
  if (presentMatch === undefined && value === undefined) return false;
  const isMatch =
    presentMatch === undefined
      ? matchesText(plain(header['stringMatch']), value ?? '')
      : (value !== undefined) === presentMatch;
  return isMatch !== (header['invertMatch'] === true);
}

function matchesText(
  { exact, prefix, suffix, contains, safeRegex, ignoreCase }: Plain,
  text: string,
): boolean {
  const fold = (part: unknown): string => (ignoreCase === true ? String(part).toLowerCase() : String(part));
  if (exact !== undefined) return fold(text) === fold(exact);
  if (prefix !== undefined) return fold(text).startsWith(fold(prefix));
  if (suffix !== undefined) return fold(text).endsWith(fold(suffix));
  if (contains !== undefined) return fold(text).includes(fold(contains));
  return safeRegex !== undefined && RE2JS.matches(String(plain(safeRegex)['regex']), text);
}

const REDIRECT_CODES: Readonly<Record<string, number>> = {
  FOUND: 302,
  SEE_OTHER: 303,
  TEMPORARY_REDIRECT: 307,
  PERMANENT_REDIRECT: 308,
};

function redirectOutcome(route: Plain, request: RouterRequest): RouterOutcome {
  const redirect = plain(route['redirect']);
  const rewritten = rewrittenPath(route, redirect, request.path);
  const path = (redirect['pathRedirect'] as string | undefined) ?? rewritten;
  return definedOf({
    code: REDIRECT_CODES[String(redirect['responseCode'])] ?? 301,
    scheme: redirect['schemeRedirect'] ?? (redirect['httpsRedirect'] === true ? 'https' : undefined),
    host: redirect['hostRedirect'],
    port: redirect['portRedirect'],
    path,
  });
}

function routeOutcome(route: Plain, request: RouterRequest): RouterOutcome {
  const action = plain(route['route']);
  const weighted = plain(action['weightedClusters'])['clusters'];
  const clusters =
    weighted === undefined
      ? [{ name: action['cluster'], weight: 100 }]
      : listOf(weighted).map(weightedCluster);
  const retry = action['retryPolicy'] === undefined ? undefined : plain(action['retryPolicy']);
  const timeout = action['timeout'] === '0s' ? undefined : action['timeout'];
  const filters = plain(route['typedPerFilterConfig']);
  return definedOf({
    outcome: 'route',
    clusters,
    retries: retry === undefined ? 0 : (retry['numRetries'] ?? 1),
    retryOn: retry?.['retryOn'],
    timeout,
    hostRewrite: action['hostRewriteLiteral'],
    rewrittenPath: rewrittenPath(route, action, request.path),
    mirrors: action['requestMirrorPolicies'] === undefined ? undefined : mirrorsOf(action),
    fault: filterConfig(filters['envoy.filters.http.fault']),
    cors: filterConfig(filters['envoy.filters.http.cors']),
    hashPolicy: action['hashPolicy'] === undefined ? undefined : snakeCase(action['hashPolicy']),
    ...headerOperations(route),
  });
}

function weightedCluster(cluster: Plain): Plain {
  const { name, weight, hostRewriteLiteral: hostRewrite } = cluster;
  return definedOf({ name, weight: weight ?? 0, hostRewrite, ...headerOperations(cluster) });
}

function mirrorsOf(action: Plain): readonly Plain[] {
  return listOf(action['requestMirrorPolicies']).map(({ cluster, runtimeFraction }) => {
    const { numerator = 0, denominator = 'HUNDRED' } = plain(plain(runtimeFraction)['defaultValue']);
    const parts = { HUNDRED: 1, TEN_THOUSAND: 100, MILLION: 10_000 }[String(denominator)] ?? 1;
    return { cluster, percent: runtimeFraction === undefined ? 100 : Number(numerator) / parts };
  });
}

const HEADER_LISTS = [
  ['requestHeadersToAdd', 'request_headers_to_add'],
  ['requestHeadersToRemove', 'request_headers_to_remove'],
  ['responseHeadersToAdd', 'response_headers_to_add'],
  ['responseHeadersToRemove', 'response_headers_to_remove'],
] as const;

/** What a route or a cluster of a route does to headers, in the form of the tables. */
function headerOperations(holder: Plain): Plain {
  const operations = HEADER_LISTS.map(([field, name]) => {
    const list = holder[field] as readonly unknown[] | undefined;
    return [name, list?.map((item) => (typeof item === 'string' ? item : addedHeader(plain(item))))];
  });
  return definedOf(Object.fromEntries(operations));
}

function addedHeader({ header, appendAction = 'APPEND_IF_EXISTS_OR_ADD' }: Plain): Plain {
  const { key, value = '' } = plain(header);
  return { name: key, value, action: appendAction };
}

/** The configuration of a filter for one route. */
function filterConfig(config: unknown): unknown {
  if (config === undefined) return undefined;
  const { '@type': _type, ...fields } = plain(config);
  return snakeCase(fields);
}

/** The value with the field names of the .proto files. */
function snakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCase);
  if (typeof value !== 'object' || value === null) return value;
  const named = Object.entries(value).map(([name, item]) => [
    name.replace(/[A-Z]/g, (capital) => `_${capital.toLowerCase()}`),
    snakeCase(item),
  ]);
  return Object.fromEntries(named);
}

function rewrittenPath(route: Plain, action: Plain, full: string): string | undefined {
  const [path = '', ...query] = full.split('?');
  const tail = query.length === 0 ? '' : `?${query.join('?')}`;
  const { prefixRewrite, regexRewrite } = action;
  if (prefixRewrite !== undefined) {
    const { path: exact, prefix, pathSeparatedPrefix } = plain(route['match']);
    const cut = String(exact ?? prefix ?? pathSeparatedPrefix ?? '').length;
    return `${String(prefixRewrite)}${path.slice(cut)}${tail}`;
  }
  if (regexRewrite === undefined) return undefined;
  const { pattern, substitution } = plain(regexRewrite);
  const replacement = String(substitution)
    .replaceAll('$', '\\$')
    .replace(/\\(\d)/g, '$$$1');
  return `${RE2JS.compile(String(plain(pattern)['regex']))
    .matcher(path)
    .replaceAll(replacement)}${tail}`;
}

function definedOf(fields: Plain): Plain {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function plain(value: unknown): Plain {
  return (value ?? {}) as Plain;
}

function listOf(value: unknown): readonly Plain[] {
  return (value ?? []) as readonly Plain[];
}
