/**
 * One outbound listener from the chains of the claims to its address and port. HTTP goes to a route table by name, bytes go to
 * clusters, TLS is told apart by server name; what fits none falls through to where it was going, or nowhere.
 * Source: istio pilot/pkg/networking/core/listener.go buildListenerFromEntry.
 */
import { create } from '@bufbuild/protobuf';
import { compareBytes } from '#base/bytes-order.ts';
import { parseCidr } from '#base/cidr.ts';
import { TrafficDirection } from '#proto/envoy/config/core/v3/base_pb.ts';
import type { FilterChain } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import {
  FilterChainMatchSchema,
  FilterChainSchema,
} from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import type { OutboundChain, StreamTarget } from '#scope/outbound-listener-chains.ts';
import { durationFromMs } from '#xds/duration.ts';
import { configurationNames, type ListenerExtensions } from '#xds/extensions/listener-extensions.ts';
import type { InitOf } from '#xds/message-init.ts';
import {
  outboundHttpFilters,
  outboundStreamFilters,
  unknownCluster,
  unknownStream,
} from '#xds/filters/outbound-filters.ts';
import { tracingReferences } from '#xds/filters/tracing.ts';
import { outboundClusterName } from '#xds/names.ts';
import { exactBalance, listenAddress, moreAddresses, plainHttpAlpn } from './listener-address.ts';
import { httpInspectorFilter, tlsInspectorFilter } from './listener-filters.ts';

/** The input of one outbound listener. */
export interface OutboundListenerInput {
  readonly name: string;
  /** An address, or the `unix://` path of a socket (then `port` is 0). */
  readonly address: string;
  readonly extraAddresses: readonly string[];
  readonly port: number;
  /** The listener has a socket of its own instead of being handed connections. */
  readonly bound: boolean;
  readonly chains: readonly OutboundChain[];
  readonly facts: ListenerFacts;
  readonly extensions: ListenerExtensions;
}

/** Builds the listener. */
export function buildOutboundListener(input: OutboundListenerInput): Listener {
  const { facts } = input;
  const built = input.chains.map((chain) => ({ chain: buildChain(input, chain), takesAll: takesAll(chain) }));
  const selective = built.filter((one) => !one.takesAll).map(({ chain }) => chain);
  const open = built.findLast((one) => one.takesAll)?.chain;
  // Beside other chains the one for all the rest is the default chain; alone it is a chain like any other.
  const isAlone = open !== undefined && selective.length === 0;
  const needsHttp = input.chains.some((chain) => chain.onlyHttp);
  const init: InitOf<typeof ListenerSchema> = {
    name: input.name,
    address: listenAddress(input.address, input.port),
    additionalAddresses: facts.ipFamilies === 'dual' ? moreAddresses(input.extraAddresses, input.port) : [],
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: isAlone ? [open] : selective,
    listenerFilters: [
      ...(input.chains.some(needsServerName) ? [tlsInspectorFilter()] : []),
      ...(needsHttp ? [httpInspectorFilter()] : []),
    ],
    listenerFiltersTimeout: durationFromMs(needsHttp ? facts.detectionTimeoutMs : 0),
    continueOnListenerFiltersTimeout: true,
    ...(isAlone ? {} : { defaultFilterChain: open ?? fallthroughChain(facts) }),
    ...(facts.exactBalanceOutbound ? { connectionBalanceConfig: exactBalance() } : {}),
    ...(input.bound ? acceptLimit(facts) : { bindToPort: false }),
  };
  return create(ListenerSchema, init);
}

/** How many connections a socket hands over at once. */
export function acceptLimit({ flags }: ListenerFacts): { maxConnectionsToAcceptPerSocketEvent?: number } {
  const { connectionsPerSocketEvent: limit } = flags;
  return limit > 0 ? { maxConnectionsToAcceptPerSocketEvent: limit } : {};
}

/** Names of what must be at the proxy before the listener: clusters, route tables, configurations of its extensions. */
export function outboundListenerReferences({
  chains,
  facts,
  extensions,
}: OutboundListenerInput): readonly string[] {
  const tracing = tracingReferences(facts.tracing);
  const names = chains.flatMap(({ target }) =>
    target.kind === 'http' ? [target.routeTable, ...tracing] : target.destinations.map(clusterOf),
  );
  // Only what the listener speaks of; where unknown destinations go as a rule is always there.
  const isNamed = facts.egressProxy !== undefined && !chains.some(takesAll);
  const unknown = isNamed ? [unknownCluster(facts)] : [];
  return [...new Set([...names, ...unknown]), ...configurationNames(extensions)];
}

function clusterOf({ hostname, port, subset }: StreamTarget['destinations'][number]): string {
  return outboundClusterName(port, subset, hostname);
}

function takesAll({ sniHosts, cidrs, onlyHttp }: OutboundChain): boolean {
  return (sniHosts.length === 0 || sniHosts.includes('*')) && cidrs.length === 0 && !onlyHttp;
}

function needsServerName({ sniHosts, target }: OutboundChain): boolean {
  return sniHosts.length > 0 || (target.kind === 'stream' && target.dynamicHost !== '');
}

function buildChain(input: OutboundListenerInput, chain: OutboundChain): FilterChain {
  const { facts, extensions } = input;
  const { target } = chain;
  const filters =
    target.kind === 'http'
      ? outboundHttpFilters(facts, extensions, `outbound_${input.name};`, target)
      : outboundStreamFilters(facts, {
          ...target,
          port: input.port,
          extensions,
          clusters: target.destinations.map((one) => ({ cluster: clusterOf(one), weight: one.weight })),
        });
  if (takesAll(chain)) return create(FilterChainSchema, { filters });
  return create(FilterChainSchema, { filters, filterChainMatch: chainMatch(chain, facts) });
}

function chainMatch(
  { sniHosts, cidrs, onlyHttp }: OutboundChain,
  facts: ListenerFacts,
): InitOf<typeof FilterChainMatchSchema> {
  return {
    ...(onlyHttp ? { transportProtocol: 'raw_buffer', applicationProtocols: plainHttpAlpn(facts) } : {}),
    serverNames: sniHosts.includes('*') ? [] : [...sniHosts].sort(compareBytes),
    prefixRanges: [...cidrs].sort(compareBytes).flatMap(prefixRange),
  };
}

/** All of IPv4 is no condition. */
function prefixRange(cidr: string): { addressPrefix: string; prefixLen: number }[] {
  const [address = ''] = cidr.split('/');
  const parsed = parseCidr(cidr);
  if (!parsed.ok || address === '0.0.0.0') return [];
  return [{ addressPrefix: address, prefixLen: parsed.value.prefixLength }];
}

/** Where connections go that no chain takes. */
function fallthroughChain(facts: ListenerFacts): FilterChain {
  return create(FilterChainSchema, {
    // Istio's name for it under either policy; EnvoyFilters match it.
    name: 'PassthroughFilterChain',
    filterChainMatch: {},
    filters: unknownStream(facts),
  });
}
