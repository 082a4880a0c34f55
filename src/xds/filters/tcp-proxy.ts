/** The TCP proxy network filter: one cluster, or several by weight. Source: Envoy tcp_proxy v3. */
import { create } from '@bufbuild/protobuf';
import type { AccessLog } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import {
  TcpProxy_TcpAccessLogOptionsSchema,
  TcpProxySchema,
  UpstreamConnectMode,
} from '#proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import { durationFromMs } from '#xds/duration.ts';
import { packAny } from '#xds/encode.ts';

/** One destination of a TCP route; weights are relative. */
export interface WeightedCluster {
  readonly cluster: string;
  readonly weight: number;
}

export interface TcpProxyInput {
  readonly statPrefix: string;
  /** At least one; a single one ignores its weight. */
  readonly clusters: readonly WeightedCluster[];
  /** Closes connections idle longer than this; 0 leaves Envoy's default of an hour. */
  readonly idleTimeoutMs: number;
  readonly accessLog: readonly AccessLog[];
  /** Connect upstream only when the caller's TLS handshake is done: then every log knows the caller. */
  readonly connectAfterHandshake?: boolean;
}

/** What a caller may send before the upstream connection stands. */
const MAX_EARLY_DATA_BYTES = 65_536;

/** Builds the network filter `envoy.filters.network.tcp_proxy`. */
export function buildTcpProxy(input: TcpProxyInput): Filter {
  const [first] = input.clusters;
  const proxy = create(TcpProxySchema, {
    statPrefix: input.statPrefix,
    accessLog: [...input.accessLog],
    clusterSpecifier:
      input.clusters.length === 1 && first !== undefined
        ? { case: 'cluster', value: first.cluster }
        : {
            case: 'weightedClusters',
            value: { clusters: input.clusters.map(({ cluster, weight }) => ({ name: cluster, weight })) },
          },
  });
  if (input.accessLog.length > 0) {
    proxy.accessLogOptions = create(TcpProxy_TcpAccessLogOptionsSchema, { flushAccessLogOnConnected: true });
  }
  if (input.connectAfterHandshake === true) {
    proxy.upstreamConnectMode = UpstreamConnectMode.ON_DOWNSTREAM_TLS_HANDSHAKE;
    proxy.maxEarlyDataBytes = MAX_EARLY_DATA_BYTES;
  }
  if (input.idleTimeoutMs > 0) proxy.idleTimeout = durationFromMs(input.idleTimeoutMs);
  return create(FilterSchema, {
    name: 'envoy.filters.network.tcp_proxy',
    configType: { case: 'typedConfig', value: packAny(TcpProxySchema, proxy) },
  });
}
