/**
 * The RBAC filter, and which requests an external authorizer is asked about. What it answers nobody knows here: the request
 * goes on, and the step says so.
 */
import type { ExtAuthz } from '#proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts';
import { type RBAC, RBACPerRouteSchema } from '#proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts';
import { isMessage } from '@bufbuild/protobuf';
import type { Evaluation } from '#simulation/evaluation.ts';
import { matchesMetadata } from '#simulation/match/value.ts';
import { causeOfPolicy, decide, type RbacDecision, shadowMetadata } from '#simulation/rbac.ts';
import type { Verdict } from '#simulation/simulated-call.ts';
import type { PerRoute } from './per-route.ts';
import { type RequestState, rbacSubject } from './request-state.ts';
import { localStatus, routeOf } from './router.ts';

const FORBIDDEN = 403;
/** Where Envoy keeps what RBAC filters found, whatever their names. */
const RBAC_METADATA = 'envoy.filters.http.rbac';

/** The refusal, or nothing. What shadow rules find is left in metadata. */
export function runRbac(
  evaluation: Evaluation,
  state: RequestState,
  name: string,
  config: RBAC | undefined,
): Verdict | undefined {
  if (config?.matcher !== undefined || config?.shadowMatcher !== undefined) {
    evaluation.notEvaluated('http-filter', name, 'matcher tree');
  }
  if (config?.shadowRules !== undefined) {
    const found = decide(evaluation, config.shadowRules, rbacSubject(state));
    const kept = state.metadata.get(RBAC_METADATA) ?? {};
    state.metadata.set(RBAC_METADATA, { ...kept, ...shadowMetadata(config.shadowRulesStatPrefix, found) });
  }
  if (config?.rules === undefined) return undefined;
  const { isAllowed, policy } = decide(evaluation, config.rules, rbacSubject(state));
  noteDecision(evaluation, name, { isAllowed, policy });
  if (isAllowed) return undefined;
  return {
    kind: 'denied',
    status: localStatus(state, FORBIDDEN),
    details: `rbac_access_denied_matched_policy[${policy ?? 'none'}]`,
    route: routeOf(state)?.name ?? '',
    policy: policy ?? '',
  };
}

function noteDecision(evaluation: Evaluation, name: string, { isAllowed, policy }: RbacDecision): void {
  const matched = policy === undefined ? 'no policy matches' : `policy ${policy} matches`;
  const causes = policy === undefined ? [] : causeOfPolicy(policy);
  evaluation.note('http-filter', name, `${matched}: ${isAllowed ? 'goes on' : 'denied'}`, causes);
}

/** The settings of a route before the filter's own. */
export function rbacConfig(config: RBAC, { configs }: PerRoute): RBAC | undefined {
  const specific = configs.find((message) => isMessage(message, RBACPerRouteSchema));
  return specific === undefined ? config : specific.rbac;
}

/** Notes that somebody else is asked, where the marks that shadow rules have left say so. */
export function runExternalAuthorization(
  evaluation: Evaluation,
  { metadata }: RequestState,
  name: string,
  { filterEnabledMetadata }: ExtAuthz,
): void {
  if (filterEnabledMetadata !== undefined && !matchesMetadata(filterEnabledMetadata, metadata)) return;
  evaluation.notEvaluated('http-filter', name, 'what the external authorizer answers');
}
