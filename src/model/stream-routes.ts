/**
 * VirtualServices for sidecars that route byte streams (tcp and tls rules), found by host: most meshes have few of them, so listeners
 * look here instead of among all. A changed object costs the listeners of its hosts.
 */
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import { doHostsOverlap, isWildcardHost } from './service-hostname.ts';
import { MESH_GATEWAY, type VirtualService, virtualServiceKey } from './virtual-service.ts';

export interface StreamRoutes {
  /** By each of their hosts as written (in lower case), full names and wildcards. */
  readonly byHost: Index<VirtualService>;
  /** Wildcards among these hosts; key and value are the host. */
  readonly wildcards: Collection<string>;
  /** All of them under 'all': for services that are wildcards themselves. */
  readonly all: Index<VirtualService>;
  /** Those that ask for labels of the client, under 'all'. */
  readonly bySourceLabels: Index<VirtualService>;
}

/** The one bucket of the indices that have no parts. */
export const ALL_STREAM_ROUTES = 'all';

/** Builds the indices. */
export function createStreamRoutes(
  engine: Engine,
  virtualServices: Collection<VirtualService>,
): StreamRoutes {
  const isStream = (object: VirtualService): boolean =>
    object.tls.length + object.tcp.length > 0 && object.gateways.includes(MESH_GATEWAY);
  return {
    byHost: engine.index('model.streamRoutes.byHost', virtualServices, (object) =>
      isStream(object) ? object.hosts : [],
    ),
    wildcards: engine.deriveMany('model.streamRoutes.wildcards', virtualServices, (_fetch, object) =>
      isStream(object) ? object.hosts.filter(isWildcardHost).map((host) => [host, host] as const) : [],
    ),
    all: engine.index('model.streamRoutes.all', virtualServices, (object) =>
      isStream(object) ? [ALL_STREAM_ROUTES] : [],
    ),
    bySourceLabels: engine.index('model.streamRoutes.bySourceLabels', virtualServices, (object) =>
      isStream(object) && streamLabelPairs(object).length > 0 ? [ALL_STREAM_ROUTES] : [],
    ),
  };
}

/** Those with a host that meets the service's, in no order. Costs the wildcards of the mesh and what is found. */
export function streamRoutesFor(
  fetch: Fetch,
  routes: StreamRoutes,
  hostname: string,
): readonly VirtualService[] {
  const host = hostname.toLowerCase();
  if (isWildcardHost(host)) {
    const all = [...fetch.bucket(routes.all, ALL_STREAM_ROUTES).values()];
    return all.filter((object) => object.hosts.some((own) => doHostsOverlap(own, host)));
  }
  const wildcards = [...fetch.all(routes.wildcards).keys()].filter((wildcard) =>
    doHostsOverlap(wildcard, host),
  );
  const found = new Map<string, VirtualService>();
  for (const own of [host, ...wildcards]) {
    for (const object of fetch.bucket(routes.byHost, own).values())
      found.set(virtualServiceKey(object), object);
  }
  return [...found.values()];
}

/** Label pairs `key=value` that its tcp and tls matches ask of clients. */
export function streamLabelPairs({ tls, tcp }: VirtualService): readonly string[] {
  const matches = [...tls, ...tcp].flatMap((rule) => [...(rule.match ?? [])]);
  const pairs = matches.flatMap((match) =>
    Object.entries(match.sourceLabels ?? {}).map(([key, value]) => `${key}=${value}`),
  );
  return [...new Set(pairs)];
}
