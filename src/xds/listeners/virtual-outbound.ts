/**
 * `virtualOutbound` takes every captured connection and hands it to the listener of its original destination; what no
 * listener wants passes through or is refused. Under interception NONE it does not exist.
 * Source: istio pilot/pkg/networking/core/listener_builder.go buildVirtualOutboundListener.
 */
import { create } from '@bufbuild/protobuf';
import { TrafficDirection } from '#proto/envoy/config/core/v3/base_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { socketAddress } from '#xds/address.ts';
import { buildListenerAccessLogs } from '#xds/filters/access-log.ts';
import type { ListenerExtensions } from '#xds/extensions/listener-extensions.ts';
import { outboundHttpFilters, outboundTcpFilter } from '#xds/filters/outbound-filters.ts';
import { HTTP_PROXY_ROUTES } from '#xds/routes/outbound-routes.ts';
import { BLACK_HOLE_CLUSTER, PASSTHROUGH_CLUSTER } from '#xds/names.ts';
import { durationFromMs } from '#xds/duration.ts';

/** Builds `virtualOutbound`. */
export function buildVirtualOutbound(facts: ListenerFacts): Listener {
  const open = facts.outboundPolicy === 'ALLOW_ANY';
  const fallback = open ? PASSTHROUGH_CLUSTER : BLACK_HOLE_CLUSTER;
  return create(ListenerSchema, {
    name: 'virtualOutbound',
    address: socketAddress('0.0.0.0', facts.outboundPort),
    trafficDirection: TrafficDirection.OUTBOUND,
    useOriginalDst: true,
    accessLog: buildListenerAccessLogs(facts.accessLog),
    maxConnectionsToAcceptPerSocketEvent: 1,
    filterChains: [
      {
        name: 'virtualOutbound-blackhole',
        filterChainMatch: { destinationPort: facts.outboundPort },
        filters: [outboundTcpFilter(facts, BLACK_HOLE_CLUSTER, [{ cluster: BLACK_HOLE_CLUSTER, weight: 1 }])],
      },
      {
        name: open ? 'virtualOutbound-catchall-tcp' : 'virtualOutbound-blackhole-tcp',
        filters: [outboundTcpFilter(facts, fallback, [{ cluster: fallback, weight: 1 }])],
      },
    ],
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
  return create(ListenerSchema, {
    name: `${address}_${port}`,
    address: socketAddress(address, port),
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFiltersTimeout: durationFromMs(0),
    filterChains: [
      {
        filters: outboundHttpFilters(facts, {
          statPrefix: `outbound_${address}_${port};`,
          routeName: HTTP_PROXY_ROUTES,
          extensions,
        }),
      },
    ],
  });
}
