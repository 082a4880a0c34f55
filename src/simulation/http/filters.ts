/**
 * The HTTP filters of a connection manager, in order, each until one answers; the router always does. A filter that is not known
 * is named in a step and passed by.
 */
import { isMessage, type Message } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { CorsPolicySchema, CorsSchema } from '#proto/envoy/extensions/filters/http/cors/v3/cors_pb.ts';
import { ExtAuthzSchema } from '#proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts';
import { HTTPFaultSchema } from '#proto/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import { FilterConfigSchema as GrpcStatsSchema } from '#proto/envoy/extensions/filters/http/grpc_stats/v3/config_pb.ts';
import { HeaderMutationSchema } from '#proto/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.ts';
import { JwtAuthenticationSchema } from '#proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts';
import { RBACSchema } from '#proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts';
import { RouterSchema } from '#proto/envoy/extensions/filters/http/router/v3/router_pb.ts';
import { ConfigSchema as SetFilterStateSchema } from '#proto/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { Evaluation } from '#simulation/evaluation.ts';
import { decodeExtension, openAny } from '#simulation/resources.ts';
import type { Verdict } from '#simulation/simulated-call.ts';
import { rbacConfig, runExternalAuthorization, runRbac } from './authorization.ts';
import { chooseCluster } from './cluster-choice.ts';
import { runCors } from './cors.ts';
import { runFault } from './fault.ts';
import { runHeaderMutation } from './header-mutation.ts';
import { runJwt } from './jwt.ts';
import { type PerRoute, perRoute } from './per-route.ts';
import type { RequestState } from './request-state.ts';
import { runRouter } from './router.ts';
import { runSetFilterState } from './set-filter-state.ts';

/** Runs the filters. */
export function runHttpFilters(evaluation: Evaluation, state: RequestState): Verdict {
  for (const filter of state.manager.httpFilters) {
    const cluster = (): number => chooseCluster(evaluation, state)?.index ?? -1;
    const override = perRoute(state, filter.name, cluster);
    // A filter that is off in the chain is on where a route has settings for it.
    if (override.isDisabled || (filter.disabled && override.configs.length === 0)) continue;
    const verdict = runFilter(evaluation, state, filter, override);
    if (verdict !== undefined) return verdict;
  }
  return { kind: 'not-evaluated', reason: 'no filter answered' };
}

function runFilter(
  evaluation: Evaluation,
  state: RequestState,
  filter: HttpFilter,
  override: PerRoute,
): Verdict | undefined {
  const any = configOf(evaluation, filter);
  const config = any === undefined ? undefined : openAny(any);
  if (config === undefined) {
    evaluation.notEvaluated('http-filter', filter.name, 'no configuration that is known');
    return undefined;
  }
  if (isMessage(config, RouterSchema)) return runRouter(evaluation, state);
  if (isMessage(config, RBACSchema))
    return runRbac(evaluation, state, filter.name, rbacConfig(config, override));
  if (isMessage(config, HTTPFaultSchema)) {
    const specific = override.configs.find((message) => isMessage(message, HTTPFaultSchema));
    return runFault(evaluation, state, specific ?? config);
  }
  if (isMessage(config, CorsSchema)) {
    const policies = override.configs.filter((message) => isMessage(message, CorsPolicySchema));
    return runCors(evaluation, state, policies);
  }
  if (isMessage(config, JwtAuthenticationSchema)) return runJwt(evaluation, state, config);
  return runQuietly(evaluation, state, filter.name, config);
}

/** Filters that never answer. */
function runQuietly(evaluation: Evaluation, state: RequestState, name: string, config: Message): undefined {
  if (isMessage(config, HeaderMutationSchema)) runHeaderMutation(state, config);
  else if (isMessage(config, SetFilterStateSchema)) runSetFilterState(state, config);
  else if (isMessage(config, ExtAuthzSchema)) runExternalAuthorization(evaluation, state, name, config);
  else if (!isMessage(config, GrpcStatsSchema))
    evaluation.notEvaluated('http-filter', name, config.$typeName);
}

function configOf(evaluation: Evaluation, { name, configType }: HttpFilter): Any | undefined {
  if (configType.case === 'typedConfig') return configType.value;
  if (configType.case !== 'configDiscovery') return undefined;
  const entry = evaluation.snapshot.extensions.get(name);
  return entry === undefined ? configType.value.defaultConfig : decodeExtension(entry.resource).typedConfig;
}
