/**
 * One host on one port as the sidecars of a viewer get it: an encoded virtual host for each of the viewer's views, and
 * what the table that it goes into must know of it. Views that get the same share the same bytes.
 */
import type { Cause } from '#base/cause.ts';
import { hashHex } from '#base/hash.ts';
import type { Interner } from '#collections/interner.ts';
import type { HTTPRetryJson } from '#proto/istio/networking/v1alpha3/virtual_service_pb.ts';
import type { HostRank } from '#scope/route-binding.ts';
import { encodeRoute } from './encoded-route.ts';
import type { ConsistentHash } from './hash-policy.ts';
import { buildDefaultRoute } from './route.ts';
import { encodeVirtualHost, encodeVirtualHostTail } from './virtual-host.ts';
import { buildRouteList, type RouteListInput } from './virtual-host-routes.ts';

/** An encoded virtual host that can still be given other domains. */
export interface EncodedVirtualHost {
  readonly bytes: Uint8Array;
  /** Hash of the bytes. */
  readonly hash: string;
  /** Where name and domains end. */
  readonly tailOffset: number;
  readonly clusters: readonly string[];
}

/** What one view of the viewer gets. */
export interface HostVariant {
  readonly view: string;
  /** In the table of the port. */
  readonly encoded: EncodedVirtualHost;
  /** In the table of the HTTP proxy; undefined where the view has none. */
  readonly forHttpProxy: EncodedVirtualHost | undefined;
  readonly rank: HostRank;
  readonly causes: readonly Cause[];
}

/** Keyed `viewer|name`. */
export interface OutboundVirtualHost {
  readonly viewer: string;
  readonly namespace: string;
  /** `host:port`. */
  readonly name: string;
  readonly port: number;
  readonly domains: readonly string[];
  /** Domains that give way to a service of that very name. */
  readonly alternates: ReadonlySet<string>;
  /** The port's protocol is found out on the connection, so that the host has a table of its own besides. */
  readonly hasOwnTable: boolean;
  readonly variants: readonly HostVariant[];
}

/** Routes of a virtual host: one default route, or those of a VirtualService. */
export type HostRoutes =
  | { readonly kind: 'default'; readonly cluster: string; readonly hash: ConsistentHash | undefined; readonly defaultRetries: HTTPRetryJson | undefined }
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
  const encoded = routes.kind === 'default' ? [encodeRoute(buildDefaultRoute(routes))] : buildRouteList(routes.list);
  const tail = encodeVirtualHostTail({
    routes: encoded,
    requireTls: false,
    includeAttemptCount: input.includeAttemptCount,
  });
  const clusters = [...new Set(encoded.flatMap((route) => route.clusters))];
  return withDomains(input.name, input.domains, tail, clusters);
}

/** The same virtual host under other domains: what it gets where another host has taken some of its names. */
export function replaceDomains(host: EncodedVirtualHost, name: string, domains: readonly string[]): EncodedVirtualHost {
  return withDomains(name, domains, host.bytes.subarray(host.tailOffset), host.clusters);
}

function withDomains(
  name: string,
  domains: readonly string[],
  tail: Uint8Array,
  clusters: readonly string[],
): EncodedVirtualHost {
  const bytes = encodeVirtualHost(name, domains, tail);
  return { bytes, hash: hashHex(bytes), tailOffset: bytes.length - tail.length, clusters };
}
