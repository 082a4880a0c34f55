/**
 * The filters that decide on a request or a connection, by stage: external authorizers, tokens, then rules. Rules on claims need
 * the tokens to be verified before. Extensions may stand between the stages.
 * Source: istio pilot/pkg/networking/core/listener_builder.go buildHTTPConnectionManager, networkfilter.go.
 */
import type { AuthorizationFacet } from '#model/authorization.ts';
import type { RequestPolicyFacet } from '#model/request-policy.ts';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import {
  buildHttpAuthorization,
  buildHttpCustomAuthorization,
  buildTcpAuthorization,
  buildTcpCustomAuthorization,
} from './authorization.ts';
import { buildRequestAuthentication } from './request-authentication.ts';

/** Filters in the order of their stages. */
export interface PolicyStages<F> {
  /** External authorizers (action CUSTOM). */
  readonly custom: readonly F[];
  /** Tokens. */
  readonly authn: readonly F[];
  /** Rules of the other actions. */
  readonly authz: readonly F[];
}

/** No policies. */
export const NO_POLICIES: PolicyStages<never> = { custom: [], authn: [], authz: [] };

/** For requests; `clearRouteCache` where routes are chosen by claims (gateways). */
export function buildRequestPolicy(
  facet: RequestPolicyFacet,
  clearRouteCache: boolean,
): PolicyStages<HttpFilter> {
  return {
    custom: buildHttpCustomAuthorization(facet),
    authn: buildRequestAuthentication({ rules: facet.tokenRules, clearRouteCache }),
    authz: buildHttpAuthorization(facet),
  };
}

/** For connections that carry bytes. */
export function buildConnectionPolicy(facet: AuthorizationFacet): PolicyStages<Filter> {
  return { custom: buildTcpCustomAuthorization(facet), authn: [], authz: buildTcpAuthorization(facet) };
}
