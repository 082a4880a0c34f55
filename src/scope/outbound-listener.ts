/**
 * Which outbound listeners a viewer needs: every visible service port lays claim to an address and a port, and claims
 * to the same place share one listener. A change of routes or policies changes no claim, and one of endpoints only those
 * of headless services of bytes, which claim the address of each endpoint.
 * Costs O(ports of the host) per changed host; a listener is computed again only when its claims change.
 * Source: istio pilot/pkg/networking/core/listener.go buildSidecarOutboundListeners.
 */
import { isIpAddress } from '#base/cidr.ts';
import type { Cause } from '#base/cause.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { ServiceEndpoints } from '#model/endpoint.ts';
import { type Service, type ServicePort, serviceKey } from '#model/service.ts';
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
  readonly port: number;
  readonly kind: ClaimKind;
  readonly hostname: string;
  /** Older services win where two claims can't share a listener. */
  readonly createdAtMs: number;
  readonly cause: Cause;
}

const ANY_ADDRESS = '0.0.0.0';

/** Derives all claims, and indexes them by `viewer|listener`. */
export function createOutboundClaims(
  engine: Engine,
  hosts: Collection<OutboundHost>,
): { readonly claims: Collection<OutboundClaim>; readonly byListener: Index<OutboundClaim> } {
  const claims = engine.deriveMany('scope.outboundClaims', hosts, (_fetch, host) =>
    host.service.ports.flatMap((port) => portClaims(host, port)),
  );
  const byListener = engine.index('scope.outboundClaims.byListener', claims, (claim) => [
    viewerKey(claim.viewer, claim.listener),
  ]);
  return { claims, byListener };
}

function portClaims(host: OutboundHost, port: ServicePort): (readonly [string, OutboundClaim])[] {
  const { service } = host;
  const kind = claimKind(port);
  if (kind === undefined || service.resolution === 'ALIAS') return [];
  const addresses = kind === 'http' ? [ANY_ADDRESS] : claimAddresses(service);
  return addresses.map((address) => {
    const listener = `${address}_${port.number}`;
    const claim: OutboundClaim = {
      viewer: host.viewer,
      listener,
      address,
      port: port.number,
      kind,
      hostname: service.hostname,
      createdAtMs: service.createdAtMs,
      cause: service.cause,
    };
    return [`${viewerKey(host.viewer, listener)}|${service.hostname}|${port.name}`, claim];
  });
}

function claimAddresses(service: Service): readonly string[] {
  const own = service.addresses.filter((address) => address !== ANY_ADDRESS && !address.includes('/'));
  return own.length === 0 ? [ANY_ADDRESS] : own;
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
