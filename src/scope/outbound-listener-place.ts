/**
 * Where a service port's outbound listeners are: at the service's own address, at all addresses, at each endpoint of a headless
 * service, or at the address that a Sidecar object gives. A range of addresses cannot be listened on: its chain matches it.
 * Source: istio pilot/pkg/networking/core/listener.go buildSidecarOutboundListener, model Service.GetAddressForProxy.
 */
import { isIp } from '#base/cidr.ts';
import type { Collection, Fetch } from '#collections/collection.ts';
import type { ServiceEndpoints } from '#model/endpoint.ts';
import type { Service } from '#model/service.ts';
import { serviceKey } from '#model/service-hostname.ts';
import type { EgressListener } from './egress-listener.ts';
import type { ClaimKind } from './outbound-listener.ts';
import { usableAddresses } from './service-address.ts';
import type { Viewer } from './viewer.ts';

/** The place of one claim. */
export interface ClaimPlace {
  /** What is listened on: an address, or the `unix://` path of a Sidecar's listener. */
  readonly address: string;
  /** Further addresses of the other family; they count for proxies with both. */
  readonly extraAddresses: readonly string[];
  /** All addresses are listened on. */
  readonly isAnywhere: boolean;
  /** It has a socket of its own instead of being handed connections. */
  readonly isBound: boolean;
  /** Nobody chose the address: it is the proxy's own loopback. */
  readonly isLocal: boolean;
  /** The service's range of addresses; '' when it has none. */
  readonly cidr: string;
  /** `address` is an endpoint's, of a headless service: the proxy that has this address itself needs no such listener. */
  readonly isEndpoint: boolean;
}

/** Which port of which service is looked for. */
export interface PlaceRequest {
  readonly service: Service;
  readonly viewer: Viewer;
  readonly port: number;
  readonly listener: Pick<EgressListener, 'bind' | 'isBound' | 'isCatchAll'>;
  readonly kind: ClaimKind;
}

const ANY_IPV4 = '0.0.0.0';
const ANY_IPV6 = '::';

/** The place of HTTP, which services share whatever addresses they have. */
export function anywhere(request: PlaceRequest): ClaimPlace {
  return chosenPlace(request) ?? wildcardPlace(request.viewer);
}

/** The places of bytes. Costs the endpoints of the service where it is headless. */
export function placesOf(
  fetch: Fetch,
  endpoints: Collection<ServiceEndpoints>,
  request: PlaceRequest,
): readonly ClaimPlace[] {
  const { service, viewer } = request;
  const chosen = chosenPlace(request);
  if (chosen !== undefined) return [chosen];
  const own = ownAddresses(service, viewer);
  if (own.length > 0)
    return service.registry === 'External'
      ? own.map((one) => addressPlace([one], viewer))
      : [addressPlace(own, viewer)];
  if (service.resolution !== 'NONE' || !request.listener.isCatchAll) return [unnamedPlace(service, viewer)];
  return endpointPlaces(fetch, endpoints, request);
}

/** What the Sidecar's listener or the lack of interception says; undefined where the service decides. */
function chosenPlace({ viewer, listener }: PlaceRequest): ClaimPlace | undefined {
  const isBound = listener.isBound || !viewer.hasOriginalDestination;
  if (listener.bind !== '') {
    const isAnywhere = listener.bind === (viewer.ipFamilies === 'v6' ? ANY_IPV6 : ANY_IPV4);
    return { ...PLAIN, address: listener.bind, isAnywhere, isBound };
  }
  if (!isBound) return undefined;
  const [address, extraAddresses] = viewer.ipFamilies === 'v6' ? ['::1', []] : ['127.0.0.1', ['::1']];
  return { ...PLAIN, address, extraAddresses, isBound, isLocal: true };
}

const PLAIN: ClaimPlace = {
  address: ANY_IPV4,
  extraAddresses: [],
  isAnywhere: false,
  isBound: false,
  isLocal: false,
  cidr: '',
  isEndpoint: false,
};

/** All addresses. */
function wildcardPlace(viewer: Viewer): ClaimPlace {
  if (viewer.ipFamilies === 'v6') return { ...PLAIN, address: ANY_IPV6, isAnywhere: true };
  return { ...PLAIN, extraAddresses: [ANY_IPV6], isAnywhere: true };
}

/** A Kubernetes Service without an address has no other family either. */
function unnamedPlace(service: Service, viewer: Viewer): ClaimPlace {
  if (service.registry === 'External') return wildcardPlace(viewer);
  return { ...PLAIN, isAnywhere: viewer.ipFamilies !== 'v6' };
}

/** Those that the proxies can use; where there are none of their family the service's first must do. */
function ownAddresses(service: Service, viewer: Viewer): readonly string[] {
  const usable = usableAddresses(service, viewer.ipFamilies).filter((address) => address !== ANY_IPV4);
  return usable.length > 0 ? usable : service.addresses.filter((address) => address !== ANY_IPV4).slice(0, 1);
}

function addressPlace(
  [address = ANY_IPV4, ...extraAddresses]: readonly string[],
  viewer: Viewer,
): ClaimPlace {
  if (address.includes('/')) return { ...wildcardPlace(viewer), cidr: address };
  return { ...PLAIN, address, extraAddresses };
}

/** Of a ServiceEntry that names no endpoints nothing more is known; any other service without them has nobody behind it. */
function endpointPlaces(
  fetch: Fetch,
  endpoints: Collection<ServiceEndpoints>,
  { service, viewer, port }: PlaceRequest,
): readonly ClaimPlace[] {
  const known = fetch.get(endpoints, serviceKey(service.namespace, service.hostname))?.endpoints ?? [];
  const ofPort = known.filter((endpoint) => endpoint.servicePort === port);
  if (ofPort.length === 0) return isOpen(service) ? [unnamedPlace(service, viewer)] : [];
  const addresses = new Set(ofPort.map(({ address }) => address));
  return [...addresses].filter(isIp).map((address) => ({ ...PLAIN, address, isEndpoint: true }));
}

function isOpen(service: Service): boolean {
  return service.registry !== 'Kubernetes' && Object.keys(service.selector).length === 0;
}
