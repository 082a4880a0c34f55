/**
 * One host on one port as sidecars get it: the encoded virtual host, which everybody shares who gets the same, and
 * beside it what its table and its explanation must know.
 */
import type { Cause } from '#base/cause.ts';
import type { Interner } from '#collections/interner.ts';
import type { PersistentSession, Service } from '#model/service.ts';
import type { VirtualService } from '#model/virtual-service.ts';
import type { HTTPRetryJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import type { HostDomains } from '#scope/route-domains.ts';
import { encodeRoute } from './encoded-route.ts';
import type { ConsistentHash } from './hash-policy.ts';
import { buildDefaultRoute } from './route.ts';
import { type EncodedVirtualHost, encodeVirtualHost } from './virtual-host.ts';
import { buildRouteList, type RouteListInput } from './virtual-host-routes.ts';

/** A virtual host of one view's tables. */
export interface OutboundVirtualHost {
  readonly port: number;
  /** In the table of the port. */
  readonly encoded: EncodedVirtualHost;
  /** In the table of the HTTP proxy; undefined where the view has none. */
  readonly forHttpProxy: EncodedVirtualHost | undefined;
  /** Undefined for a host that only VirtualServices name. */
  readonly service: Service | undefined;
  /** Whose routes it has, undefined for the default route. */
  readonly virtualService: VirtualService | undefined;
  /** Rules and policies that shaped it, besides the service. */
  readonly otherCauses: readonly Cause[];
  /** The port's protocol is found out on the connection, so that the host has a table of its own besides. */
  readonly hasOwnTable: boolean;
}

/** Routes of a virtual host: one default route, or those of a VirtualService. */
export type HostRoutes =
  | {
      readonly kind: 'default';
      readonly cluster: string;
      readonly hash: ConsistentHash | undefined;
      readonly defaultRetries: HTTPRetryJson | undefined;
    }
  | { readonly kind: 'virtual-service'; readonly list: RouteListInput };

export interface VirtualHostRecord {
  readonly name: string;
  readonly domains: HostDomains;
  readonly routes: HostRoutes;
  readonly includeAttemptCount: boolean;
  readonly session: PersistentSession | undefined;
}

/** Builds and encodes a virtual host, once per distinct input. */
export function internVirtualHost(interner: Interner, input: VirtualHostRecord): EncodedVirtualHost {
  return interner.intern('outboundVirtualHost', input, buildVirtualHost);
}

/** Everything that shaped the virtual host. */
export function causesOf(host: OutboundVirtualHost): readonly Cause[] {
  return host.service === undefined ? host.otherCauses : [host.service.cause, ...host.otherCauses];
}

function buildVirtualHost(input: VirtualHostRecord): EncodedVirtualHost {
  const { routes, includeAttemptCount, session } = input;
  return encodeVirtualHost(input.name, input.domains, {
    routes:
      routes.kind === 'default' ? [encodeRoute(buildDefaultRoute(routes))] : buildRouteList(routes.list),
    requireTls: false,
    includeAttemptCount,
    session,
  });
}
