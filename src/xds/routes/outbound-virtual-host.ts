/**
 * One host on one port as the sidecars of a viewer get it: an encoded virtual host for each of the viewer's views, and
 * what the table that it goes into must know of it. Views that get the same share the same bytes.
 */
import type { Interner } from '#collections/interner.ts';
import type { HTTPRetryJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import { encodeRoute } from './encoded-route.ts';
import type { ConsistentHash } from './hash-policy.ts';
import { buildDefaultRoute } from './route.ts';
import type { TableHost } from './route-table.ts';
import { type EncodedVirtualHost, encodeVirtualHostRecord, encodeVirtualHostTail } from './virtual-host.ts';
import { buildRouteList, type RouteListInput } from './virtual-host-routes.ts';

/** What one view of the viewer gets, as the table of the port has it. */
export interface HostVariant extends TableHost {
  readonly view: string;
  /** The same in the table of the HTTP proxy; undefined where the view has none. */
  readonly forHttpProxy: EncodedVirtualHost | undefined;
}

/** Keyed `viewer|name`. */
export interface OutboundVirtualHost {
  readonly viewer: string;
  readonly namespace: string;
  /** `host:port`. */
  readonly name: string;
  readonly port: number;
  /** The port's protocol is found out on the connection, so that the host has a table of its own besides. */
  readonly hasOwnTable: boolean;
  readonly variants: readonly HostVariant[];
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
  readonly domains: readonly string[];
  readonly routes: HostRoutes;
  readonly includeAttemptCount: boolean;
}

/** Builds and encodes a virtual host, once per distinct input. */
export function internVirtualHost(interner: Interner, input: VirtualHostRecord): EncodedVirtualHost {
  return interner.intern('outboundVirtualHost', input, buildVirtualHost);
}

function buildVirtualHost(input: VirtualHostRecord): EncodedVirtualHost {
  const { routes } = input;
  const encoded =
    routes.kind === 'default' ? [encodeRoute(buildDefaultRoute(routes))] : buildRouteList(routes.list);
  const tail = encodeVirtualHostTail({
    routes: encoded,
    requireTls: false,
    includeAttemptCount: input.includeAttemptCount,
  });
  const clusters = [...new Set(encoded.flatMap((route) => route.clusters))];
  return encodeVirtualHostRecord(input.name, input.domains, tail, clusters);
}
