/**
 * One rule of a VirtualService, for one of its matches, as an Envoy route; and the route that services without a
 * VirtualService have. Pure; encoded at once, so that what is kept is bytes.
 */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import {
  type Route,
  RouteMatchSchema,
  RouteSchema,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import { CorsPolicySchema } from '#proto/envoy/extensions/filters/http/cors/v3/cors_pb.ts';
import { HTTPFaultSchema } from '#proto/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import type {
  HTTPMatchRequestJson,
  HTTPRetryJson,
  HTTPRouteJson,
} from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import type { PersistentSession } from '#model/service.ts';
import { packAny } from '#xds/encode.ts';
import { SESSION_FILTER, sessionSettings } from '#xds/filters/stateful-session.ts';
import { parseClusterName } from '#xds/names.ts';
import { type ActionInput, buildRouteAction, timeouts } from './action.ts';
import { buildCorsPolicy } from './cors.ts';
import { buildFault } from './fault.ts';
import { altSvcHeader } from './gateway-http3.ts';
import { buildHashPolicy, type ConsistentHash } from './hash-policy.ts';
import { buildHeaderOperations, type HeaderOperations } from './headers.ts';
import { buildRouteMatch } from './match.ts';
import { buildDirectResponse, buildRedirect, type RedirectContext } from './redirect.ts';
import { buildRetryPolicy } from './retry.ts';

const CORS_FILTER = 'envoy.filters.http.cors';
const FAULT_FILTER = 'envoy.filters.http.fault';
/** Name of the route of a service without VirtualService. */
const DEFAULT_ROUTE = 'default';

export interface RouteInput extends ActionInput, RedirectContext {
  readonly match: HTTPMatchRequestJson | undefined;
  readonly virtualService: { readonly namespace: string; readonly name: string };
  readonly advertisesHttp3?: boolean;
  readonly session: PersistentSession | undefined;
}

/**
 * Builds the route. A redirect with a code that Envoy lacks leaves the route without action, as Istio does.
 * Source: istio pilot/pkg/networking/core/route TranslateRoute.
 */
export function buildRoute(input: RouteInput): Route {
  const { http } = input;
  const match = buildRouteMatch(input.match, input.semantics);
  const own = buildHeaderOperations(http.headers);
  const route = create(RouteSchema, {
    name: routeName(http, input.match),
    match,
    metadata: configMetadata(input.virtualService),
    statPrefix: input.match?.statPrefix ?? '',
    typedPerFilterConfig: filterSettings(http, input.session),
  });
  if (http.redirect !== undefined) {
    const value = buildRedirect(http.redirect, input);
    if (value !== undefined) route.action = { case: 'redirect', value };
    addHeaders(route, own);
  } else if (http.directResponse !== undefined) {
    route.action = { case: 'directResponse', value: buildDirectResponse(http.directResponse) };
    addHeaders(route, own);
  } else {
    const { action, headers } = buildRouteAction(input, match, own.authority);
    route.action = { case: 'route', value: action };
    addHeaders(route, own);
    addHeaders(route, headers);
  }
  if (input.advertisesHttp3 === true) route.responseHeadersToAdd.push(altSvcHeader(input.listenPort));
  route.decorator = create(RouteSchema, {
    decorator: { operation: operationName(route, input.virtualService.name, input.listenPort) },
  }).decorator;
  return route;
}

export interface DefaultRouteInput {
  readonly cluster: string;
  readonly hash: ConsistentHash | undefined;
  readonly defaultRetries: HTTPRetryJson | undefined;
}

/** The route of a service without VirtualService: everything to its cluster, no timeout, the default retries. */
export function buildDefaultRoute(input: DefaultRouteInput): Route {
  const hashPolicy = buildHashPolicy(input.hash);
  // Retries choose another host here even under a consistent hash: Istio's own behaviour for this route.
  const retryPolicy = buildRetryPolicy(input.defaultRetries, false);
  return create(RouteSchema, {
    name: DEFAULT_ROUTE,
    match: create(RouteMatchSchema, { pathSpecifier: { case: 'prefix', value: '/' } }),
    decorator: { operation: `${clusterOperation(input.cluster)}/*` },
    action: {
      case: 'route',
      value: {
        clusterSpecifier: { case: 'cluster', value: input.cluster },
        ...timeouts(undefined),
        ...(retryPolicy === undefined ? {} : { retryPolicy }),
        hashPolicy: hashPolicy === undefined ? [] : [hashPolicy],
      },
    },
  });
}

function routeName(http: HTTPRouteJson, match: HTTPMatchRequestJson | undefined): string {
  const matchName = match?.name ?? '';
  return matchName === '' ? (http.name ?? '') : `${http.name ?? ''}.${matchName}`;
}

/** Names the VirtualService in the route's metadata, for people and for access logs. */
function configMetadata(
  object: RouteInput['virtualService'],
): NonNullable<MessageInitShape<typeof RouteSchema>['metadata']> {
  const config = `/apis/networking.istio.io/v1/namespaces/${object.namespace}/virtual-service/${object.name}`;
  return { filterMetadata: { istio: { config } } };
}

function filterSettings(http: HTTPRouteJson, session: PersistentSession | undefined): Record<string, Any> {
  const settings: Record<string, Any> = {};
  if (http.corsPolicy !== undefined)
    settings[CORS_FILTER] = packAny(CorsPolicySchema, buildCorsPolicy(http.corsPolicy));
  const fault = http.fault === undefined ? undefined : buildFault(http.fault);
  if (fault !== undefined) settings[FAULT_FILTER] = packAny(HTTPFaultSchema, fault);
  if (session !== undefined) settings[SESSION_FILTER] = sessionSettings(session);
  return settings;
}

function addHeaders(route: Route, operations: HeaderOperations): void {
  route.requestHeadersToAdd.push(...operations.requestHeadersToAdd);
  route.requestHeadersToRemove.push(...operations.requestHeadersToRemove);
  route.responseHeadersToAdd.push(...operations.responseHeadersToAdd);
  route.responseHeadersToRemove.push(...operations.responseHeadersToRemove);
}

/** Operation name of traces: `host:port/path` for one destination, else `virtualservice:port/path`. */
function operationName(route: Route, virtualService: string, listenPort: number): string {
  const specifier = route.action.case === 'route' ? route.action.value.clusterSpecifier : undefined;
  const cluster = specifier?.case === 'cluster' ? specifier.value : '';
  const target =
    parseClusterName(cluster) === undefined ? `${virtualService}:${listenPort}` : clusterOperation(cluster);
  return target + operationPath(route);
}

function clusterOperation(cluster: string): string {
  const parts = parseClusterName(cluster);
  return parts === undefined ? cluster : `${parts.hostname}:${parts.port}`;
}

function operationPath(route: Route): string {
  const path = route.match?.pathSpecifier;
  switch (path?.case) {
    case 'prefix':
      return `${path.value}*`;
    case 'path':
      return path.value;
    case 'safeRegex':
      return path.value.regex;
    default:
      return '/*';
  }
}
