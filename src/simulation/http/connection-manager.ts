/**
 * The HTTP connection manager: makes a request's headers what filters will see, finds its route, and runs the filters.
 * Source: envoy source/common/http/{conn_manager_impl,conn_manager_utility}.cc.
 */
import { parseIp } from '#base/cidr.ts';
import type { HttpConnectionManager } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { RouteConfiguration } from '#proto/envoy/config/route/v3/route_pb.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import type { CallRequest } from '#simulation/call.ts';
import type { Evaluation } from '#simulation/evaluation.ts';
import { RequestHeaders } from '#simulation/headers.ts';
import { inCidr } from '#simulation/match/address.ts';
import { decodeRoutes } from '#simulation/resources.ts';
import { withoutPort } from '#simulation/route/virtual-host.ts';
import type { Verdict } from '#simulation/simulated-call.ts';
import { runHttpFilters } from './filters.ts';
import { normalizePath } from './path-normalization.ts';
import { chooseRoute } from './route-choice.ts';
import type { HttpConnection, RequestState } from './request-state.ts';

/** Plays one request. */
export function runConnectionManager(
  evaluation: Evaluation,
  manager: HttpConnectionManager,
  http: HttpConnection,
  call: CallRequest | undefined,
): Verdict {
  if (call === undefined || (http.connection.tls !== undefined && !http.peer.isTls)) {
    return badRequest(evaluation, 'bytes that are no HTTP', 'http1.codec_error');
  }
  const headers = new RequestHeaders([
    [':method', call.method],
    [':authority', call.authority],
    [':path', call.path],
    ...call.headers,
  ]);
  if (headers.authority === '') return badRequest(evaluation, 'no host', 'missing_host_header');
  const refusal = preparePath(evaluation, manager, headers);
  if (refusal !== undefined) return refusal;
  prepareHost(manager, headers, http.connection.port);
  const remoteAddress = prepareForwarding(manager, http, headers, call.scheme);
  const { routes, entry } = routesOf(evaluation, manager);
  const state: RequestState = {
    ...http,
    manager,
    call,
    headers,
    remoteAddress,
    metadata: new Map(),
    routes,
    routesEntry: entry,
    selection: undefined,
    cluster: undefined,
    upstreamAlpnKey: undefined,
    delayMs: 0,
  };
  removeInternalHeaders(state);
  chooseRoute(evaluation, state);
  return runHttpFilters(evaluation, state);
}

function badRequest(evaluation: Evaluation, why: string, details: string): Verdict {
  evaluation.note('request', '', `refused: ${why}`);
  return { kind: 'bad-request', status: 400, details, route: '' };
}

function preparePath(
  evaluation: Evaluation,
  manager: HttpConnectionManager,
  headers: RequestHeaders,
): Verdict | undefined {
  const original = headers.path;
  if (!original.startsWith('/') && original !== '*') {
    return badRequest(evaluation, 'path does not begin with a slash', 'http1.codec_error');
  }
  const normalized = normalizePath(manager, original);
  if (normalized.kind === 'refused') {
    return badRequest(evaluation, 'path that cannot be normalised', 'path_normalization_failed');
  }
  if (normalized.path !== original) evaluation.note('request', original, `path becomes ${normalized.path}`);
  headers.set(':path', normalized.path);
  if (normalized.kind === 'path') return undefined;
  const answer = { status: 307, details: 'path_normalization_failed', route: '' };
  return { kind: 'redirect', ...answer, location: normalized.path };
}

function prepareHost(manager: HttpConnectionManager, headers: RequestHeaders, port: number): void {
  if (manager.stripTrailingHostDot) headers.set(':authority', headers.authority.replace(/\.(?=$|:\d+$)/, ''));
  const stripsAny = manager.stripPortMode.case === 'stripAnyHostPort' && manager.stripPortMode.value;
  const stripsOwn = manager.stripMatchingHostPort && headers.authority.endsWith(`:${port}`);
  if (stripsAny || stripsOwn) headers.set(':authority', withoutPort(headers.authority));
}

/** X-Forwarded-For, -Proto and scheme; returns the client's address as far as it is trusted. */
function prepareForwarding(
  manager: HttpConnectionManager,
  { connection, peer }: HttpConnection,
  headers: RequestHeaders,
  scheme: string,
): string {
  const forwarded = (headers.get('x-forwarded-for') ?? '').split(',').map((address) => address.trim());
  const hops = manager.xffNumTrustedHops;
  const own = peer.isTls ? 'https' : 'http';
  let trusted: string | undefined;
  if (manager.useRemoteAddress === true) {
    trusted = hops > 0 ? trustedAddress(forwarded, hops - 1) : undefined;
    if (!manager.skipXffAppend) {
      const chain = [...forwarded.filter((address) => address !== ''), connection.sourceAddress];
      headers.set('x-forwarded-for', chain.join(','));
    }
    if (hops === 0) headers.set('x-forwarded-proto', own);
  } else {
    trusted = trustedAddress(forwarded, hops);
  }
  if (headers.get('x-forwarded-proto') === undefined) headers.set('x-forwarded-proto', own);
  const protocol = headers.get('x-forwarded-proto') ?? own;
  headers.set(':scheme', scheme || (protocol === 'https' || protocol === 'http' ? protocol : own));
  return trusted ?? connection.sourceAddress;
}

function trustedAddress(forwarded: readonly string[], fromEnd: number): string | undefined {
  const address = forwarded.at(-1 - fromEnd) ?? '';
  return parseIp(address) === undefined ? undefined : address;
}

const CONTROL_HEADERS: ReadonlySet<string> = new Set([
  'x-envoy-retry-on',
  'x-envoy-retry-grpc-on',
  'x-envoy-max-retries',
  'x-envoy-upstream-alt-stat-name',
  'x-envoy-upstream-rq-timeout-ms',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-upstream-rq-timeout-alt-response',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-force-trace',
  'x-envoy-ip-tags',
  'x-envoy-original-url',
  'x-envoy-hedge-on-per-try-timeout',
]);
const EDGE_HEADERS: ReadonlySet<string> = new Set([
  'x-envoy-decorator-operation',
  'x-envoy-downstream-service-cluster',
  'x-envoy-downstream-service-node',
  'x-envoy-original-path',
]);

/** Headers that steer Envoy are not for everybody to send. */
function removeInternalHeaders({ manager, headers, remoteAddress, routes }: RequestState): void {
  headers.remove('x-envoy-internal');
  const isInternal = (manager.internalAddressConfig?.cidrRanges ?? []).some((range) =>
    inCidr(range, remoteAddress),
  );
  if (isInternal) {
    headers.set('x-envoy-internal', 'true');
    return;
  }
  const isEdge = manager.useRemoteAddress === true;
  const internalOnly = new Set((routes?.internalOnlyHeaders ?? []).map((name) => name.toLowerCase()));
  headers.removeWhere(
    (name) => CONTROL_HEADERS.has(name) || (isEdge && EDGE_HEADERS.has(name)) || internalOnly.has(name),
  );
}

interface FoundRoutes {
  readonly routes: RouteConfiguration | undefined;
  readonly entry: ResourceEntry | undefined;
}

function routesOf(evaluation: Evaluation, { routeSpecifier }: HttpConnectionManager): FoundRoutes {
  if (routeSpecifier.case === 'routeConfig') return { routes: routeSpecifier.value, entry: undefined };
  if (routeSpecifier.case !== 'rds') {
    evaluation.notEvaluated('route', routeSpecifier.case ?? '', 'source of routes');
    return { routes: undefined, entry: undefined };
  }
  const entry = evaluation.snapshot.routes.get(routeSpecifier.value.routeConfigName);
  return { routes: entry === undefined ? undefined : decodeRoutes(entry.resource), entry };
}
