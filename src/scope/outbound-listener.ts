/**
 * Which outbound listeners a viewer needs: every visible service port lays claim to an address and a port, and claims
 * to the same place share one listener. A change of routes or policies changes no claim, and one of endpoints only those
 * of headless services of bytes, which claim the address of each endpoint.
 * Costs O(ports of the host) per changed host; a listener is computed again only when its claims change.
 * Source: istio pilot/pkg/networking/core/listener.go buildSidecarOutboundListeners.
 */
import { isIp } from '#base/cidr.ts';
import type { Cause } from '#base/cause.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { ServiceEndpoints } from '#model/endpoint.ts';
import type { Service, ServicePort } from '#model/service.ts';
import { serviceKey } from '#model/service-hostname.ts';
import type { OutboundHost } from './outbound-host.ts';
import { type Viewer, viewerKey } from './viewer.ts';

/** What a claim wants its connections taken for. */
export type ClaimKind = 'http' | 'tcp' | 'tls' | 'auto';

/** One service port's wish for a listener. Keyed `viewer|listener|hostname|port name`. */
export interface OutboundClaim {
  readonly viewer: string;
  /** Listener name, `0.0.0.0_9080` or `10.0.7.2_9000`. */
  readonly listener: string;
  /** '0.0.0.0' where the service has no address of its own. */
  readonly address: string;
  /** The service's range of addresses, '' when it has none: a listener cannot have one, so its chain matches it. */
  readonly cidr: string;
  /** `address` is an endpoint's, of a headless service: the proxy that has this address itself needs no such listener. */
  readonly isEndpoint: boolean;
  readonly port: number;
  readonly kind: ClaimKind;
  readonly hostname: string;
  /** Older services win where two claims can't share a listener. */
  readonly createdAtMs: number;
  readonly cause: Cause;
}

export interface OutboundClaimDeps {
  readonly hosts: Collection<OutboundHost>;
  readonly viewers: Collection<Viewer>;
  readonly endpoints: Collection<ServiceEndpoints>;
}

type ClaimPlace = Pick<OutboundClaim, 'address' | 'cidr' | 'isEndpoint'>;

const ANY_ADDRESS = '0.0.0.0';
const ANYWHERE: ClaimPlace = { address: ANY_ADDRESS, cidr: '', isEndpoint: false };

/** Derives all claims, and indexes them by `viewer|listener`. */
export function createOutboundClaims(
  engine: Engine,
  deps: OutboundClaimDeps,
): { readonly claims: Collection<OutboundClaim>; readonly byListener: Index<OutboundClaim> } {
  const claims = engine.deriveMany('scope.outboundClaims', deps.hosts, (fetch, host) =>
    host.service.ports.flatMap((port) => portClaims(fetch, deps, host, port)),
  );
  const byListener = engine.index('scope.outboundClaims.byListener', claims, (claim) => [
    viewerKey(claim.viewer, claim.listener),
  ]);
  return { claims, byListener };
}

function portClaims(
  fetch: Fetch,
  deps: OutboundClaimDeps,
  host: OutboundHost,
  port: ServicePort,
): (readonly [string, OutboundClaim])[] {
  const { service, viewer } = host;
  const kind = claimKind(port);
  if (kind === undefined || service.resolution === 'ALIAS') return [];
  const places = kind === 'http' ? [ANYWHERE] : claimPlaces(fetch, deps, host, port);
  return places.map((place) => {
    const listener = `${place.address}_${port.number}`;
    const { hostname, createdAtMs, cause } = service;
    const claim: OutboundClaim = {
      viewer,
      listener,
      ...place,
      port: port.number,
      kind,
      hostname,
      createdAtMs,
      cause,
    };
    return [`${viewerKey(viewer, listener)}|${hostname}|${port.name}`, claim];
  });
}

function claimPlaces(
  fetch: Fetch,
  deps: OutboundClaimDeps,
  { service, viewer }: OutboundHost,
  port: ServicePort,
): readonly ClaimPlace[] {
  const own = service.addresses.filter((address) => address !== ANY_ADDRESS);
  const isPlain = own.length > 0 ? !own.some(isRange) : service.resolution !== 'NONE';
  if (isPlain) return own.length === 0 ? [ANYWHERE] : own.map((address) => ({ ...ANYWHERE, address }));
  // A socket of the proxy's own does not know where the connection was going.
  if (fetch.get(deps.viewers, viewer)?.hasOriginalDestination !== true) return [ANYWHERE];
  return own.length > 0 ? own.map(placeOfAddress) : endpointPlaces(fetch, deps, service, port);
}

function isRange(address: string): boolean {
  return address.includes('/');
}

function placeOfAddress(address: string): ClaimPlace {
  return isRange(address) ? { ...ANYWHERE, cidr: address } : { ...ANYWHERE, address };
}

/** Of a ServiceEntry that names no endpoints nothing more is known; any other service without them has nobody behind it. */
function endpointPlaces(
  fetch: Fetch,
  deps: OutboundClaimDeps,
  service: Service,
  port: ServicePort,
): readonly ClaimPlace[] {
  const known = fetch.get(deps.endpoints, serviceKey(service.namespace, service.hostname))?.endpoints ?? [];
  const ofPort = known.filter((endpoint) => endpoint.servicePort === port.number);
  if (ofPort.length === 0) return isOpen(service) ? [ANYWHERE] : [];
  const addresses = new Set(ofPort.map(({ address }) => address));
  return [...addresses].filter(isIp).map((address) => ({ address, cidr: '', isEndpoint: true }));
}

function isOpen(service: Service): boolean {
  return service.registry !== 'Kubernetes' && Object.keys(service.selector).length === 0;
}

function claimKind(port: ServicePort): ClaimKind | undefined {
  switch (port.protocol) {
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
