/** Whether a route takes a request. Source: envoy source/common/router/config_impl.cc RouteEntryImplBase::matchRoute. */
import type { RouteMatch } from '#proto/envoy/config/route/v3/route_components_pb.ts';
import type { RequestHeaders } from '#simulation/headers.ts';
import { matchesHeader, matchesQuery, queryParameters } from '#simulation/match/header.ts';
import { matchesTemplate, withoutQuery } from '#simulation/match/path.ts';
import { matchesRegex } from '#simulation/match/regex.ts';
import { foldAscii } from '#simulation/match/string.ts';
import { type FilterMetadata, matchesMetadata } from '#simulation/match/value.ts';

/** What routes look at. */
export interface RouteSubject {
  readonly headers: RequestHeaders;
  readonly metadata: FilterMetadata;
  readonly isTls: boolean;
  readonly hasClientCertificate: boolean;
  /** Told of conditions that are not known; they count as not met. */
  readonly onUnknown: (what: string) => void;
}

/** All conditions but the runtime fraction, which is chance's. */
export function matchesRoute(match: RouteMatch, subject: RouteSubject): boolean {
  const { headers, metadata } = subject;
  if (!matchesPath(match, subject)) return false;
  if (match.grpc !== undefined && !isGrpc(headers)) return false;
  if (!match.headers.every((header) => matchesHeader(header, headers))) return false;
  if (match.queryParameters.length > 0) {
    const parameters = queryParameters(headers.path);
    if (!match.queryParameters.every((query) => matchesQuery(query, parameters))) return false;
  }
  if (!matchesTlsContext(match, subject)) return false;
  if (match.filterState.length + match.cookies.length > 0) {
    subject.onUnknown('filter state or cookie match');
    return false;
  }
  return match.dynamicMetadata.every((matcher) => matchesMetadata(matcher, metadata));
}

function matchesPath({ pathSpecifier, caseSensitive }: RouteMatch, subject: RouteSubject): boolean {
  const { headers } = subject;
  const fold = (text: string): string => (caseSensitive === false ? foldAscii(text) : text);
  const path = withoutQuery(headers.path);
  switch (pathSpecifier.case) {
    case 'prefix':
      return fold(path).startsWith(fold(pathSpecifier.value));
    case 'path':
      return fold(path) === fold(pathSpecifier.value);
    case 'safeRegex':
      return matchesRegex(pathSpecifier.value, path);
    case 'pathSeparatedPrefix': {
      const prefix = fold(pathSpecifier.value);
      return fold(path) === prefix || fold(path).startsWith(`${prefix}/`);
    }
    case 'connectMatcher':
      return headers.method === 'CONNECT';
    case 'pathMatchPolicy': {
      const isMatch = matchesTemplate(pathSpecifier.value, path);
      if (isMatch === undefined) subject.onUnknown('path match policy');
      return isMatch ?? false;
    }
    default:
      return false;
  }
}

/** Source: envoy source/common/grpc/common.cc isGrpcRequestHeaders. */
export function isGrpc(headers: RequestHeaders): boolean {
  const type = headers.get('content-type') ?? '';
  return type === 'application/grpc' || type.startsWith('application/grpc+');
}

function matchesTlsContext({ tlsContext }: RouteMatch, subject: RouteSubject): boolean {
  if (tlsContext === undefined) return true;
  const { presented, validated } = tlsContext;
  const hasCertificate = subject.isTls && subject.hasClientCertificate;
  // What was shown was also validated, or the handshake would have failed.
  return [presented, validated].every((wanted) => wanted === undefined || wanted === hasCertificate);
}
