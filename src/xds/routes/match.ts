/**
 * HTTPMatchRequest -> Envoy RouteMatch. What depends on who asks (port, sourceLabels, gateways) is decided before, in
 * scope/route-selection.ts. Pure.
 */
import { create } from '@bufbuild/protobuf';
import { sortedBy } from '#base/bytes-order.ts';
import {
  type HeaderMatcher,
  HeaderMatcherSchema,
  type QueryParameterMatcher,
  QueryParameterMatcherSchema,
  type Route,
  type RouteMatch,
  RouteMatchSchema,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import type { MetadataMatcher } from '#proto/envoy/type/matcher/v3/metadata_pb.ts';
import type {
  HTTPMatchRequestJson,
  StringMatchJson,
} from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import { buildClaimMatcher, parseClaimPath } from './claim-match.ts';
import { asksForPresence, buildStringMatcher } from './string-match.ts';

/** How a uri prefix is meant: VirtualServices match text, Gateway API and Ingress match whole path elements. */
export type PathSemantics = 'text' | 'element';

/**
 * Builds the match of one route; without a match condition, everything.
 * Source: istio pilot/pkg/networking/core/route TranslateRouteMatch. Header and query matchers come sorted by name.
 */
export function buildRouteMatch(
  match: HTTPMatchRequestJson | undefined,
  semantics: PathSemantics,
): RouteMatch {
  if (match === undefined) return create(RouteMatchSchema, { pathSpecifier: { case: 'prefix', value: '/' } });
  const headers = [
    ...namedHeaderMatchers(match.headers, false),
    ...namedHeaderMatchers(match.withoutHeaders, true),
  ];
  return create(RouteMatchSchema, {
    pathSpecifier: pathSpecifier(match.uri, semantics),
    caseSensitive: match.ignoreUriCase !== true,
    headers: [...sortedBy(headers, (header) => header.name), ...requestLineMatchers(match)],
    queryParameters: sortedEntries(match.queryParams).map(([name, value]) => queryMatcher(name, value)),
    dynamicMetadata: [...claimMatchers(match.headers, false), ...claimMatchers(match.withoutHeaders, true)],
  });
}

/**
 * True when a route takes whatever reaches it, so that no route behind it can be hit.
 * Source: istio route.go IsCatchAllRoute.
 */
export function isCatchAll(route: Route): boolean {
  const match = route.match;
  if (
    match === undefined ||
    match.headers.length + match.queryParameters.length + match.dynamicMetadata.length > 0
  ) {
    return false;
  }
  const path = match.pathSpecifier;
  if (path.case === 'prefix' || path.case === 'pathSeparatedPrefix') return path.value === '/';
  return path.case === 'safeRegex' && path.value.regex === '.*';
}

function pathSpecifier(
  uri: StringMatchJson | undefined,
  semantics: PathSemantics,
): RouteMatch['pathSpecifier'] {
  const matcher = uri === undefined ? undefined : buildStringMatcher(uri)?.matchPattern;
  switch (matcher?.case) {
    case 'exact':
      return { case: 'path', value: matcher.value };
    case 'safeRegex':
      return { case: 'safeRegex', value: matcher.value };
    case 'prefix':
      if (semantics === 'element' && matcher.value !== '/') {
        return { case: 'pathSeparatedPrefix', value: matcher.value.replace(/\/$/, '') };
      }
      return { case: 'prefix', value: matcher.value };
    default:
      return { case: 'prefix', value: '/' };
  }
}

function namedHeaderMatchers(matches: Matches, inverted: boolean): HeaderMatcher[] {
  return sortedEntries(matches)
    .filter(([name]) => parseClaimPath(name) === undefined)
    .map(([name, match]) => headerMatcher(name, match, inverted));
}

function claimMatchers(matches: Matches, inverted: boolean): MetadataMatcher[] {
  return sortedEntries(matches).flatMap(([name, match]) => {
    const claims = parseClaimPath(name);
    return claims === undefined ? [] : [buildClaimMatcher(claims, match, inverted)];
  });
}

function requestLineMatchers(match: HTTPMatchRequestJson): HeaderMatcher[] {
  const parts: readonly (readonly [string, StringMatchJson | undefined])[] = [
    [':method', match.method],
    [':authority', match.authority],
    [':scheme', match.scheme],
  ];
  return parts.flatMap(([name, value]) => (value === undefined ? [] : [headerMatcher(name, value, false)]));
}

function headerMatcher(name: string, match: StringMatchJson, inverted: boolean): HeaderMatcher {
  if (asksForPresence(match)) {
    return create(HeaderMatcherSchema, {
      name,
      headerMatchSpecifier: { case: 'presentMatch', value: true },
      invertMatch: inverted,
    });
  }
  const value = buildStringMatcher(match);
  return create(HeaderMatcherSchema, {
    name,
    ...(value === undefined ? {} : { headerMatchSpecifier: { case: 'stringMatch' as const, value } }),
    invertMatch: inverted,
    // An absent header must pass a "without" match; Envoy forbids this together with a presence match.
    treatMissingHeaderAsEmpty: inverted,
  });
}

function queryMatcher(name: string, match: StringMatchJson): QueryParameterMatcher {
  if (asksForPresence(match)) {
    return create(QueryParameterMatcherSchema, {
      name,
      queryParameterMatchSpecifier: { case: 'presentMatch', value: true },
    });
  }
  const value = buildStringMatcher(match);
  return create(QueryParameterMatcherSchema, {
    name,
    ...(value === undefined ? {} : { queryParameterMatchSpecifier: { case: 'stringMatch' as const, value } }),
  });
}

type Matches = Readonly<Record<string, StringMatchJson>> | undefined;

function sortedEntries(matches: Matches): [string, StringMatchJson][] {
  return sortedBy(Object.entries(matches ?? {}), ([name]) => name);
}
