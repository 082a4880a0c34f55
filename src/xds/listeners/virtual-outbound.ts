/**
 * `virtualOutbound` takes every captured connection and hands it to the listener of its original destination; what no
 * listener wants passes through or is refused. Under interception NONE it does not exist.
 * Source: istio pilot/pkg/networking/core/listener_builder.go buildVirtualOutboundListener.
 */
import { create } from '@bufbuild/protobuf';
import { TrafficDirection } from '#proto/envoy/config/core/v3/base_pb.ts';
import {
  type FilterChain,
  FilterChainSchema,
} from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { socketAddress } from '#xds/address.ts';
import { durationFromMs } from '#xds/duration.ts';
import type { InitOf } from '#xds/message-init.ts';
import { buildListenerAccessLogs } from '#xds/filters/access-log.ts';
import { NO_EXTENSIONS, type ListenerExtensions } from '#xds/extensions/listener-extensions.ts';
import { outboundManagerFilters, unknownCluster, unknownStream } from '#xds/filters/outbound-filters.ts';
import { buildStatsLoggers } from '#xds/filters/stats.ts';
import { buildTcpProxy } from '#xds/filters/tcp-proxy.ts';
import { tracingReferences } from '#xds/filters/tracing.ts';
import { BLACK_HOLE_CLUSTER, UNKNOWN_HOSTS_CLUSTER } from '#xds/names.ts';
import { HTTP_PROXY_ROUTES } from '#xds/routes/outbound-routes.ts';
import {
  anyAddresses,
  exactBalance,
  localAddresses,
  moreAddresses,
  plainHttpAlpn,
} from './listener-address.ts';
import { httpInspectorFilter } from './listener-filters.ts';
import { acceptLimit } from './outbound-listener.ts';
import { buildUnknownHostRoutes } from './unknown-host-routes.ts';

/** What `virtualOutbound` is built from. */
export interface VirtualOutboundInput {
  readonly facts: ListenerFacts;
  /** Connections keep the client's address (interception TPROXY). */
  readonly transparent: boolean;
}

/** Builds `virtualOutbound`. */
export function buildVirtualOutbound({ facts, transparent }: VirtualOutboundInput): Listener {
  const [address, ...more] = capturedAddresses(facts);
  const looksUp = facts.outboundPolicy === 'ALLOW_ANY_DYNAMIC_DNS';
  const init: InitOf<typeof ListenerSchema> = {
    name: 'virtualOutbound',
    address: socketAddress(address, facts.outboundPort),
    additionalAddresses: moreAddresses(more, facts.outboundPort),
    trafficDirection: TrafficDirection.OUTBOUND,
    useOriginalDst: true,
    accessLog: buildListenerAccessLogs(facts.accessLog),
    listenerFilters: looksUp ? [httpInspectorFilter()] : [],
    filterChains: [
      blackHoleChain(facts),
      ...(looksUp ? [unknownHttpChain(facts)] : []),
      { name: 'virtualOutbound-catchall-tcp', filters: unknownStream(facts) },
    ],
    ...acceptLimit(facts),
    ...(transparent ? { transparent: true } : {}),
  };
  return create(ListenerSchema, init);
}

/** Names that must be at the proxy before `virtualOutbound`. */
export function virtualOutboundReferences(facts: ListenerFacts): readonly string[] {
  const lookUp =
    facts.outboundPolicy === 'ALLOW_ANY_DYNAMIC_DNS'
      ? [UNKNOWN_HOSTS_CLUSTER, ...tracingReferences(facts.tracing)]
      : [];
  return [BLACK_HOLE_CLUSTER, unknownCluster(facts), ...lookUp];
}

function capturedAddresses({ ipFamilies, flags }: ListenerFacts): readonly [string, ...string[]] {
  return ipFamilies === 'dual' && !flags.dualStack ? ['0.0.0.0'] : anyAddresses(ipFamilies);
}

/** Connections that went to the outbound port itself would loop; they end here. */
function blackHoleChain(facts: ListenerFacts): FilterChain {
  const { hearsOpen } = facts.accessLog;
  const proxy = buildTcpProxy({
    statPrefix: BLACK_HOLE_CLUSTER,
    clusters: [{ cluster: BLACK_HOLE_CLUSTER, weight: 0 }],
    idleTimeoutMs: 0,
    logIntervalMs: hearsOpen ? 0 : undefined,
    accessLog: buildStatsLoggers({ protocol: 'tcp', reporter: 'source', mutualTls: false, hearsOpen }),
  });
  return create(FilterChainSchema, {
    name: 'virtualOutbound-blackhole',
    filterChainMatch: { destinationPort: facts.outboundPort },
    filters: [proxy],
  });
}

/** HTTP to hosts that no service has: the name is looked up instead of trusting the address. */
function unknownHttpChain(facts: ListenerFacts): FilterChain {
  const filters = outboundManagerFilters(facts, {
    statPrefix: 'outbound_virtualOutbound_allow_any_dynamic_dns;',
    routes: { kind: 'inline', config: buildUnknownHostRoutes() },
    port: {},
    dynamicHost: '',
    extensions: NO_EXTENSIONS,
  });
  return create(FilterChainSchema, {
    name: 'virtualOutbound-catchall-tcp-http',
    filterChainMatch: { applicationProtocols: plainHttpAlpn(facts) },
    filters,
  });
}

/** The input of the HTTP proxy listener. */
export interface HttpProxyListenerInput {
  readonly facts: ListenerFacts;
  readonly address: string;
  readonly port: number;
  readonly extensions: ListenerExtensions;
}

/**
 * The HTTP proxy listener: applications that are told of it by HTTP_PROXY send absolute requests here.
 * Source: istio listener_builder.go buildHTTPProxyListener.
 */
export function buildHttpProxyListener(input: HttpProxyListenerInput): Listener {
  const { facts, address, port, extensions } = input;
  const [, ...more] = facts.onOneMachine ? [address] : localAddresses(facts.ipFamilies);
  const filters = outboundManagerFilters(facts, {
    statPrefix: `outbound_${address}_${port};`,
    routes: { kind: 'rds', name: HTTP_PROXY_ROUTES },
    port: { absoluteUrls: true },
    dynamicHost: '',
    extensions,
  });
  return create(ListenerSchema, {
    name: `${address}_${port}`,
    address: socketAddress(address, port),
    additionalAddresses: moreAddresses(more, port),
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFiltersTimeout: durationFromMs(0),
    continueOnListenerFiltersTimeout: true,
    filterChains: [{ filters }],
    ...acceptLimit(facts),
    ...(facts.exactBalanceOutbound ? { connectionBalanceConfig: exactBalance() } : {}),
  });
}
