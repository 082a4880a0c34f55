/** The network filters of outbound chains: HTTP by a named route table, or bytes to clusters. */
import { identityMemo } from '#collections/identity-memo.ts';
import type { AccessLog } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { Protocol } from '#model/service.ts';
import type { HttpSettings } from '#scope/http-settings.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { httpFiltersWith, networkFiltersWith } from '#xds/extensions/extension-filters.ts';
import type { ListenerExtensions } from '#xds/extensions/listener-extensions.ts';
import type { HttpTarget } from '#scope/outbound-listener-chains.ts';
import type { StreamSettings } from '#scope/stream-settings.ts';
import { BLACK_HOLE_CLUSTER, outboundClusterName, PASSTHROUGH_CLUSTER } from '#xds/names.ts';
import { type AccessLogInput, buildAccessLogs } from './access-log.ts';
import { alpnFilters } from './alpn.ts';
import { forwardHttpFilter, forwardSniFilter, forwardUnknownFilter } from './dynamic-forward.ts';
import {
  buildHttpConnectionManager,
  type HttpPortTraits,
  NO_FILTERS,
  type RouteSource,
} from './http-connection-manager.ts';
import { outboundPeerFilters } from './peer-metadata.ts';
import { streamEndFilters } from './protocol-filters.ts';
import { NO_POLICIES } from './request-policy.ts';
import { buildStatsLoggers } from './stats.ts';
import { buildTcpProxy, type WeightedCluster } from './tcp-proxy.ts';

/** HTTP to a route table by name. */
export function outboundHttpFilters(
  facts: ListenerFacts,
  extensions: ListenerExtensions,
  statPrefix: string,
  target: HttpTarget,
): Filter[] {
  const { routeTable, protocol, dynamicHost } = target;
  return outboundManagerFilters(facts, {
    statPrefix,
    routes: { kind: 'rds', name: routeTable },
    port: { grpcWeb: protocol === 'GRPCWeb' },
    dynamicHost,
    extensions,
  });
}

/** What one connection manager of a sidecar's outbound side has of its own. */
export interface OutboundManagerInput {
  readonly statPrefix: string;
  readonly routes: RouteSource;
  readonly port: HttpPortTraits;
  /** Wildcard host whose requests are looked up by name; '' as a rule. */
  readonly dynamicHost: string;
  readonly extensions: ListenerExtensions;
}

/** Extensions for connections, then a connection manager of a sidecar's outbound side. */
export function outboundManagerFilters(facts: ListenerFacts, input: OutboundManagerInput): Filter[] {
  const extensions = callerExtensionFilters(input.extensions);
  const manager = buildHttpConnectionManager({
    direction: 'outbound',
    statPrefix: input.statPrefix,
    routes: input.routes,
    settings: facts.http,
    tracing: facts.tracing,
    ...callerHttpParts(facts),
    securityFilters: extensions.http,
    forwardFilters: forwardFilters(facts)(input.dynamicHost),
    port: input.port,
  });
  return [...extensions.network, manager];
}

/** One list per host, by identity of the facts. */
const forwardFilters = identityMemo((facts: ListenerFacts) => {
  const known = new Map<string, readonly HttpFilter[]>();
  const build = (host: string): readonly HttpFilter[] => [
    ...(host === '' ? [] : [forwardHttpFilter(host, facts)]),
    ...(facts.outboundPolicy === 'ALLOW_ANY_DYNAMIC_DNS' ? [forwardUnknownFilter(facts)] : []),
  ];
  return (host: string): readonly HttpFilter[] => {
    const filters = known.get(host) ?? build(host);
    known.set(host, filters);
    return filters.length === 0 ? NO_FILTERS : filters;
  };
});

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
  readonly http?: Pick<HttpSettings, 'peerFactsInMeshOnly'>;
}

/** Logs, metrics as the source, our own facts for the called side, and mesh ALPN. Built once per facts, by identity. */
export const callerHttpParts: (facts: CallerFacts) => CallerHttpParts = identityMemo(
  (facts: CallerFacts) => ({
    accessLog: [
      ...buildAccessLogs(facts.accessLog, 'http'),
      ...buildStatsLoggers({ protocol: 'http', reporter: 'source', mutualTls: false }),
    ],
    peerFilters: outboundPeerFilters(facts.http?.peerFactsInMeshOnly),
    alpnFilters: alpnFilters(),
  }),
);

/** Logs and metrics of every TCP proxy that calls others. Built once per facts, by identity. */
export const callerTcpLogs: (facts: CallerFacts) => readonly AccessLog[] = identityMemo(
  (facts: CallerFacts) => [
    ...buildAccessLogs(facts.accessLog, 'tcp'),
    ...buildStatsLoggers({
      protocol: 'tcp',
      reporter: 'source',
      mutualTls: false,
      hearsOpen: facts.accessLog.hearsOpen !== false,
    }),
  ],
);

/** Where bytes go, and how. */
export interface OutboundStream {
  /** Name for statistics; '' for that of the first cluster. */
  readonly label: string;
  /** A rule names several destinations, also where only one of them has a weight. */
  readonly isWeighted: boolean;
  readonly clusters: readonly WeightedCluster[];
  readonly settings: StreamSettings;
  readonly protocol: Protocol;
  /** Port of the listener. */
  readonly port: number;
  /** Wildcard host whose connections are looked up by server name; '' as a rule. */
  readonly dynamicHost: string;
  readonly extensions: ListenerExtensions;
}

/** Extensions for connections, then bytes to one cluster, or to several by weight. */
export function outboundStreamFilters(facts: ListenerFacts, stream: OutboundStream): Filter[] {
  return [...callerExtensionFilters(stream.extensions).network, ...callerStreamFilters(facts, stream)];
}

/** The bytes alone: gateways have filters of their own before these. */
export function callerStreamFilters(
  facts: ListenerFacts,
  stream: Omit<OutboundStream, 'extensions'>,
): Filter[] {
  const { clusters, settings, protocol, port, dynamicHost } = stream;
  const cluster = clusters[0]?.cluster ?? '';
  const statPrefix = stream.label || cluster;
  const tcpProxy = buildTcpProxy({
    statPrefix,
    clusters,
    weighted: stream.isWeighted,
    idleTimeoutMs: settings.idleTimeoutMs || facts.http.idleTimeoutMs,
    logIntervalMs: facts.accessLog.hearsOpen ? 0 : undefined,
    accessLog: callerTcpLogs(facts),
    settings,
  });
  return [
    ...(dynamicHost === '' ? [] : [forwardSniFilter(dynamicHost, port, facts)]),
    ...streamEndFilters({ protocol, flags: facts.flags, statPrefix, cluster, tcpProxy }),
  ];
}

/** The cluster of destinations that the mesh does not know. */
export function unknownCluster({ outboundPolicy, egressProxy }: ListenerFacts): string {
  if (outboundPolicy === 'REGISTRY_ONLY') return BLACK_HOLE_CLUSTER;
  if (egressProxy === undefined) return PASSTHROUGH_CLUSTER;
  return outboundClusterName(egressProxy.port, egressProxy.subset, egressProxy.hostname);
}

/** Bytes to where nobody in the mesh is. */
export function unknownStream(facts: ListenerFacts): Filter[] {
  return [plainStream(facts, unknownCluster(facts))];
}

/** Bytes to one cluster, without anybody's settings. */
export function plainStream(facts: ListenerFacts, cluster: string): Filter {
  return buildTcpProxy({
    statPrefix: cluster,
    clusters: [{ cluster, weight: 0 }],
    idleTimeoutMs: facts.http.idleTimeoutMs,
    logIntervalMs: facts.accessLog.hearsOpen ? 0 : undefined,
    accessLog: callerTcpLogs(facts),
  });
}
