/**
 * The inbound listeners of a sidecar. With captured traffic one listener, `virtualInbound`, has chains for every port;
 * where the proxy binds the workload's own address (interception NONE) each port has a listener of its own.
 * Built from the inbound facet and mesh facts alone; costs O(ports).
 * Source: istio pilot/pkg/networking/core/listener_inbound.go.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { TrafficDirection } from '#proto/envoy/config/core/v3/base_pb.ts';
import type {
  Filter,
  FilterChain,
  ListenerFilter,
} from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterChainSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import type { RequestPolicyFacet } from '#model/request-policy.ts';
import type { MutualTlsMode } from '#model/peer-authentication.ts';
import type { ExtensionFacet } from '#scope/extension.ts';
import type { InboundPort } from '#scope/inbound.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { socketAddress } from '#xds/address.ts';
import { durationFromMs } from '#xds/duration.ts';
import { buildListenerAccessLogs } from '#xds/filters/access-log.ts';
import { inboundChainFilters, type InboundFilterInput } from '#xds/filters/inbound-filters.ts';
import { buildTcpProxy } from '#xds/filters/tcp-proxy.ts';
import { BLACK_HOLE_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER, inboundClusterName } from '#xds/names.ts';
import { buildMeshServerTls } from '#xds/tls/downstream-tls.ts';
import { inboundChains, type InboundChain } from './inbound-chains.ts';
import { buildInboundRoutes } from './inbound-routes.ts';
import {
  httpInspectorFilter,
  originalDstFilter,
  type PortCondition,
  tlsInspectorFilter,
} from './listener-filters.ts';

/** Everything that inbound listeners are built from. */
export type InboundListenerInput = InboundFilterInput;

/** The listeners, by capture mode. */
export function buildInboundListeners(input: InboundListenerInput): Listener[] {
  return input.inbound.interception === 'NONE'
    ? input.inbound.ports.map((port) => buildBoundListener(input, port))
    : [buildVirtualInbound(input)];
}

function buildVirtualInbound(input: InboundListenerInput): Listener {
  const { facts, inbound } = input;
  const others = { protocol: 'Unsupported', mode: inbound.mode } as const;
  return create(ListenerSchema, {
    ...listenerHead('virtualInbound', '0.0.0.0', facts.inboundPort),
    accessLog: buildListenerAccessLogs(facts.accessLog),
    filterChains: [
      blackHoleChain(facts.inboundPort),
      ...passthroughChains(input),
      ...inbound.ports.flatMap((port) => portChains(input, port, `0.0.0.0_${port.port}`, true)),
    ],
    listenerFilters: [
      originalDstFilter(),
      ...inspectorFor(tlsInspectorFilter, input, needsTlsInspector(others), needsTlsInspector),
      ...inspectorFor(httpInspectorFilter, input, needsHttpInspector(others), needsHttpInspector),
    ],
    continueOnListenerFiltersTimeout: true,
    maxConnectionsToAcceptPerSocketEvent: 1,
  });
}

type ServedPort = Pick<InboundPort, 'protocol' | 'mode'>;

function needsTlsInspector({ protocol, mode }: ServedPort): boolean {
  return inboundChains(protocol, mode).some(({ transport }) => transport === 'tls');
}

function needsHttpInspector({ protocol, mode }: ServedPort): boolean {
  return inboundChains(protocol, mode).some(({ alpn }) => alpn.includes('http/1.1'));
}

/**
 * An inspector waits for the client's first bytes, so it looks only where a chain asks for what it finds: on all ports
 * but the listed ones where ports without a service need it, else on the listed ones alone.
 */
function inspectorFor(
  filter: (condition: PortCondition) => ListenerFilter,
  { facts, inbound }: InboundListenerInput,
  isDefault: boolean,
  needs: (port: ServedPort) => boolean,
): ListenerFilter[] {
  const listed = inbound.ports.filter((port) => needs(port) !== isDefault).map(({ port }) => port);
  if (isDefault) return [filter({ except: [...listed, facts.inboundPort] })];
  return listed.length === 0 ? [] : [filter({ only: listed })];
}

/** One port on the workload's own address. */
function buildBoundListener(input: InboundListenerInput, port: InboundPort): Listener {
  const name = `${input.inbound.bindAddress}_${port.port}`;
  return create(ListenerSchema, {
    ...listenerHead(name, input.inbound.bindAddress, port.port),
    filterChains: portChains(input, port, name, false),
    listenerFilters: [
      ...(needsTlsInspector(port) ? [tlsInspectorFilter()] : []),
      ...(needsHttpInspector(port) ? [httpInspectorFilter()] : []),
    ],
    continueOnListenerFiltersTimeout: true,
    maxConnectionsToAcceptPerSocketEvent: 1,
  });
}

function listenerHead(name: string, address: string, port: number): MessageInitShape<typeof ListenerSchema> {
  return {
    name,
    address: socketAddress(address, port),
    trafficDirection: TrafficDirection.INBOUND,
    listenerFiltersTimeout: durationFromMs(0),
  };
}

/** Connections that went to the inbound port itself would loop; they end here. */
function blackHoleChain(inboundPort: number): FilterChain {
  return create(FilterChainSchema, {
    name: 'virtualInbound-blackhole',
    filterChainMatch: { destinationPort: inboundPort },
    filters: [
      buildTcpProxy({
        statPrefix: BLACK_HOLE_CLUSTER,
        clusters: [{ cluster: BLACK_HOLE_CLUSTER, weight: 1 }],
        idleTimeoutMs: 0,
        logIntervalMs: 0,
        accessLog: [],
      }),
    ],
  });
}

/**
 * Ports that no service names still reach the application, under the workload's mode. These chains are the larger part
 * of a listener and the same for all workloads that the same policies select, so they are built once for those.
 */
function passthroughChains(input: InboundListenerInput): readonly FilterChain[] {
  const known = passthroughsOf(input.facts, input.policies, input.extensions);
  const chains = known.get(input.inbound.mode) ?? buildPassthroughChains(input);
  known.set(input.inbound.mode, chains);
  return chains;
}

/** By identity of what the chains depend on, then by mode. */
const passthroughsOf = identityMemo(
  (_facts: ListenerFacts, _policies: RequestPolicyFacet, _extensions: ExtensionFacet) =>
    new Map<MutualTlsMode, readonly FilterChain[]>(),
);

function buildPassthroughChains(input: InboundListenerInput): FilterChain[] {
  return inboundChains('Unsupported', input.inbound.mode).map((chain) =>
    buildChain(input, chain, {
      name: chain.carries === 'http' ? 'virtualInbound-catchall-http' : 'virtualInbound',
      cluster: INBOUND_PASSTHROUGH_CLUSTER,
      label: '0',
      statPrefix: INBOUND_PASSTHROUGH_CLUSTER,
      port: 0,
      retries: true,
      destinationPort: 0,
      hostname: '',
    }),
  );
}

function portChains(
  input: InboundListenerInput,
  port: InboundPort,
  name: string,
  matchPort: boolean,
): FilterChain[] {
  return inboundChains(port.protocol, port.mode).map((chain) =>
    buildChain(input, chain, {
      name,
      cluster: inboundClusterName(port.port),
      label: String(port.servicePort),
      statPrefix: `inbound_0.0.0.0_${port.port};`,
      port: port.port,
      // A stream of gRPC cannot be begun again.
      retries: port.protocol !== 'GRPC' && port.protocol !== 'GRPCWeb',
      destinationPort: matchPort ? port.port : 0,
      hostname: port.services[0]?.host ?? '',
    }),
  );
}

interface ChainTarget {
  readonly name: string;
  readonly cluster: string;
  /** Port in the names of virtual host and span. */
  readonly label: string;
  /** The workload's port; 0 where any is taken. */
  readonly port: number;
  readonly statPrefix: string;
  readonly retries: boolean;
  /** 0: not matched on. */
  readonly destinationPort: number;
  readonly hostname: string;
}

function buildChain(input: InboundListenerInput, chain: InboundChain, target: ChainTarget): FilterChain {
  const operation = target.hostname === '' ? `:${target.label}/*` : `${target.hostname}:${target.label}/*`;
  const filters: Filter[] = inboundChainFilters(input, {
    carries: chain.carries,
    mutualTls: chain.terminate,
    cluster: target.cluster,
    statPrefix: target.statPrefix,
    port: target.port,
    servicePort: Number(target.label),
    routes: () => buildInboundRoutes({ ...target, operation }),
  });
  const built = create(FilterChainSchema, {
    name: target.name,
    filterChainMatch: {
      transportProtocol: chain.transport,
      applicationProtocols: [...chain.alpn],
      ...(target.destinationPort === 0 ? {} : { destinationPort: target.destinationPort }),
    },
    filters,
  });
  if (chain.terminate) {
    const { trustDomains, minimumTlsVersion } = input.facts;
    built.transportSocket = buildMeshServerTls({ trustDomains, minimumVersion: minimumTlsVersion });
  }
  return built;
}
