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
import type { Protocol } from '#model/service.ts';
import { isHttp2 } from '#model/service-protocol.ts';
import type { ExtensionFacet } from '#scope/extension.ts';
import type { Inbound } from '#scope/inbound.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { httpFiltersWith, networkFiltersWith } from '#xds/extensions/extension-filters.ts';
import { extensionsAt, type ListenerExtensions } from '#xds/extensions/listener-extensions.ts';
import { buildAccessLogs } from './access-log.ts';
import { buildHttpConnectionManager, NO_FILTERS } from './http-connection-manager.ts';
import { inboundNetworkPeerFilters, inboundPeerFilters } from './peer-metadata.ts';
import { streamEndFilters } from './protocol-filters.ts';
import { buildConnectionPolicy, buildRequestPolicy, NO_POLICIES } from './request-policy.ts';
import { buildStatsLoggers, OPENED_REPORT_MS } from './stats.ts';
import { buildTcpProxy } from './tcp-proxy.ts';

export interface InboundFilterInput {
  readonly inbound: Inbound;
  readonly facts: ListenerFacts;
  readonly policies: RequestPolicyFacet;
  readonly extensions: ExtensionFacet;
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
  /** Port of the service that leads here, 0 for pass-through. */
  readonly servicePort: number;
  readonly protocol: Protocol;
  readonly routes: () => RouteConfiguration;
}

/** The filters in order, ending in the HTTP connection manager or the TCP proxy. */
export function inboundChainFilters(input: InboundFilterInput, target: InboundChainTarget): Filter[] {
  const parts = chainParts(input.facts)[partsName(target)];
  // As in Istio, selectors of extensions mean the workload's port where HTTP is spoken, else the service's.
  const port = target.carries === 'http' ? target.port : target.servicePort;
  const extensions = extensionsAt(input.extensions, { side: 'SERVER', port });
  const filters = securityFilters(input.policies, extensions);
  return target.carries === 'http'
    ? [...parts.networkPeerFilters, ...filters.connection, httpManager(input, target, filters.http)]
    : [...parts.networkPeerFilters, ...filters.tcp, ...tcpFilters(input, target, parts)];
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
  const { hearsOpen } = facts.accessLog;
  const build = (carries: 'http' | 'tcp', mutualTls: boolean): ChainParts => ({
    networkPeerFilters: inboundNetworkPeerFilters({ carries, mutualTls }),
    httpPeerFilters: inboundPeerFilters({ carries, mutualTls }),
    accessLog: [
      ...buildAccessLogs(facts.accessLog, carries),
      ...buildStatsLoggers({ protocol: carries, reporter: 'destination', mutualTls, hearsOpen }),
    ],
  });
  return {
    'http mesh': build('http', true),
    'http plain': build('http', false),
    'tcp mesh': build('tcp', true),
    'tcp plain': build('tcp', false),
  };
});

/** The policies of a workload stand in each of its chains, extensions between them; encoded once for chains with the same. */
const securityFilters = identityMemo((facet: RequestPolicyFacet, extensions: ListenerExtensions) => ({
  http: httpFiltersWith(buildRequestPolicy(facet, false), extensions.http),
  /** In front of an HTTP connection manager. */
  connection: networkFiltersWith(NO_POLICIES, extensions.network),
  tcp: networkFiltersWith(buildConnectionPolicy(facet), extensions.network),
}));

function tcpFilters({ facts }: InboundFilterInput, target: InboundChainTarget, parts: ChainParts): Filter[] {
  const { cluster, protocol, statPrefix } = target;
  const reportMs = target.mutualTls ? OPENED_REPORT_MS : 0;
  const tcpProxy = buildTcpProxy({
    statPrefix,
    clusters: [{ cluster, weight: 1 }],
    idleTimeoutMs: facts.http.idleTimeoutMs,
    accessLog: parts.accessLog,
    logIntervalMs: facts.accessLog.hearsOpen ? reportMs : undefined,
  });
  return streamEndFilters({ protocol, flags: facts.flags, statPrefix, cluster, tcpProxy });
}

function httpManager(
  input: InboundFilterInput,
  target: InboundChainTarget,
  filters: readonly HttpFilter[],
): Filter {
  const parts = chainParts(input.facts)[partsName(target)];
  return buildHttpConnectionManager({
    direction: 'inbound',
    statPrefix: target.statPrefix,
    routes: { kind: 'inline', config: target.routes() },
    settings: input.facts.http,
    tracing: input.facts.tracing,
    accessLog: parts.accessLog,
    peerFilters: parts.httpPeerFilters,
    securityFilters: filters,
    alpnFilters: NO_FILTERS,
    port: { http2: isHttp2(target.protocol), grpcWeb: target.protocol === 'GRPCWeb' },
  });
}
