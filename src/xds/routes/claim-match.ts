/**
 * Routing by JWT claims: a header match named `@request.auth.claims…` becomes a match on the metadata that Envoy's
 * jwt_authn filter leaves. Pure.
 */
import { create } from '@bufbuild/protobuf';
import { type MetadataMatcher, MetadataMatcherSchema } from '#proto/envoy/type/matcher/v3/metadata_pb.ts';
import type { ValueMatcherSchema } from '#proto/envoy/type/matcher/v3/value_pb.ts';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { StringMatchJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import { buildStringMatcher } from './string-match.ts';

const CLAIM_HEADER = '@request.auth.claims';
const JWT_FILTER = 'envoy.filters.http.jwt_authn';
const JWT_PAYLOAD = 'payload';

/**
 * The claim path that a header name stands for: `@request.auth.claims.a.b` or `@request.auth.claims[a][b]`; undefined
 * for ordinary headers and malformed names.
 */
export function parseClaimPath(headerName: string): readonly string[] | undefined {
  if (!headerName.toLowerCase().startsWith(CLAIM_HEADER)) return undefined;
  const rest = headerName.slice(CLAIM_HEADER.length);
  if (rest.startsWith('.') && rest.length > 1) return rest.slice(1).split('.');
  if (rest.startsWith('[') && rest.endsWith(']') && rest.length > 2) return rest.slice(1, -1).split('][');
  return undefined;
}

/**
 * Matches a claim that is the value itself or a list holding it. A match that says nothing takes every claim that is
 * there, where Istio sends a matcher that Envoy refuses.
 * Source: istio pilot/pkg/security/authz/model MetadataMatcherForJWTClaims.
 */
export function buildClaimMatcher(
  claims: readonly string[],
  match: StringMatchJson,
  invert: boolean,
): MetadataMatcher {
  const text = buildStringMatcher(match);
  const value: MessageInitShape<typeof ValueMatcherSchema> = {
    matchPattern:
      text === undefined ? { case: 'presentMatch', value: true } : { case: 'stringMatch', value: text },
  };
  const inList: MessageInitShape<typeof ValueMatcherSchema> = {
    matchPattern: { case: 'listMatch', value: { matchPattern: { case: 'oneOf', value } } },
  };
  return create(MetadataMatcherSchema, {
    filter: JWT_FILTER,
    path: [JWT_PAYLOAD, ...claims].map((key) => ({ segment: { case: 'key' as const, value: key } })),
    value: { matchPattern: { case: 'orMatch', value: { valueMatchers: [inList, value] } } },
    invert,
  });
}
