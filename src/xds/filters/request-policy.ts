/**
 * The HTTP filters that decide on a request, in their order: external authorizers, tokens, then rules. Rules on claims need
 * the tokens to be verified before.
 * Source: istio pilot/pkg/networking/core/listener_builder.go buildHTTPConnectionManager.
 */
import type { RequestPolicyFacet } from '#model/request-policy.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { buildHttpAuthorization, buildHttpCustomAuthorization } from './authorization.ts';
import { buildRequestAuthentication } from './request-authentication.ts';

/** All of them; `clearRouteCache` where routes are chosen by claims (gateways). */
export function buildRequestPolicy(facet: RequestPolicyFacet, clearRouteCache: boolean): HttpFilter[] {
  return [
    ...buildHttpCustomAuthorization(facet),
    ...buildRequestAuthentication({ rules: facet.tokenRules, clearRouteCache }),
    ...buildHttpAuthorization(facet),
  ];
}
