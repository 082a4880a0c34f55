/**
 * The network filters of a chain, in order, each until one takes the connection: the HTTP connection manager or the TCP
 * proxy, as a rule. Source: envoy source/extensions/filters/network/{rbac,tcp_proxy,sni_cluster}.
 */
import { isMessage, type JsonObject, type Message } from '@bufbuild/protobuf';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { ExtAuthzSchema } from '#proto/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.ts';
import { HttpConnectionManagerSchema } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { type RBAC, RBACSchema } from '#proto/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts';
import { ConfigSchema as SetFilterStateSchema } from '#proto/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.ts';
import { SniClusterSchema } from '#proto/envoy/extensions/filters/network/sni_cluster/v3/sni_cluster_pb.ts';
import {
  type TcpProxy,
  TcpProxySchema,
} from '#proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import type { CallRequest } from './call.ts';
import { findCluster, noteCluster } from './cluster.ts';
import { chooseEndpoints } from './endpoints.ts';
import type { Evaluation } from './evaluation.ts';
import { runConnectionManager } from '#simulation/http/connection-manager.ts';
import type { HttpConnection } from '#simulation/http/request-state.ts';
import { matchesMetadata } from '#simulation/match/value.ts';
import { causeOfPolicy, decide, shadowMetadata } from './rbac.ts';
import { openAny } from './resources.ts';
import type { Verdict } from './simulated-call.ts';

/** Also where Envoy keeps what RBAC filters found, whatever their names. */
const RBAC_FILTER = 'envoy.filters.network.rbac';

/** Runs the filters. */
export function runNetworkFilters(
  evaluation: Evaluation,
  filters: readonly Filter[],
  connection: HttpConnection,
  request: CallRequest | undefined,
): Verdict {
  const metadata = new Map<string, JsonObject>();
  let cluster: string | undefined;
  let denied: Verdict | undefined;
  for (const { name, configType } of filters) {
    const config = configType.case === 'typedConfig' ? openAny(configType.value) : undefined;
    if (config === undefined) {
      evaluation.notEvaluated('network-filter', name, 'no configuration that is known');
    } else if (isMessage(config, HttpConnectionManagerSchema)) {
      return denied ?? runConnectionManager(evaluation, config, connection, request);
    } else if (isMessage(config, TcpProxySchema)) {
      // RBAC waits for the first bytes, and the proxy finds its cluster before.
      const verdict = runTcpProxy(evaluation, config, connection, cluster);
      return verdict.kind === 'tcp' ? (denied ?? verdict) : verdict;
    } else if (isMessage(config, RBACSchema)) {
      denied ??= runRbac(evaluation, config, connection, metadata);
    } else if (isMessage(config, ExtAuthzSchema)) {
      const { filterEnabledMetadata: mark } = config;
      const isAsked = mark === undefined || matchesMetadata(mark, metadata);
      if (isAsked) evaluation.notEvaluated('network-filter', name, 'what the external authorizer answers');
    } else if (isMessage(config, SniClusterSchema)) {
      cluster = connection.facts.serverName || undefined;
    } else {
      passBy(evaluation, name, config);
    }
  }
  return { kind: 'not-evaluated', reason: 'no network filter took the connection' };
}

/** Filter state set by network filters is for logs and metrics. */
function passBy(evaluation: Evaluation, name: string, config: Message): void {
  if (!isMessage(config, SetFilterStateSchema))
    evaluation.notEvaluated('network-filter', name, config.$typeName);
}

function runRbac(
  evaluation: Evaluation,
  config: RBAC,
  { connection, facts, peer }: HttpConnection,
  metadata: Map<string, JsonObject>,
): Verdict | undefined {
  if (config.matcher !== undefined || config.shadowMatcher !== undefined) {
    evaluation.notEvaluated('network-filter', RBAC_FILTER, 'matcher tree');
  }
  const subject = {
    connection,
    serverName: facts.serverName,
    peer,
    remoteAddress: connection.sourceAddress,
    headers: undefined,
    metadata,
  };
  if (config.shadowRules !== undefined) {
    const found = shadowMetadata(
      config.shadowRulesStatPrefix,
      decide(evaluation, config.shadowRules, subject),
    );
    metadata.set(RBAC_FILTER, { ...metadata.get(RBAC_FILTER), ...found });
  }
  if (config.rules === undefined) return undefined;
  const { isAllowed, policy } = decide(evaluation, config.rules, subject);
  const matched = policy === undefined ? 'no policy matches' : `policy ${policy} matches`;
  const causes = policy === undefined ? [] : causeOfPolicy(policy);
  evaluation.note('network-filter', RBAC_FILTER, `${matched}: ${isAllowed ? 'goes on' : 'closed'}`, causes);
  return isAllowed ? undefined : { kind: 'tcp-denied', policy: policy ?? '' };
}

function runTcpProxy(
  evaluation: Evaluation,
  config: TcpProxy,
  { connection }: HttpConnection,
  override: string | undefined,
): Verdict {
  const name = override ?? tcpCluster(evaluation, config);
  const found = findCluster(evaluation, name);
  if (found === undefined) return { kind: 'tcp-no-cluster', cluster: name };
  const endpoints = chooseEndpoints(evaluation, found, connection, undefined);
  noteCluster(evaluation, found, endpoints);
  const isEmpty = endpoints.kind === 'known' && endpoints.endpoints.length === 0;
  return isEmpty ? { kind: 'tcp-no-endpoint', cluster: name } : { kind: 'tcp', cluster: name, endpoints };
}

function tcpCluster(evaluation: Evaluation, { clusterSpecifier: specifier }: TcpProxy): string {
  if (specifier.case !== 'weightedClusters') return specifier.value ?? '';
  const { clusters } = specifier.value;
  const index = evaluation.chance.pick(clusters.map(({ weight }) => weight));
  const name = clusters[index]?.name ?? '';
  evaluation.note('cluster', name, `chosen by weight, ${index + 1} of ${clusters.length}`);
  return name;
}
