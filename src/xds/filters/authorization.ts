/**
 * AuthorizationPolicies of one workload as Envoy's RBAC filters, for HTTP and for connections. Order is meaning: CUSTOM, then
 * AUDIT, then DENY, then ALLOW; the first refusal ends it. A refusal names its policy in the response code details.
 * Source: istio pilot/pkg/security/authz/builder/builder.go.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { AuthorizationAction, AuthorizationFacet, WorkloadPolicy } from '#model/authorization.ts';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { RBACSchema } from '#proto/envoy/config/rbac/v3/rbac_pb.ts';
import { RBAC_Action } from '#proto/envoy/config/rbac/v3/rbac_pb.ts';
import { RBACSchema as HttpRbacSchema } from '#proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { RBACSchema as NetworkRbacSchema } from '#proto/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts';
import { packAny } from '#xds/encode.ts';
import { buildRule, neverMatches, type RbacPolicy } from './authorization-rule.ts';
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

/** HTTP filters in their final order. */
export function buildHttpAuthorization(facet: AuthorizationFacet): HttpFilter[] {
  return ruleSets(facet, false).map((set) =>
    httpFilter(
      'envoy.filters.http.rbac',
      packAny(
        HttpRbacSchema,
        create(HttpRbacSchema, {
          ...(set.rules === undefined ? {} : { rules: set.rules }),
          ...shadowOf(set),
        }),
      ),
    ),
  );
}

/** Network filters of a chain that carries bytes, in their final order. */
export function buildTcpAuthorization(facet: AuthorizationFacet): Filter[] {
  return ruleSets(facet, true).map((set) => {
    const config = create(NetworkRbacSchema, {
      ...(set.rules === undefined ? {} : { rules: set.rules }),
      ...shadowOf(set),
      statPrefix: 'tcp.',
    });
    return create(FilterSchema, {
      name: 'envoy.filters.network.rbac',
      configType: { case: 'typedConfig', value: packAny(NetworkRbacSchema, config) },
    });
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
  const present = sets.filter((set) => set.rules !== undefined || set.shadowRules !== undefined);
  return [...customDenials(facet, tcp), ...present];
}

/**
 * CUSTOM policies, whose external authorizers nobody calls yet: what they select is denied, under the names that Istio
 * gives where it can't find the provider (law 9: what restricts fails closed).
 */
function customDenials(facet: AuthorizationFacet, tcp: boolean): RuleSet[] {
  const policies = facet.policies.filter((policy) => policy.action === 'CUSTOM' && !policy.dryRun);
  const providers = [...new Set(policies.map((policy) => policy.provider))].sort();
  return providers.flatMap((provider) => {
    const chosen = policies.filter((policy) => policy.provider === provider);
    const rules = rbac(chosen, RBAC_Action.DENY, facet.trustDomains, tcp);
    return Object.keys(rules.policies ?? {}).length === 0
      ? []
      : [{ rules, shadowRules: undefined, shadowPrefix: '' }];
  });
}

function rbac(
  policies: readonly WorkloadPolicy[],
  action: RBAC_Action,
  trustDomains: readonly string[],
  tcp: boolean,
): Rbac {
  const strict = action === RBAC_Action.ALLOW;
  const built: Record<string, RbacPolicy> = {};
  for (const policy of policies) {
    const context = { tcp, strict, namespace: policy.namespace };
    if (policy.rules.length === 0) built[policyName(policy, 0)] = neverMatches();
    for (const [at, rule] of policy.rules.entries()) {
      const one = buildRule(rule, trustDomains, context);
      if (one !== undefined) built[policyName(policy, at)] = one;
    }
  }
  return { action, policies: built as NonNullable<Rbac['policies']> };
}

/** The name that logs and response code details show. */
function policyName(policy: WorkloadPolicy, rule: number): string {
  const name = `ns[${policy.namespace}]-policy[${policy.name}]-rule[${rule}]`;
  return policy.action === 'CUSTOM'
    ? `istio-ext-authz-${policy.provider}-${name}-deny-due-to-bad-CUSTOM-action`
    : name;
}
