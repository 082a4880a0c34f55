/**
 * The network filters of one inbound chain: who the peer is, may it connect, then HTTP or bytes.
 * The order is security's: peer facts first, authorization next, the application last.
 */
import { identityMemo } from '#collections/identity-memo.ts';
import type { RequestPolicyFacet } from '#model/request-policy.ts';
import type { AccessLog } from '#proto/envoy/config/accesslog/v3/accesslog_pb.ts';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { RouteConfiguration } from '#proto/envoy/config/route/v3/route_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { Inbound } from '#scope/inbound.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { buildAccessLogs } from './access-log.ts';
import { buildTcpAuthorization } from './authorization.ts';
import { buildHttpConnectionManager, NO_FILTERS } from './http-connection-manager.ts';
import { inboundNetworkPeerFilters, inboundPeerFilters } from './peer-metadata.ts';
import { buildRequestPolicy } from './request-policy.ts';
import { buildStatsLoggers, OPENED_REPORT_MS } from './stats.ts';
import { buildTcpProxy } from './tcp-proxy.ts';

export interface InboundFilterInput {
  readonly inbound: Inbound;
  readonly facts: ListenerFacts;
  readonly policies: RequestPolicyFacet;
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
  const parts = chainParts(input.facts)[partsName(target)];
  if (target.carries === 'http') return [...parts.networkPeerFilters, httpManager(input, target, parts)];
  return [...parts.networkPeerFilters, ...policyFilters(input.policies).tcp, tcpFilter(target, parts)];
}

/** What chains of one kind share: it is large, and the same in every listener of the mesh. */
interface ChainParts {
  readonly networkPeerFilters: readonly Filter[];
  readonly httpPeerFilters: readonly HttpFilter[];
  readonly accessLog: readonly AccessLog[];
}

type PartsName = `${'http' | 'tcp'} ${'mesh' | 'plain'}`;

function partsName({ carries, mutualTls }: InboundChainTarget): PartsName {
  return `${carries} ${mutualTls ? 'mesh' : 'plain'}`;
}

/** Built once per mesh facts, by identity: pure functions of them, so that remembering changes nothing but the cost. */
const chainParts = identityMemo((facts: ListenerFacts): Readonly<Record<PartsName, ChainParts>> => {
  const build = (carries: 'http' | 'tcp', mutualTls: boolean): ChainParts => ({
    networkPeerFilters: inboundNetworkPeerFilters({ carries, mutualTls }),
    httpPeerFilters: inboundPeerFilters({ carries, mutualTls }),
    accessLog: [
      ...buildAccessLogs(facts.accessLog, carries),
      ...buildStatsLoggers({ protocol: carries, reporter: 'destination', mutualTls }),
    ],
  });
  return {
    'http mesh': build('http', true),
    'http plain': build('http', false),
    'tcp mesh': build('tcp', true),
    'tcp plain': build('tcp', false),
  };
});

/** The policies of a workload stand in each of its chains; encoded once. */
const policyFilters = identityMemo((facet: RequestPolicyFacet) => ({
  http: buildRequestPolicy(facet, false),
  tcp: buildTcpAuthorization(facet),
}));

function tcpFilter(target: InboundChainTarget, parts: ChainParts): Filter {
  return buildTcpProxy({
    statPrefix: target.cluster,
    clusters: [{ cluster: target.cluster, weight: 1 }],
    idleTimeoutMs: 0,
    accessLog: parts.accessLog,
    logIntervalMs: target.mutualTls ? OPENED_REPORT_MS : 0,
  });
}

function httpManager(input: InboundFilterInput, target: InboundChainTarget, parts: ChainParts): Filter {
  return buildHttpConnectionManager({
    direction: 'inbound',
    statPrefix: target.statPrefix,
    routes: { kind: 'inline', config: target.routes() },
    pathNormalization: input.facts.pathNormalization,
    accessLog: parts.accessLog,
    peerFilters: parts.httpPeerFilters,
    securityFilters: policyFilters(input.policies).http,
    alpnFilters: NO_FILTERS,
    streamIdleTimeoutMs: 0,
    http10: false,
    trustedHops: 0,
  });
}
