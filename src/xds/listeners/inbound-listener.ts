/**
 * The inbound listeners of a sidecar. With captured traffic one listener, `virtualInbound`, has chains for every port;
 * ports with a socket of their own (interception NONE, or as a Sidecar object says) each have a listener.
 * Built from the inbound facet and the proxy's facts alone; costs O(ports).
 * Source: istio pilot/pkg/networking/core/listener_inbound.go.
 */
import { create } from '@bufbuild/protobuf';
import { TrafficDirection } from '#proto/envoy/config/core/v3/base_pb.ts';
import type { FilterChain } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { FilterChainSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import type { RequestPolicyFacet } from '#model/request-policy.ts';
import type { MutualTlsMode } from '#model/peer-authentication.ts';
import type { ExtensionFacet } from '#scope/extension.ts';
import type { GatewayTlsDefaults } from '#scope/gateway-facts.ts';
import type { InboundPort } from '#scope/inbound.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { durationFromMs } from '#xds/duration.ts';
import type { InitOf } from '#xds/message-init.ts';
import { buildListenerAccessLogs } from '#xds/filters/access-log.ts';
import { inboundChainFilters, type InboundFilterInput } from '#xds/filters/inbound-filters.ts';
import { buildTcpProxy } from '#xds/filters/tcp-proxy.ts';
import { BLACK_HOLE_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER, inboundClusterName } from '#xds/names.ts';
import { buildInboundRetryPolicy } from '#xds/routes/retry.ts';
import { buildMeshServerTls } from '#xds/tls/downstream-tls.ts';
import { buildGatewayTls } from '#xds/tls/gateway-tls.ts';
import { inboundChains, type InboundChain, isPlainHttp, ownTlsChains } from './inbound-chains.ts';
import { inboundInspectors } from './inbound-inspectors.ts';
import { buildInboundRoutes } from './inbound-routes.ts';
import {
  anyAddresses,
  exactBalance,
  listenAddress,
  moreAddresses,
  plainHttpAlpn,
} from './listener-address.ts';
import { originalDstFilter, originalSrcFilter } from './listener-filters.ts';
import { acceptLimit } from './outbound-listener.ts';

/** Everything that inbound listeners are built from. */
export interface InboundListenerInput extends InboundFilterInput {
  /** For ports with TLS of the user's own; undefined where no port has. */
  readonly tlsDefaults: GatewayTlsDefaults | undefined;
}

/** The listeners: the one for captured traffic first, then those with sockets of their own, by port. */
export function buildInboundListeners(input: InboundListenerInput): Listener[] {
  const bound = input.inbound.ports
    .filter((port) => port.isBound)
    .map((port) => buildBoundListener(input, port));
  return input.inbound.interception === 'NONE' ? bound : [buildVirtualInbound(input), ...bound];
}

function buildVirtualInbound(input: InboundListenerInput): Listener {
  const { facts, inbound } = input;
  const [address, ...more] = facts.flags.dualStack
    ? anyAddresses(facts.ipFamilies)
    : [anyAddresses(facts.ipFamilies)[0]];
  const isTransparent = inbound.interception === 'TPROXY';
  const captured = inbound.ports.filter((port) => !port.isBound);
  const filterChains = [
    blackHoleChain(facts.inboundPort),
    ...passthroughChains(input),
    ...inbound.passthroughPorts.flatMap(({ port, mode }) => buildPassthroughChains(input, mode, port)),
    ...captured.flatMap((port) => portChains(input, port)),
  ];
  const listener: InitOf<typeof ListenerSchema> = {
    ...listenerHead(input, 'virtualInbound', filterChains),
    address: listenAddress(address, facts.inboundPort),
    additionalAddresses: moreAddresses(more, facts.inboundPort),
    listenerFilters: [
      originalDstFilter(),
      ...(isTransparent ? [originalSrcFilter()] : []),
      ...inboundInspectors(filterChains),
    ],
    ...(isTransparent ? { transparent: true } : {}),
  };
  return create(ListenerSchema, listener);
}

/** One port with a socket of its own. */
function buildBoundListener(input: InboundListenerInput, port: InboundPort): Listener {
  const filterChains = portChains(input, port);
  return create(ListenerSchema, {
    ...listenerHead(input, boundListenerName(port), filterChains),
    address: listenAddress(port.bind, port.port),
    listenerFilters: inboundInspectors(filterChains),
  });
}

/** Name of the listener of a port with a socket of its own. */
export function boundListenerName({ bind, port }: InboundPort): string {
  return `${bind}_${port}`;
}

function listenerHead(
  { facts }: InboundListenerInput,
  name: string,
  filterChains: FilterChain[],
): InitOf<typeof ListenerSchema> {
  return {
    name,
    trafficDirection: TrafficDirection.INBOUND,
    accessLog: buildListenerAccessLogs(facts.accessLog),
    filterChains,
    listenerFiltersTimeout: durationFromMs(facts.detectionTimeoutMs),
    continueOnListenerFiltersTimeout: true,
    ...acceptLimit(facts),
    ...(facts.exactBalanceInbound ? { connectionBalanceConfig: exactBalance() } : {}),
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
  const { mode } = input.inbound;
  const known = passthroughsOf(input.facts, input.policies, input.extensions);
  const chains = known.get(mode) ?? buildPassthroughChains(input, mode, 0);
  known.set(mode, chains);
  return chains;
}

/** By identity of what the chains depend on, then by mode. */
const passthroughsOf = identityMemo(
  (_facts: ListenerFacts, _policies: RequestPolicyFacet, _extensions: ExtensionFacet) =>
    new Map<MutualTlsMode, readonly FilterChain[]>(),
);

/** For one port, or with port 0 for all that have no chains of their own. */
function buildPassthroughChains(
  input: InboundListenerInput,
  mode: MutualTlsMode,
  port: number,
): FilterChain[] {
  return inboundChains('Unsupported', mode).map((chain) =>
    buildChain(input, chain, {
      name: chain.carries === 'http' ? 'virtualInbound-catchall-http' : 'virtualInbound',
      cluster: INBOUND_PASSTHROUGH_CLUSTER,
      label: '0',
      statPrefix: INBOUND_PASSTHROUGH_CLUSTER,
      statName: '',
      port: 0,
      protocol: 'Unsupported',
      destinationPort: port,
      hostname: '',
      ownTls: undefined,
    }),
  );
}

function portChains(input: InboundListenerInput, port: InboundPort): FilterChain[] {
  const name = boundListenerName(port);
  // The mesh's TLS and the user's own cannot both end here.
  const ownTls = port.mode === 'DISABLE' ? port.tls : undefined;
  const chains = ownTls === undefined ? inboundChains(port.protocol, port.mode) : ownTlsChains(port.protocol);
  return chains.map((chain) =>
    buildChain(input, chain, {
      name,
      cluster: inboundClusterName(port.port),
      label: String(port.servicePort),
      statPrefix: `inbound_${name};`,
      statName: port.statName,
      port: port.port,
      protocol: port.protocol,
      destinationPort: port.port,
      hostname: port.hostname,
      ownTls,
    }),
  );
}

interface ChainTarget extends Pick<InboundPort, 'protocol' | 'hostname' | 'statName'> {
  readonly name: string;
  readonly cluster: string;
  /** Port in the names of virtual host and span. */
  readonly label: string;
  /** The workload's port; 0 where any is taken. */
  readonly port: number;
  readonly statPrefix: string;
  /** 0: not matched on. */
  readonly destinationPort: number;
  readonly ownTls: InboundPort['tls'];
}

function buildChain(input: InboundListenerInput, chain: InboundChain, target: ChainTarget): FilterChain {
  const operation = target.hostname === '' ? `:${target.label}/*` : `${target.hostname}:${target.label}/*`;
  const { cluster, label, protocol } = target;
  // A stream of gRPC cannot be begun again.
  const mayRetry = protocol !== 'GRPC' && protocol !== 'GRPCWeb';
  const retryPolicy = mayRetry ? buildInboundRetryPolicy(input.facts.inboundRetries) : undefined;
  const filters = inboundChainFilters(input, {
    carries: chain.carries,
    mutualTls: chain.terminate && target.ownTls === undefined,
    cluster,
    statPrefix: chain.carries === 'http' ? target.statPrefix : target.statName || cluster,
    port: target.port,
    servicePort: Number(target.label),
    protocol,
    routes: () => buildInboundRoutes({ cluster, label, operation, retryPolicy }),
  });
  const built = create(FilterChainSchema, {
    name: target.name,
    filterChainMatch: {
      transportProtocol: chain.transport,
      applicationProtocols: isPlainHttp(chain) ? plainHttpAlpn(input.facts) : [...chain.alpn],
      ...(target.destinationPort === 0 ? {} : { destinationPort: target.destinationPort }),
    },
    filters,
  });
  if (chain.terminate) built.transportSocket = serverTls(input, chain, target.ownTls);
  return built;
}

function serverTls(
  { facts, tlsDefaults }: InboundListenerInput,
  { carries }: InboundChain,
  settings: InboundPort['tls'],
): NonNullable<FilterChain['transportSocket']> {
  const { serverCertificates: mounted, secretServers } = facts;
  const around = { mounted, secretServers, compliance: facts.flags.compliance };
  if (settings !== undefined && tlsDefaults !== undefined)
    return buildGatewayTls({ settings, carries, defaults: tlsDefaults, ...around });
  const { peerTrustDomains: trustDomains, minimumTlsVersion: minimumVersion, cipherSuites } = facts;
  return buildMeshServerTls({ trustDomains, minimumVersion, cipherSuites, ...around });
}
