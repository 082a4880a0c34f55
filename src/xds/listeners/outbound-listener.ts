/**
 * One outbound listener from the claims to its address and port. HTTP goes to a route table by name, bytes go to a
 * cluster, TLS is told apart by server name; what fits none falls through to where it was going, or nowhere.
 * Source: istio pilot/pkg/networking/core/listener.go, listener_outbound rules and conflict rules.
 */
import { create } from '@bufbuild/protobuf';
import { TrafficDirection } from '#proto/envoy/config/core/v3/base_pb.ts';
import type { FilterChain } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterChainSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import type { ClaimKind } from '#scope/outbound-listener.ts';
import { socketAddress } from '#xds/address.ts';
import { durationFromMs } from '#xds/duration.ts';
import type { ListenerExtensions } from '#xds/extensions/listener-extensions.ts';
import {
  callerExtensionFilters,
  outboundHttpFilters,
  outboundTcpFilter,
} from '#xds/filters/outbound-filters.ts';
import type { WeightedCluster } from '#xds/filters/tcp-proxy.ts';
import { BLACK_HOLE_CLUSTER, outboundClusterName, PASSTHROUGH_CLUSTER } from '#xds/names.ts';
import { httpInspectorFilter, tlsInspectorFilter } from './listener-filters.ts';

/** A TCP or TLS destination: what the connection must look like, and where it goes. */
export interface StreamTarget {
  /** Server names to match, empty for all. */
  readonly sniHosts: readonly string[];
  /** Destination ranges to match as `address/length`, empty for all. */
  readonly destinationCidrs: readonly string[];
  readonly clusters: readonly WeightedCluster[];
}

/** The input of one outbound listener. */
export interface OutboundListenerInput {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** The listener has a socket of its own (interception NONE) instead of being handed connections. */
  readonly bound: boolean;
  /** Route table for HTTP, '' when no claim speaks HTTP. */
  readonly routeName: string;
  /** Whether plain bytes, TLS, or both go to `targets`. */
  readonly streams: readonly StreamTarget[];
  /** HTTP must be sniffed: the port's protocol is not known. */
  readonly sniff: boolean;
  readonly facts: ListenerFacts;
  readonly extensions: ListenerExtensions;
}

/** A claim as the builder's input sees it. */
export interface ListenerClaim {
  readonly kind: ClaimKind;
  readonly hostname: string;
}

/** Builds the listener. */
export function buildOutboundListener(input: OutboundListenerInput): Listener {
  const http = input.routeName !== '';
  const tls = input.streams.some((stream) => stream.sniHosts.length > 0);
  const chains: FilterChain[] = input.streams.filter(isSelective).map((stream) => streamChain(input, stream));
  if (http) chains.push(httpChain(input));
  const open = input.streams.find((stream) => !isSelective(stream));
  const openChain = open === undefined ? fallthroughChain(input.facts) : streamChain(input, open);
  // Beside other chains the one for all the rest is the default chain; alone it is a chain like any other.
  const isAlone = open !== undefined && chains.length === 0;
  const listener = create(ListenerSchema, {
    name: input.name,
    address: socketAddress(input.address, input.port),
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: isAlone ? [openChain] : chains,
    listenerFilters: [...(tls ? [tlsInspectorFilter()] : []), ...(http ? [httpInspectorFilter()] : [])],
    listenerFiltersTimeout: durationFromMs(0),
    continueOnListenerFiltersTimeout: true,
  });
  if (!input.bound) listener.bindToPort = false;
  if (!isAlone) listener.defaultFilterChain = openChain;
  return listener;
}

/** The stream is for some of the connections only. */
function isSelective(stream: StreamTarget): boolean {
  return stream.sniHosts.length + stream.destinationCidrs.length > 0;
}

/** The cluster of a service port, as the only target. */
export function serviceStream(
  hostname: string,
  port: number,
  sniHosts: readonly string[] = [],
  destinationCidrs: readonly string[] = [],
): StreamTarget {
  return {
    sniHosts,
    destinationCidrs,
    clusters: [{ cluster: outboundClusterName(port, '', hostname), weight: 1 }],
  };
}

function httpChain(input: OutboundListenerInput): FilterChain {
  return create(FilterChainSchema, {
    filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: ['http/1.1', 'h2c'] },
    filters: outboundHttpFilters(input.facts, {
      statPrefix: `outbound_${input.name};`,
      routeName: input.routeName,
      extensions: input.extensions,
    }),
  });
}

function streamChain(input: OutboundListenerInput, stream: StreamTarget): FilterChain {
  const ranges = stream.destinationCidrs.map(prefixRange);
  const statPrefix = stream.clusters.length === 1 ? (stream.clusters[0]?.cluster ?? '') : input.name;
  const chain = create(FilterChainSchema, {
    filters: [
      ...callerExtensionFilters(input.extensions).network,
      outboundTcpFilter(input.facts, statPrefix, stream.clusters),
    ],
  });
  if (stream.sniHosts.length + ranges.length > 0) {
    chain.filterChainMatch = create(FilterChainSchema, {
      filterChainMatch: { serverNames: [...stream.sniHosts], prefixRanges: ranges },
    }).filterChainMatch!;
  }
  return chain;
}

function prefixRange(cidr: string): { addressPrefix: string; prefixLen: number } {
  const [address = '', length] = cidr.split('/');
  return { addressPrefix: address, prefixLen: Number(length ?? (address.includes(':') ? 128 : 32)) };
}

/** Where connections go that no chain takes. */
function fallthroughChain(facts: ListenerFacts): FilterChain {
  const cluster = facts.outboundPolicy === 'ALLOW_ANY' ? PASSTHROUGH_CLUSTER : BLACK_HOLE_CLUSTER;
  return create(FilterChainSchema, {
    // Istio's name for it under either policy; EnvoyFilters match it.
    name: 'PassthroughFilterChain',
    filterChainMatch: {},
    filters: [outboundTcpFilter(facts, cluster, [{ cluster, weight: 1 }])],
  });
}
