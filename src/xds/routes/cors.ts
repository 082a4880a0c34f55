/** CORS policy of a route, as per-route configuration of Envoy's CORS filter. Pure. */
import { create } from '@bufbuild/protobuf';
import { type CorsPolicy, CorsPolicySchema } from '#proto/envoy/extensions/filters/http/cors/v3/cors_pb.ts';
import type { StringMatcher } from '#proto/envoy/type/matcher/v3/string_pb.ts';
import type { CorsPolicyJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import { parseDuration } from './duration.ts';
import { buildWholeFraction } from './percent.ts';
import { buildStringMatcher } from './string-match.ts';

/** Builds the policy. Preflights from other origins reach the upstream unless unmatchedPreflights is IGNORE. */
export function buildCorsPolicy(cors: CorsPolicyJson): CorsPolicy {
  return create(CorsPolicySchema, {
    allowOriginStringMatch: allowedOrigins(cors),
    allowMethods: (cors.allowMethods ?? []).join(','),
    allowHeaders: (cors.allowHeaders ?? []).join(','),
    exposeHeaders: (cors.exposeHeaders ?? []).join(','),
    ...(cors.maxAge === undefined ? {} : { maxAge: parseDuration(cors.maxAge).seconds.toString() }),
    ...(cors.allowCredentials === undefined ? {} : { allowCredentials: cors.allowCredentials }),
    filterEnabled: { defaultValue: buildWholeFraction(100) },
    forwardNotMatchingPreflights: cors.unmatchedPreflights !== 'IGNORE',
  });
}

function allowedOrigins(cors: CorsPolicyJson): StringMatcher[] {
  const matches = cors.allowOrigins ?? (cors.allowOrigin ?? []).map(legacyOrigin);
  return matches.flatMap((match) => buildStringMatcher(match) ?? []);
}

/** The old field holds exact origins; Envoy itself reads an exact `*` as any origin. */
function legacyOrigin(origin: string): { exact: string } {
  return { exact: origin };
}
