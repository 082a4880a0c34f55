/**
 * Istio's StringMatch in Envoy's terms: for headers, query parameters, CORS origins and JWT claims.
 * Pure; the regex is handed to Envoy (RE2) as it stands and never evaluated here.
 */
import { create } from '@bufbuild/protobuf';
import { type StringMatcher, StringMatcherSchema } from '#proto/envoy/type/matcher/v3/string_pb.ts';
import type { StringMatchJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';

/**
 * True when a match only asks for presence: an empty match, or the regex `*`, which is no regex but Istio's own sign.
 * Source: istio pilot/pkg/networking/core/route canBeConvertedToPresentMatch.
 */
export function asksForPresence(match: StringMatchJson): boolean {
  if (match.exact === undefined && match.prefix === undefined && match.regex === undefined) return true;
  return match.regex === '*';
}

/** The matcher for exact, prefix or regex; undefined for an empty match. */
export function buildStringMatcher(match: StringMatchJson): StringMatcher | undefined {
  if (match.exact !== undefined) {
    return create(StringMatcherSchema, { matchPattern: { case: 'exact', value: match.exact } });
  }
  if (match.prefix !== undefined) {
    return create(StringMatcherSchema, { matchPattern: { case: 'prefix', value: match.prefix } });
  }
  if (match.regex !== undefined) {
    return create(StringMatcherSchema, {
      matchPattern: { case: 'safeRegex', value: { regex: match.regex } },
    });
  }
  return undefined;
}
