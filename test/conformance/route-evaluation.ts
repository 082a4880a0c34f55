/**
 * Where a request goes by a route configuration, in the form of the suite router: the simulator's matchers find the route, and what
 * the route says is read from its proto JSON (lowerCamel).
 */
import { toJson } from '@bufbuild/protobuf';
import { RouteSchema, type Route } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import type { RouteConfiguration } from '#proto/envoy/config/route/v3/route_pb.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';
import { RequestHeaders } from '#simulation/headers.ts';
import { type PathRewrite, rewritePath } from '#simulation/http/rewrite.ts';
import { selectRoute } from '#simulation/route/route-selection.ts';
import type { RouteSubject } from '#simulation/route/route-match.ts';

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
export function evaluateRequest(routes: RouteConfiguration, request: RouterRequest): RouterOutcome {
  // No table has runtime fractions; what they ask counts as yes.
  const selection = selectRoute(routes, subjectOf(request), { pick: () => 0 });
  if (selection.kind === 'tls-redirect') {
    return {
      outcome: 'redirect',
      redirect: { code: 301, scheme: 'https', host: request.host, path: request.path },
    };
  }
  if (selection.kind === 'none') return { outcome: 'not_found' };
  const { route } = selection;
  const json = toJson(RouteSchema, route, { registry: envoyRegistry() }) as Plain;
  const direct = json['directResponse'];
  if (direct !== undefined) return { ...directOutcome(plain(direct)), ...headerOperations(json) };
  return route.action.case === 'redirect'
    ? { outcome: 'redirect', redirect: redirectOutcome(route, json, request) }
    : routeOutcome(route, json, request);
}

/** Nothing but a filter sets metadata, and none runs here. */
function subjectOf({ host, method, path, headers = {}, scheme = 'http' }: RouterRequest): RouteSubject {
  return {
    headers: new RequestHeaders([
      [':method', method],
      [':authority', host],
      [':path', path],
      [':scheme', scheme],
      ['x-forwarded-proto', scheme],
      ...Object.entries(headers),
    ]),
    metadata: new Map(),
    isTls: scheme === 'https',
    hasClientCertificate: false,
    onUnknown(what) {
      throw new Error(`not evaluated: ${what}`);
    },
  };
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

const REDIRECT_CODES: Readonly<Record<string, number>> = {
  FOUND: 302,
  SEE_OTHER: 303,
  TEMPORARY_REDIRECT: 307,
  PERMANENT_REDIRECT: 308,
};

function redirectOutcome(route: Route, json: Plain, request: RouterRequest): RouterOutcome {
  const redirect = plain(json['redirect']);
  const specifier = route.action.case === 'redirect' ? route.action.value.pathRewriteSpecifier : undefined;
  const rewrite = {
    prefixRewrite: specifier?.case === 'prefixRewrite' ? specifier.value : '',
    regexRewrite: specifier?.case === 'regexRewrite' ? specifier.value : undefined,
  };
  const rewritten = rewritePath(route.match, rewrite, request.path);
  const path = (redirect['pathRedirect'] as string | undefined) ?? rewritten;
  return definedOf({
    code: REDIRECT_CODES[String(redirect['responseCode'])] ?? 301,
    scheme: redirect['schemeRedirect'] ?? (redirect['httpsRedirect'] === true ? 'https' : undefined),
    host: redirect['hostRedirect'],
    port: redirect['portRedirect'],
    path,
  });
}

function routeOutcome(route: Route, json: Plain, request: RouterRequest): RouterOutcome {
  const action = plain(json['route']);
  const rewrite: PathRewrite = route.action.case === 'route' ? route.action.value : { prefixRewrite: '' };
  const weighted = plain(action['weightedClusters'])['clusters'];
  const clusters =
    weighted === undefined
      ? [{ name: action['cluster'], weight: 100 }]
      : listOf(weighted).map(weightedCluster);
  const retry = action['retryPolicy'] === undefined ? undefined : plain(action['retryPolicy']);
  const timeout = action['timeout'] === '0s' ? undefined : action['timeout'];
  const filters = plain(json['typedPerFilterConfig']);
  return definedOf({
    outcome: 'route',
    clusters,
    retries: retry === undefined ? 0 : (retry['numRetries'] ?? 1),
    retryOn: retry?.['retryOn'],
    timeout,
    hostRewrite: action['hostRewriteLiteral'],
    rewrittenPath: rewritePath(route.match, rewrite, request.path),
    mirrors: action['requestMirrorPolicies'] === undefined ? undefined : mirrorsOf(action),
    fault: filterConfig(filters['envoy.filters.http.fault']),
    cors: filterConfig(filters['envoy.filters.http.cors']),
    hashPolicy: action['hashPolicy'] === undefined ? undefined : snakeCase(action['hashPolicy']),
    ...headerOperations(json),
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

function definedOf(fields: Plain): Plain {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function plain(value: unknown): Plain {
  return (value ?? {}) as Plain;
}

function listOf(value: unknown): readonly Plain[] {
  return (value ?? []) as readonly Plain[];
}
