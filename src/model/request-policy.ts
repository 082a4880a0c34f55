/**
 * Everything that decides whether a request may reach a workload, in one answer: whose tokens are valid (RequestAuthentication)
 * and who may do what (AuthorizationPolicy).
 * Costs a read of a policy bucket of each kind per label of the workload and namespace.
 */
import type { Cause } from '#base/cause.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import type { Fetch } from '#collections/collection.ts';
import {
  type AuthorizationFacet,
  type AuthorizationModel,
  type AuthorizationScopeFacts,
  authorizationFor,
} from './authorization.ts';
import type { PolicySubject } from './policy-target.ts';
import {
  type RequestAuthenticationModel,
  requestAuthenticationFor,
  type TokenRule,
} from './request-authentication.ts';

/** What the filters of a workload depend on. */
export interface RequestPolicyFacet extends AuthorizationFacet {
  /** Sorted by issuer. */
  readonly tokenRules: readonly TokenRule[];
}

/** The facet, why it is so, and what does not work in it. */
export interface RequestPolicy {
  readonly facet: RequestPolicyFacet;
  readonly causes: readonly Cause[];
  readonly findings: readonly Diagnostic[];
}

export interface RequestPolicyModel {
  readonly authorization: AuthorizationModel;
  readonly requestAuthentication: RequestAuthenticationModel;
}

/** The policies that hold for a workload. */
export function requestPolicyFor(
  fetch: Fetch,
  model: RequestPolicyModel,
  facts: AuthorizationScopeFacts,
  subject: PolicySubject,
): RequestPolicy {
  const authorization = authorizationFor(fetch, model.authorization, facts, subject);
  const tokens = requestAuthenticationFor(fetch, model.requestAuthentication, facts.rootNamespace, subject);
  return {
    facet: { ...authorization.facet, tokenRules: tokens.rules },
    causes: [...tokens.causes, ...authorization.causes],
    findings: [...tokens.findings, ...authorization.findings],
  };
}
