/** The TCP proxy network filter: one cluster, or several by weight. Source: Envoy tcp_proxy v3. */
import { create } from '@bufbuild/protobuf';
import type { AccessLog } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import {
  type TcpProxy,
  TcpProxy_TcpAccessLogOptionsSchema,
  TcpProxy_TunnelingConfigSchema,
  TcpProxySchema,
} from '#proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import { HashPolicySchema } from '#proto/envoy/type/v3/hash_policy_pb.ts';
import type { StreamSettings } from '#scope/stream-settings.ts';
import { durationFromMs } from '#xds/duration.ts';
import { packAny } from '#xds/encode.ts';

/** One destination of a TCP route; weights are relative. */
export interface WeightedCluster {
  readonly cluster: string;
  readonly weight: number;
}

/** Settings of a stream beyond where it goes; see scope/stream-settings.ts. */
export type TcpProxySettings = Omit<StreamSettings, 'idleTimeoutMs'>;

export interface TcpProxyInput {
  readonly statPrefix: string;
  /** At least one; a single one ignores its weight, unless all are said to be weighted. */
  readonly clusters: readonly WeightedCluster[];
  /** Written as weighted even where only one has a weight. */
  readonly weighted?: boolean;
  /** Closes connections idle longer than this; 0 leaves Envoy's default of an hour. */
  readonly idleTimeoutMs: number;
  readonly accessLog: readonly AccessLog[];
  /**
   * Loggers hear of an open connection at this interval instead of when upstream is connected; 0 for the latter, undefined for
   * neither.
   */
  readonly logIntervalMs: number | undefined;
  readonly settings?: TcpProxySettings;
}

/** Builds the network filter `envoy.filters.network.tcp_proxy`. */
export function buildTcpProxy(input: TcpProxyInput): Filter {
  const [first] = input.clusters;
  const proxy = create(TcpProxySchema, {
    statPrefix: input.statPrefix,
    accessLog: [...input.accessLog],
    clusterSpecifier:
      input.clusters.length === 1 && first !== undefined && input.weighted !== true
        ? { case: 'cluster', value: first.cluster }
        : {
            case: 'weightedClusters',
            value: { clusters: input.clusters.map(({ cluster, weight }) => ({ name: cluster, weight })) },
          },
  });
  const { logIntervalMs } = input;
  if (input.accessLog.length > 0 && logIntervalMs !== undefined) {
    proxy.accessLogOptions = create(
      TcpProxy_TcpAccessLogOptionsSchema,
      logIntervalMs > 0
        ? { accessLogFlushInterval: durationFromMs(logIntervalMs) }
        : { flushAccessLogOnConnected: true },
    );
  }
  if (input.idleTimeoutMs > 0) proxy.idleTimeout = durationFromMs(input.idleTimeoutMs);
  if (input.settings !== undefined) applySettings(input.settings, proxy);
  return create(FilterSchema, {
    name: 'envoy.filters.network.tcp_proxy',
    configType: { case: 'typedConfig', value: packAny(TcpProxySchema, proxy) },
  });
}

function applySettings({ maxDurationMs, hashSourceIp, tunnel }: TcpProxySettings, proxy: TcpProxy): void {
  if (maxDurationMs > 0) proxy.maxDownstreamConnectionDuration = durationFromMs(maxDurationMs);
  if (hashSourceIp) {
    proxy.hashPolicy = [create(HashPolicySchema, { policySpecifier: { case: 'sourceIp', value: {} } })];
  }
  if (tunnel !== undefined) {
    const { target: hostname, usePost } = tunnel;
    proxy.tunnelingConfig = create(TcpProxy_TunnelingConfigSchema, { hostname, usePost });
  }
}
