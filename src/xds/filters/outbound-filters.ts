/** The network filters of outbound chains: HTTP by a named route table, or bytes to clusters. */
import { identityMemo } from '#collections/identity-memo.ts';
import type { AccessLog } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { httpFiltersWith, networkFiltersWith } from '#xds/extensions/extension-filters.ts';
import type { ListenerExtensions } from '#xds/extensions/listener-extensions.ts';
import { type AccessLogInput, buildAccessLogs } from './access-log.ts';
import { alpnFilters } from './alpn.ts';
import { buildHttpConnectionManager } from './http-connection-manager.ts';
import { outboundPeerFilters } from './peer-metadata.ts';
import { NO_POLICIES } from './request-policy.ts';
import { buildStatsLoggers } from './stats.ts';
import { buildTcpProxy, type WeightedCluster } from './tcp-proxy.ts';

/** HTTP to a route table. */
export interface OutboundHttpTarget {
  readonly statPrefix: string;
  readonly routeName: string;
  readonly extensions: ListenerExtensions;
}

/** HTTP to the route table `routeName`: extensions for connections, then the connection manager. */
export function outboundHttpFilters(facts: ListenerFacts, target: OutboundHttpTarget): Filter[] {
  const { network } = callerExtensionFilters(target.extensions);
  return [...network, outboundHttpManager(facts, target)];
}

function outboundHttpManager(
  facts: ListenerFacts,
  { statPrefix, routeName, extensions }: OutboundHttpTarget,
): Filter {
  return buildHttpConnectionManager({
    direction: 'outbound',
    statPrefix,
    routes: { kind: 'rds', name: routeName },
    pathNormalization: facts.pathNormalization,
    ...callerHttpParts(facts),
    securityFilters: callerExtensionFilters(extensions).http,
    streamIdleTimeoutMs: 0,
    http10: false,
    trustedHops: 0,
  });
}

/** What every connection manager that calls others has, sidecars' outbound ones and gateways' alike. */
export interface CallerHttpParts {
  readonly accessLog: readonly AccessLog[];
  readonly peerFilters: readonly HttpFilter[];
  readonly alpnFilters: readonly HttpFilter[];
}

/** Extensions where there are no policies beside them. Built once per listener's extensions, by identity. */
export const callerExtensionFilters = identityMemo((extensions: ListenerExtensions) => ({
  http: httpFiltersWith(NO_POLICIES, extensions.http),
  network: networkFiltersWith(NO_POLICIES, extensions.network),
}));

interface CallerFacts {
  readonly accessLog: AccessLogInput;
}

/** Logs, metrics as the source, our own facts for the called side, and mesh ALPN. Built once per facts, by identity. */
export const callerHttpParts: (facts: CallerFacts) => CallerHttpParts = identityMemo(
  (facts: CallerFacts) => ({
    accessLog: [
      ...buildAccessLogs(facts.accessLog, 'http'),
      ...buildStatsLoggers({ protocol: 'http', reporter: 'source', mutualTls: false }),
    ],
    peerFilters: outboundPeerFilters(),
    alpnFilters: alpnFilters(),
  }),
);

/** Logs and metrics of every TCP proxy that calls others. Built once per facts, by identity. */
export const callerTcpLogs: (facts: CallerFacts) => readonly AccessLog[] = identityMemo(
  (facts: CallerFacts) => [
    ...buildAccessLogs(facts.accessLog, 'tcp'),
    ...buildStatsLoggers({ protocol: 'tcp', reporter: 'source', mutualTls: false }),
  ],
);

/** Bytes to one cluster, or to several by weight. */
export function outboundTcpFilter(
  facts: ListenerFacts,
  statPrefix: string,
  clusters: readonly WeightedCluster[],
): Filter {
  return buildTcpProxy({
    statPrefix,
    clusters,
    idleTimeoutMs: 0,
    logIntervalMs: 0,
    accessLog: callerTcpLogs(facts),
  });
}
