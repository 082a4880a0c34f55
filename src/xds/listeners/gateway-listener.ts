/**
 * One listener of a gateway: plain HTTP in one chain, or chains told apart by server name, each ending TLS or passing
 * it on. Built from plain data; costs O(chains).
 * Source: istio pilot/pkg/networking/core/listener.go buildGatewayListener, gateway.go.
 */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { TrafficDirection } from '#proto/envoy/config/core/v3/base_pb.ts';
import {
  type Filter,
  type FilterChain,
  FilterChainSchema,
  type ListenerFilter,
  ListenerFilterSchema,
} from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { type Listener, ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { ProxyProtocolSchema } from '#proto/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.ts';
import type { HttpFilter } from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { GatewayTlsDefaults } from '#scope/gateway-facts.ts';
import type {
  ClusterParts,
  GatewayChain,
  GatewayHttpTarget,
  GatewayStreamTarget,
} from '#scope/gateway-listener.ts';
import type { ClientCertForwarding } from '#scope/http-settings.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { socketAddress } from '#xds/address.ts';
import { durationFromMs } from '#xds/duration.ts';
import { packAny } from '#xds/encode.ts';
import { buildListenerAccessLogs } from '#xds/filters/access-log.ts';
import { buildHttpConnectionManager } from '#xds/filters/http-connection-manager.ts';
import { callerHttpParts, callerStreamFilters } from '#xds/filters/outbound-filters.ts';
import { tracingReferences } from '#xds/filters/tracing.ts';
import type { InitOf } from '#xds/message-init.ts';
import { outboundClusterName, sniName } from '#xds/names.ts';
import { MESH_ALPN } from '#xds/tls/downstream-tls.ts';
import { buildGatewayTls, gatewaySecretClusters } from '#xds/tls/gateway-tls.ts';
import { quicListener } from './gateway-quic.ts';
import { exactBalance, moreAddresses } from './listener-address.ts';
import { tlsInspectorFilter } from './listener-filters.ts';
import { acceptLimit } from './outbound-listener.ts';

export interface GatewayListenerInput {
  readonly name: string;
  readonly transport: 'tcp' | 'quic';
  readonly address: string;
  /** Addresses of the proxy's other family. */
  readonly extraAddresses: readonly string[];
  readonly port: number;
  readonly chains: readonly GatewayChain[];
  /** Connections begin with a PROXY protocol header. */
  readonly readsProxyProtocol: boolean;
  /** Proxies in front of the gateway whose X-Forwarded-For is believed. */
  readonly trustedHops: number;
  /** What becomes of x-forwarded-client-cert. */
  readonly clientCertForwarding: ClientCertForwarding;
  /** A TLS handshake that takes longer is given up: slow handshakes must not pile up. 0 for no limit. */
  readonly handshakeTimeoutMs: number;
  readonly security: GatewaySecurity;
  readonly tlsDefaults: GatewayTlsDefaults;
  readonly facts: ListenerFacts;
}

/** Filters of the policies and extensions that select the gateway, in their final order. */
export interface GatewaySecurity {
  readonly httpFilters: readonly HttpFilter[];
  /** Extensions alone: before HTTP, which is judged by request, and mesh TLS, which is judged where it ends. */
  readonly connectionFilters: readonly Filter[];
  /** Where bytes are passed on. */
  readonly networkFilters: readonly Filter[];
  /** Names of the configurations and clusters that these filters use. */
  readonly references: readonly string[];
}

type ListenerInit = InitOf<typeof ListenerSchema>;

/** Builds the listener. */
export function buildGatewayListener(input: GatewayListenerInput): Listener {
  return create(ListenerSchema, {
    name: input.name,
    ...(input.transport === 'quic' ? quicListener(input) : tcpListener(input)),
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: input.chains.map((chain) => buildChain(input, chain)),
    listenerFilters: listenerFilters(input),
    accessLog: buildListenerAccessLogs(input.facts.accessLog),
    ...acceptLimit(input.facts),
    ...bufferLimit(input.facts),
  });
}

function tcpListener({ address, extraAddresses, port, facts }: GatewayListenerInput): ListenerInit {
  return {
    address: socketAddress(address, port),
    additionalAddresses: moreAddresses(extraAddresses, port),
    ...(facts.exactBalanceOutbound ? { connectionBalanceConfig: exactBalance() } : {}),
  };
}

function bufferLimit({ http }: ListenerFacts): ListenerInit {
  const limit = http.connections.listenerPerConnectionBufferLimitBytes ?? 0;
  return limit > 0 ? { perConnectionBufferLimitBytes: limit } : {};
}

/** Names that must be at the proxy before the listener: route tables and clusters. */
export function gatewayListenerReferences(input: GatewayListenerInput): readonly string[] {
  const tracing = tracingReferences(input.facts.tracing);
  const { tlsDefaults: defaults, facts } = input;
  const { secretServers } = facts;
  const secretClusters = input.chains.flatMap(({ tls: settings }) =>
    settings === undefined ? [] : gatewaySecretClusters({ settings, defaults, secretServers }),
  );
  const names = input.chains.flatMap(({ target }) =>
    target.kind === 'http'
      ? [target.routeTable, ...tracing]
      : target.destinations.map(({ cluster }) => clusterNameOf(cluster)),
  );
  return [...new Set([...names, ...secretClusters, ...input.security.references])];
}

function listenerFilters(input: GatewayListenerInput): ListenerFilter[] {
  // QUIC brings server name and ALPN with it.
  const needsTls =
    input.transport === 'tcp' &&
    input.chains.some(
      (chain) => chain.passesTls === true || chain.serverNames.length > 0 || chain.tls !== undefined,
    );
  return [
    ...(input.readsProxyProtocol ? [proxyProtocolFilter()] : []),
    ...(needsTls ? [tlsInspectorFilter()] : []),
  ];
}

function proxyProtocolFilter(): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: 'envoy.filters.listener.proxy_protocol',
    configType: { case: 'typedConfig', value: packAny(ProxyProtocolSchema, create(ProxyProtocolSchema)) },
  });
}

function buildChain(input: GatewayListenerInput, chain: GatewayChain): FilterChain {
  const built: MessageInitShape<typeof FilterChainSchema> = {
    filters:
      chain.target.kind === 'http' ? [httpFilter(input, chain.target)] : streamFilters(input, chain.target),
  };
  if (input.handshakeTimeoutMs > 0)
    built.transportSocketConnectTimeout = durationFromMs(input.handshakeTimeoutMs);
  const { connectionFilters, networkFilters } = input.security;
  const isUnjudged = chain.target.kind === 'http' || chain.meshOnly;
  built.filters?.unshift(...(isUnjudged ? connectionFilters : networkFilters));
  if (chain.serverNames.length > 0) {
    built.filterChainMatch = {
      serverNames: [...chain.serverNames],
      applicationProtocols: chain.meshOnly ? [...MESH_ALPN] : [],
    };
  }
  if (chain.tls !== undefined) {
    built.transportSocket = buildGatewayTls({
      settings: chain.tls,
      carries: input.transport === 'quic' ? 'http3' : chain.target.kind === 'http' ? 'http' : 'tcp',
      defaults: input.tlsDefaults,
      secretServers: input.facts.secretServers,
    });
  }
  return create(FilterChainSchema, built);
}

function httpFilter(input: GatewayListenerInput, target: GatewayHttpTarget): Filter {
  return buildHttpConnectionManager({
    direction: 'gateway',
    statPrefix: target.statPrefix === '' ? `outbound_${input.name};` : target.statPrefix,
    routes: { kind: 'rds', name: target.routeTable },
    settings: input.facts.http,
    tracing: input.facts.tracing,
    ...callerHttpParts(input.facts),
    securityFilters: input.security.httpFilters,
    topology: { trustedHops: input.trustedHops, clientCertForwarding: input.clientCertForwarding },
    port: { grpcWeb: target.protocol === 'GRPCWeb', http3: input.transport === 'quic' },
  });
}

function streamFilters({ facts, port }: GatewayListenerInput, target: GatewayStreamTarget): Filter[] {
  const clusters = target.destinations.map(({ cluster, weight }) => ({
    cluster: clusterNameOf(cluster),
    weight,
  }));
  return callerStreamFilters(facts, { ...target, clusters, port, dynamicHost: '' });
}

function clusterNameOf({ hostname, port, subset, form }: ClusterParts): string {
  return form === 'sni' ? sniName(port, subset, hostname) : outboundClusterName(port, subset, hostname);
}
