/**
 * AuthorizationPolicies of one workload as Envoy's RBAC filters, for HTTP and for connections. Order is meaning: CUSTOM, then
 * AUDIT, then DENY, then ALLOW; the first refusal ends it. A refusal names its policy in the response code details.
 * Source: istio pilot/pkg/security/authz/builder/builder.go.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { AuthorizationAction, AuthorizationFacet, WorkloadPolicy } from '#model/authorization.ts';
import type { ExternalAuthorizer } from '#model/external-authorizer.ts';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { RBACSchema } from '#proto/envoy/config/rbac/v3/rbac_pb.ts';
import { RBAC_Action } from '#proto/envoy/config/rbac/v3/rbac_pb.ts';
import { RBACSchema as HttpRbacSchema } from '#proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { RBACSchema as NetworkRbacSchema } from '#proto/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts';
import { packAny } from '#xds/encode.ts';
import { buildRule, neverMatches, type RbacPolicy } from './authorization-rule.ts';
import {
  buildHttpExternalAuthorization,
  buildTcpExternalAuthorization,
  CUSTOM_SHADOW_PREFIX,
  customRulePrefix,
} from './external-authorization.ts';
import { httpFilter } from './http-connection-manager.ts';

type Rbac = MessageInitShape<typeof RBACSchema>;

/** The rules of one filter: enforced, and only counted (dry run); undefined where there are none of that sort. */
interface RuleSet {
  readonly rules: Rbac | undefined;
  readonly shadowRules: Rbac | undefined;
  /** Distinguishes the counters of dry runs; Istio's dashboards and the bootstrap's stats tags know these names. */
  readonly shadowPrefix: string;
}

const ACTIONS: readonly (readonly [AuthorizationAction, RBAC_Action, shadowPrefix: string])[] = [
  ['AUDIT', RBAC_Action.LOG, ''],
  ['DENY', RBAC_Action.DENY, 'istio_dry_run_deny_'],
  ['ALLOW', RBAC_Action.ALLOW, 'istio_dry_run_allow_'],
];

/** HTTP filters that ask external authorizers, or deny where there is none to ask. */
export function buildHttpCustomAuthorization(facet: AuthorizationFacet): HttpFilter[] {
  return customSets(facet, false).flatMap(({ set, authorizer }) => [
    httpRules(set),
    ...(authorizer === undefined ? [] : [buildHttpExternalAuthorization(authorizer)]),
  ]);
}

/** HTTP filters of the other actions in their final order; they come after those that ask. */
export function buildHttpAuthorization(facet: AuthorizationFacet): HttpFilter[] {
  return ruleSets(facet, false).map(httpRules);
}

/** The same for a chain that carries bytes: network filters that ask, or deny. */
export function buildTcpCustomAuthorization(facet: AuthorizationFacet): Filter[] {
  return customSets(facet, true).flatMap(({ set, authorizer }) => {
    if (authorizer === undefined) return [networkRules(set)];
    const asking = buildTcpExternalAuthorization(authorizer);
    return asking === undefined ? [] : [networkRules(set), asking];
  });
}

/** Network filters of the other actions in their final order. */
export function buildTcpAuthorization(facet: AuthorizationFacet): Filter[] {
  return ruleSets(facet, true).map(networkRules);
}

function httpRules(set: RuleSet): HttpFilter {
  const config = create(HttpRbacSchema, {
    ...(set.rules === undefined ? {} : { rules: set.rules }),
    ...shadowOf(set),
  });
  return httpFilter('envoy.filters.http.rbac', packAny(HttpRbacSchema, config));
}

function networkRules(set: RuleSet): Filter {
  const config = create(NetworkRbacSchema, {
    ...(set.rules === undefined ? {} : { rules: set.rules }),
    ...shadowOf(set),
    statPrefix: 'tcp.',
  });
  return create(FilterSchema, {
    name: 'envoy.filters.network.rbac',
    configType: { case: 'typedConfig', value: packAny(NetworkRbacSchema, config) },
  });
}

function shadowOf(set: RuleSet): { shadowRules?: Rbac; shadowRulesStatPrefix?: string } {
  if (set.shadowRules === undefined) return {};
  return { shadowRules: set.shadowRules, shadowRulesStatPrefix: set.shadowPrefix };
}

function ruleSets(facet: AuthorizationFacet, tcp: boolean): RuleSet[] {
  const sets = ACTIONS.map(([action, rbacAction, shadowPrefix]) => {
    const policies = facet.policies.filter((policy) => policy.action === action);
    const ofSort = (dryRun: boolean): Rbac | undefined => {
      const chosen = policies.filter((policy) => policy.dryRun === dryRun);
      return chosen.length === 0 ? undefined : rbac(chosen, rbacAction, facet.trustDomains, tcp);
    };
    return { rules: ofSort(false), shadowRules: ofSort(true), shadowPrefix };
  });
  return sets.filter((set) => set.rules !== undefined || set.shadowRules !== undefined);
}

/**
 * The rules of CUSTOM policies by provider: they mark what is asked about. Where there is nobody to ask, or more than one
 * provider for the workload where that is not allowed, they deny instead (law 9: what restricts fails closed; Istio's default for several providers).
 * Dry-run policies do nothing; Istio's would be enforced as DENY rules or ask as well.
 */
function customSets(
  facet: AuthorizationFacet,
  tcp: boolean,
): { readonly set: RuleSet; readonly authorizer: ExternalAuthorizer | undefined }[] {
  const policies = facet.policies.filter((policy) => policy.action === 'CUSTOM' && !policy.dryRun);
  const providers = [...new Set(policies.map((policy) => policy.provider))].sort();
  return providers.flatMap((provider) => {
    const authorizer =
      facet.mayAskSeveral || providers.length === 1
        ? facet.authorizers.find(({ name }) => name === provider)
        : undefined;
    const chosen = policies.filter((policy) => policy.provider === provider);
    const suffix = authorizer === undefined ? '-deny-due-to-bad-CUSTOM-action' : '';
    const rules = rbac(chosen, RBAC_Action.DENY, facet.trustDomains, tcp, suffix);
    if (Object.keys(rules.policies ?? {}).length === 0) return [];
    const set: RuleSet =
      authorizer === undefined
        ? { rules, shadowRules: undefined, shadowPrefix: '' }
        : { rules: undefined, shadowRules: rules, shadowPrefix: CUSTOM_SHADOW_PREFIX };
    return [{ set, authorizer }];
  });
}

function rbac(
  policies: readonly WorkloadPolicy[],
  action: RBAC_Action,
  trustDomains: readonly string[],
  tcp: boolean,
  suffix = '',
): Rbac {
  const strict = action === RBAC_Action.ALLOW;
  const built: Record<string, RbacPolicy> = {};
  for (const policy of policies) {
    const context = { tcp, strict, namespace: policy.namespace };
    if (policy.rules.length === 0) built[policyName(policy, 0) + suffix] = neverMatches();
    for (const [at, rule] of policy.rules.entries()) {
      const one = buildRule(rule, trustDomains, context);
      if (one !== undefined) built[policyName(policy, at) + suffix] = one;
    }
  }
  return { action, policies: built as NonNullable<Rbac['policies']> };
}

/** The name that logs and response code details show. */
function policyName(policy: WorkloadPolicy, rule: number): string {
  const prefix = policy.action === 'CUSTOM' ? customRulePrefix(policy.provider) : '';
  return `${prefix}ns[${policy.namespace}]-policy[${policy.name}]-rule[${rule}]`;
}
