/**
 * Which outbound listeners a viewer needs: every visible service port lays claim to an address and a port, and claims
 * to the same place share one listener. A change of routes or policies changes no claim, and one of endpoints only those
 * of headless services of bytes, which claim the address of each endpoint.
 * Costs O(ports of the host) per changed host; a listener is computed again only when its claims change.
 * Source: istio pilot/pkg/networking/core/listener.go buildSidecarOutboundListeners.
 */
import { compareBytes } from '#base/bytes-order.ts';
import type { Cause } from '#base/cause.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { ServiceEndpoints } from '#model/endpoint.ts';
import type { Protocol, Service, ServicePort } from '#model/service.ts';
import { isWildcardHost } from '#model/service-hostname.ts';
import { isVisibleTo } from '#model/service-visibility.ts';
import { type EgressListener, importsService } from './egress-listener.ts';
import type { OutboundHost } from './outbound-host.ts';
import type { Imports } from './outbound-host-imports.ts';
import { anywhere, type ClaimPlace, placesOf, type PlaceRequest } from './outbound-listener-place.ts';
import { type StreamSettings, streamSettings } from './stream-settings.ts';
import { type Viewer, viewerKey } from './viewer.ts';

/** What a claim wants its connections taken for. */
export type ClaimKind = 'http' | 'tcp' | 'tls' | 'auto';

/** One service port's wish for a listener. Keyed `viewer|listener|hostname|port name`, with the egress listener's number last. */
export interface OutboundClaim extends ClaimPlace {
  readonly viewer: string;
  /** Key of the listener: `0.0.0.0_9080`, `10.0.7.2_9000`, or with a Sidecar's own address or Unix path. */
  readonly listener: string;
  /** 0 for a Unix socket. */
  readonly port: number;
  readonly kind: ClaimKind;
  readonly protocol: Protocol;
  readonly hostname: string;
  /** Port in the name of the service's cluster. */
  readonly clusterPort: number;
  /** The service has an address of its own, so connections to that address need no server name. */
  readonly hasAddress: boolean;
  /** The host of each connection is looked up when it comes (a wildcard with resolution DYNAMIC_DNS). */
  readonly isDynamic: boolean;
  /** How bytes are sent to the whole service. */
  readonly stream: StreamSettings;
  /** Number of the Sidecar's egress listener that the claim is made for; 0 without a Sidecar. */
  readonly egress: number;
  /** That listener is for all ports which no other one has. */
  readonly isCatchAll: boolean;
  /** Earlier claims win where two can't share a listener: private services first, then older ones. */
  readonly rank: number;
  readonly createdAtMs: number;
  readonly causes: readonly Cause[];
  /** The Sidecar's egress listener; undefined without a Sidecar. */
  readonly sidecar: Cause | undefined;
}

export interface OutboundClaimDeps {
  readonly hosts: Collection<OutboundHost>;
  readonly viewers: Collection<Viewer>;
  readonly imports: Collection<Imports>;
  readonly endpoints: Collection<ServiceEndpoints>;
}

/** Derives all claims, and indexes them by `viewer|listener`. */
export function createOutboundClaims(
  engine: Engine,
  deps: OutboundClaimDeps,
): { readonly claims: Collection<OutboundClaim>; readonly byListener: Index<OutboundClaim> } {
  const claims = engine.deriveMany('scope.outboundClaims', deps.hosts, (fetch, host) =>
    hostClaims(fetch, deps, host),
  );
  const byListener = engine.index('scope.outboundClaims.byListener', claims, (claim) => [
    viewerKey(claim.viewer, claim.listener),
  ]);
  return { claims, byListener };
}

/** The order in which claims are taken into a listener. Source: istio servicesExportedToNamespace, SortServicesByCreationTime. */
export function compareClaims(a: OutboundClaim, b: OutboundClaim): number {
  return (
    a.egress - b.egress ||
    a.rank - b.rank ||
    a.createdAtMs - b.createdAtMs ||
    compareBytes(a.hostname, b.hostname)
  );
}

/** One port that a listener of the viewer gives a service. */
interface ClaimedPort {
  readonly port: number;
  readonly protocol: Protocol;
  readonly clusterPort: number;
  readonly name: string;
}

/** Without a Sidecar all ports are claimed, on the usual addresses. */
const EVERYTHING: Pick<EgressListener, 'port' | 'isCatchAll' | 'protocol' | 'bind' | 'isBound'> = {
  port: 0,
  isCatchAll: true,
  protocol: undefined,
  bind: '',
  isBound: false,
};

type ClaimEntry = readonly [string, OutboundClaim];

function hostClaims(fetch: Fetch, deps: OutboundClaimDeps, host: OutboundHost): readonly ClaimEntry[] {
  const { service } = host;
  const viewer = fetch.get(deps.viewers, host.viewer);
  if (viewer === undefined || viewer.proxyType !== 'sidecar' || service.resolution === 'ALIAS') return [];
  const imports = viewer.sidecar === '' ? undefined : fetch.get(deps.imports, viewer.key);
  if (imports === undefined)
    return listenerClaims(fetch, deps, { host, viewer, egress: 0, listener: EVERYTHING });
  // Services that only a VirtualService sends to have clusters, but no listener of their own.
  if (!isVisibleTo(service.visibility, viewer.namespace)) return [];
  return imports.listeners.flatMap((listener, egress) =>
    importsService(listener, service) ? listenerClaims(fetch, deps, { host, viewer, egress, listener }) : [],
  );
}

interface ClaimRequest {
  readonly host: OutboundHost;
  readonly viewer: Viewer;
  readonly egress: number;
  readonly listener: typeof EVERYTHING;
}

function listenerClaims(fetch: Fetch, deps: OutboundClaimDeps, request: ClaimRequest): readonly ClaimEntry[] {
  return claimedPorts(request.host.service, request.listener).flatMap((port) =>
    portClaims(fetch, deps, request, port),
  );
}

function claimedPorts(service: Service, listener: ClaimRequest['listener']): readonly ClaimedPort[] {
  const { protocol } = listener;
  if (listener.isCatchAll || protocol === undefined) return service.ports.map(servicePort);
  const isMatched = listener.port === 0 || protocol === 'HTTP_PROXY';
  if (!isMatched && !service.ports.some((port) => port.number === listener.port)) return [];
  const only = service.ports.length === 1 ? service.ports[0]?.number : undefined;
  return [
    {
      port: listener.port,
      protocol,
      clusterPort: isMatched ? (only ?? listener.port) : listener.port,
      name: '',
    },
  ];
}

function servicePort({ number, protocol, name }: ServicePort): ClaimedPort {
  return { port: number, protocol, clusterPort: number, name };
}

function portClaims(
  fetch: Fetch,
  deps: OutboundClaimDeps,
  { host, viewer, egress, listener }: ClaimRequest,
  port: ClaimedPort,
): readonly ClaimEntry[] {
  const { service } = host;
  const kind = claimKind(port.protocol);
  if (kind === undefined) return [];
  const request: PlaceRequest = { service, viewer, port: port.port, listener, kind };
  const places = kind === 'http' ? [anywhere(request)] : placesOf(fetch, deps.endpoints, request);
  return places.map((place): ClaimEntry => {
    const key = `${place.address}_${port.port}`;
    const claim: OutboundClaim = {
      viewer: viewer.key,
      listener: key,
      ...place,
      port: port.port,
      kind,
      protocol: port.protocol,
      hostname: service.hostname,
      clusterPort: port.clusterPort,
      hasAddress: service.addresses.some((address) => address !== '0.0.0.0' && !address.includes('/')),
      isDynamic: service.resolution === 'DYNAMIC_DNS' && isWildcardHost(service.hostname),
      stream: kind === 'http' ? streamSettings(undefined, '') : streamSettings(host.policy, ''),
      egress,
      isCatchAll: listener.isCatchAll,
      rank: visibilityRank(service, viewer),
      createdAtMs: service.createdAtMs,
      causes: claimCauses(host, kind),
      sidecar: sidecarCause(viewer, egress),
    };
    return [`${viewerKey(viewer.key, key)}|${service.hostname}|${port.name}|${place.cidr}|${egress}`, claim];
  });
}

function visibilityRank({ visibility, namespace }: Service, viewer: Viewer): number {
  if (visibility.public) return 2;
  return namespace === viewer.namespace ? 0 : 1;
}

/** The DestinationRule counts for bytes alone: HTTP has its settings in routes and clusters. */
function claimCauses({ service, policy }: OutboundHost, kind: ClaimKind): readonly Cause[] {
  return kind === 'http' ? [service.cause] : [service.cause, ...(policy?.causes ?? [])];
}

function sidecarCause({ sidecar }: Viewer, egress: number): Cause | undefined {
  const [namespace = '', name = ''] = sidecar.split('/');
  return sidecar === '' ? undefined : { kind: 'Sidecar', namespace, name, path: `spec.egress[${egress}]` };
}

/** How a protocol is taken; undefined where nothing listens for it. */
function claimKind(protocol: Protocol): ClaimKind | undefined {
  switch (protocol) {
    case 'HTTP':
    case 'HTTP2':
    case 'GRPC':
    case 'GRPCWeb':
    case 'HTTP_PROXY':
      return 'http';
    case 'HTTPS':
    case 'TLS':
      return 'tls';
    case 'Unsupported':
      return 'auto';
    case 'UDP':
    case 'HBONE':
      return undefined;
    default:
      return 'tcp';
  }
}
