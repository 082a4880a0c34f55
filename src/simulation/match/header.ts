/**
 * Envoy's HeaderMatcher, and the matchers of query parameters and cookies.
 * Source: envoy source/common/http/header_utility.cc, source/common/router/config_utility.cc.
 */
import type {
  HeaderMatcher,
  QueryParameterMatcher,
} from '#proto/envoy/config/route/v3/route_components_pb.ts';
import type { RequestHeaders } from '#simulation/headers.ts';
import { matchesRegex } from './regex.ts';
import { matchesString } from './string.ts';

/** Of several values of a header each is looked at by itself (joined by commas before CVE-2026-26308 was mended). */
export function matchesHeader(matcher: HeaderMatcher, headers: RequestHeaders): boolean {
  const values = headers.values(matcher.name);
  const specifier = matcher.headerMatchSpecifier;
  if (specifier.case === 'presentMatch' || specifier.case === undefined) {
    const wantsPresence = specifier.value ?? true;
    return (values.length > 0 === wantsPresence) !== matcher.invertMatch;
  }
  // An absent header fails also an inverted match.
  if (values.length === 0 && !matcher.treatMissingHeaderAsEmpty) return false;
  const texts = values.length === 0 ? [''] : values;
  return texts.some((text) => matchesSpecifier(specifier, text)) !== matcher.invertMatch;
}

type Specifier = Exclude<HeaderMatcher['headerMatchSpecifier'], { case: 'presentMatch' | undefined }>;

function matchesSpecifier(specifier: Specifier, text: string): boolean {
  switch (specifier.case) {
    case 'stringMatch':
      return matchesString(specifier.value, text);
    case 'exactMatch':
      return text === specifier.value;
    case 'safeRegexMatch':
      return matchesRegex(specifier.value, text);
    case 'prefixMatch':
      return text.startsWith(specifier.value);
    case 'suffixMatch':
      return text.endsWith(specifier.value);
    case 'containsMatch':
      return text.includes(specifier.value);
    default:
      return inRange(specifier.value, text);
  }
}

function inRange({ start, end }: { readonly start: bigint; readonly end: bigint }, text: string): boolean {
  if (!/^[ \t]*[+-]?[0-9]{1,19}[ \t]*$/.test(text)) return false;
  const value = BigInt(text.trim().replace(/^\+/, ''));
  return value >= start && value < end;
}

/** Parameters of a path's query by name, first value of each; nothing is decoded. */
export function queryParameters(path: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  const start = path.indexOf('?');
  if (start < 0) return parameters;
  for (const pair of path.slice(start + 1).split('&')) {
    const equals = pair.indexOf('=');
    const name = equals < 0 ? pair : pair.slice(0, equals);
    if (!parameters.has(name)) parameters.set(name, equals < 0 ? '' : pair.slice(equals + 1));
  }
  return parameters;
}

export function matchesQuery(
  { name, queryParameterMatchSpecifier: specifier }: QueryParameterMatcher,
  parameters: ReadonlyMap<string, string>,
): boolean {
  const value = parameters.get(name);
  if (specifier.case === 'stringMatch') return value !== undefined && matchesString(specifier.value, value);
  return (value !== undefined) === (specifier.value ?? true);
}
