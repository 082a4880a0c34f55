/**
 * The network filters of one inbound chain: who the peer is, may it connect, then HTTP or bytes.
 * The order is security's: peer facts first, authorization next, the application last.
 */
import type { AuthorizationFacet } from '#model/authorization.ts';
import type { AccessLog } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { RouteConfiguration } from '#proto/envoy/config/route/v3/route_pb.ts';
import type { Inbound } from '#scope/inbound.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { buildAccessLogs } from './access-log.ts';
import { buildHttpAuthorization, buildTcpAuthorization } from './authorization.ts';
import { buildHttpConnectionManager } from './http-connection-manager.ts';
import { inboundNetworkPeerFilters, inboundPeerFilters } from './peer-metadata.ts';
import { buildStatsLoggers } from './stats.ts';
import { buildTcpProxy } from './tcp-proxy.ts';

export interface InboundFilterInput {
  readonly inbound: Inbound;
  readonly facts: ListenerFacts;
  readonly authorization: AuthorizationFacet;
}

/** One chain to be filled. */
export interface InboundChainTarget {
  readonly carries: 'http' | 'tcp';
  /** Mesh mTLS ends in this chain, so that the peer is known. */
  readonly mutualTls: boolean;
  readonly cluster: string;
  readonly statPrefix: string;
  /** Workload port, 0 for pass-through. */
  readonly port: number;
  readonly routes: () => RouteConfiguration;
}

/** The filters in order, ending in the HTTP connection manager or the TCP proxy. */
export function inboundChainFilters(input: InboundFilterInput, target: InboundChainTarget): Filter[] {
  const peerFilters = inboundNetworkPeerFilters({ carries: target.carries, mutualTls: target.mutualTls });
  if (target.carries === 'http') return [...peerFilters, httpManager(input, target)];
  return [...peerFilters, ...buildTcpAuthorization(input.authorization), tcpFilter(input, target)];
}

function tcpFilter(input: InboundFilterInput, target: InboundChainTarget): Filter {
  return buildTcpProxy({
    statPrefix: target.cluster,
    clusters: [{ cluster: target.cluster, weight: 1 }],
    idleTimeoutMs: 0,
    accessLog: chainLogs(input, target),
    connectAfterHandshake: target.mutualTls,
  });
}

function httpManager(input: InboundFilterInput, target: InboundChainTarget): Filter {
  return buildHttpConnectionManager({
    direction: 'inbound',
    statPrefix: target.statPrefix,
    routes: { kind: 'inline', config: target.routes() },
    pathNormalization: input.facts.pathNormalization,
    accessLog: chainLogs(input, target),
    peerFilters: inboundPeerFilters({ carries: 'http', mutualTls: target.mutualTls }),
    securityFilters: buildHttpAuthorization(input.authorization),
    alpnFilters: [],
    streamIdleTimeoutMs: 0,
    http10: false,
    trustedHops: 0,
    mutualTls: target.mutualTls,
  });
}

function chainLogs(input: InboundFilterInput, target: InboundChainTarget): AccessLog[] {
  const { carries, mutualTls } = target;
  return [
    ...buildAccessLogs(input.facts.accessLog, carries),
    ...buildStatsLoggers({ protocol: carries, reporter: 'destination', mutualTls }),
  ];
}
