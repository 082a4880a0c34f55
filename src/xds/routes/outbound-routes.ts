/**
 * Outbound route tables of sidecars: one per port that some HTTP or sniffed service has, `http_proxy` for proxies with an
 * HTTP proxy listener, and one of its own for each sniffed service port with an address (`host:port`).
 * A change of one virtual host costs its encoding, and for each table that holds it a copy of the other hosts' bytes.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarSpec } from '#api/sidecar.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import type { Proxy } from '#model/proxy.ts';
import { policyOnOneMachine } from '#model/route-facts.ts';
import type { RouteModel } from '#model/route-model.ts';
import { takesAllPorts } from '#scope/egress-listener.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import { createRouteContexts, type RouteContext } from '#scope/route-context.ts';
import { createRouteViews, type RouteView } from '#scope/route-view.ts';
import { type Viewer, viewerKey } from '#scope/viewer.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { isSameEntry } from '#xds/resource-entry.ts';
import { internCatchAll } from './catch-all.ts';
import { type HostShard, internHosts, type ShardVariant, variantFor } from './host-shard.ts';
import { proxyShard } from './http-proxy-hosts.ts';
import { createHostShards } from './outbound-virtual-hosts.ts';
import type { OutboundVirtualHost } from './outbound-virtual-host.ts';
import { composeTable } from './route-table.ts';
import { replaceDomains } from './virtual-host.ts';

/** Name of the table of the HTTP proxy listener. */
export const HTTP_PROXY_ROUTES = 'http_proxy';

/** Tables are large: they are the same when their versions and causes are. */
const BY_VERSION = { equals: isSameEntry };

export interface OutboundRouteDeps {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly model: RouteModel;
  readonly proxies: Collection<Proxy>;
  readonly viewers: Collection<Viewer>;
  readonly viewerOf: (fetch: Fetch, proxy: Proxy) => string;
  readonly hosts: Collection<OutboundHost>;
  readonly hostsByViewer: Index<OutboundHost>;
  readonly hostsByTableShard: Index<OutboundHost>;
  readonly sidecars: Collection<MeshObject<SidecarSpec>>;
}

export interface OutboundRoutes {
  /** By view (see `viewOf`); the inner key is the name of the table. */
  readonly routes: Index<ResourceEntry>;
  /** The view of a sidecar: its bucket in `routes`. */
  readonly viewOf: (fetch: Fetch, proxy: Proxy) => string;
  /** What the tables are made of, keyed `viewer|port|shard` with the shards of model/host-shard.ts. */
  readonly hostShards: Collection<HostShard>;
}

/** Derives all outbound route tables. */
export function createOutboundRoutes(deps: OutboundRouteDeps): OutboundRoutes {
  const { engine } = deps;
  const routeViews = createRouteViews(deps);
  const contexts = createRouteContexts({ ...deps, routeViews });
  const shards = createHostShards({ ...deps, contexts });
  const tables = new Tables(deps, contexts, shards);
  const all = engine.union('xds.outboundRoutes', [
    tables.ofPorts(),
    tables.ofSniffedServices(),
    tables.ofHttpProxies(routeViews.httpProxyViews),
    tables.ofEgressListeners(),
  ]);
  const routes = engine.index(
    'xds.outboundRoutes.byView',
    all,
    // Views hold no '|'.
    (_entry, key) => [key.slice(0, key.indexOf('|'))],
    (entry) => entry.resource.name,
  );
  return { routes, viewOf: (fetch, proxy) => routeViews.viewOf(fetch, proxy).key, hostShards: shards };
}

/** The kinds of tables, each keyed `view|name`. */
class Tables {
  readonly #deps: OutboundRouteDeps;
  readonly #contexts: Collection<RouteContext>;
  readonly #shards: Collection<HostShard>;
  /** By `viewer|port`. */
  readonly #byTable: Index<HostShard>;
  /** By `viewer|listener`. */
  readonly #byListener: Index<HostShard>;

  constructor(deps: OutboundRouteDeps, contexts: Collection<RouteContext>, shards: Collection<HostShard>) {
    this.#deps = deps;
    this.#contexts = contexts;
    this.#shards = shards;
    this.#byTable = deps.engine.index('xds.hostShards.byTable', shards, (shard) =>
      shard.listener === '' ? [viewerKey(shard.viewer, String(shard.port))] : [],
    );
    this.#byListener = deps.engine.index('xds.hostShards.byListener', shards, (shard) => [
      viewerKey(shard.viewer, shard.listener),
    ]);
  }

  ofPorts(): Collection<ResourceEntry> {
    const { engine } = this.#deps;
    const derive = (fetch: Fetch, shards: PersistentMap<HostShard>): readonly TableEntry[] => {
      const [first] = shards.values();
      const context = first === undefined ? undefined : fetch.get(this.#contexts, first.viewer);
      if (first === undefined || context === undefined) return [];
      const { port } = first;
      if (context.egress?.some((listener) => listener.isHttpProxy && listener.port === port)) return [];
      return context.views.map((view) => this.#table(String(port), context, view, shardsFor(shards, view)));
    };
    return engine.deriveMany(
      'xds.portRoutes',
      engine.group('xds.portTables', this.#byTable),
      derive,
      BY_VERSION,
    );
  }

  ofSniffedServices(): Collection<ResourceEntry> {
    const derive = (_fetch: Fetch, { listener, variants }: HostShard): readonly TableEntry[] =>
      variants.flatMap(({ view, hosts }) =>
        hosts
          .filter((host) => host.hasOwnTable && listener === '')
          .map((host) => this.#singleTable(view, host)),
      );
    return this.#deps.engine.deriveMany('xds.sniffedRoutes', this.#shards, derive, BY_VERSION);
  }

  ofHttpProxies(views: Collection<RouteView>): Collection<ResourceEntry> {
    const derive = (fetch: Fetch, view: RouteView): readonly TableEntry[] => {
      const context = fetch.get(this.#contexts, view.viewer);
      return context === undefined
        ? []
        : [this.#proxyTable(fetch, { name: HTTP_PROXY_ROUTES, listener: '' }, context, view)];
    };
    return this.#deps.engine.deriveMany('xds.httpProxyRoutes', views, derive, BY_VERSION);
  }

  /** A Sidecar's listener with a port of its own has a table, also when nothing is imported on the port. */
  ofEgressListeners(): Collection<ResourceEntry> {
    const derive = (fetch: Fetch, context: RouteContext): readonly TableEntry[] =>
      (context.egress ?? []).flatMap((listener, place) => {
        if (listener.isCatchAll) return [];
        const name = listener.port === 0 ? listener.bind : String(listener.port);
        const table = { name, listener: String(place) };
        return context.views.map((view) =>
          takesAllPorts(listener)
            ? this.#proxyTable(fetch, table, context, view)
            : this.#table(name, context, view, []),
        );
      });
    return this.#deps.engine.deriveMany('xds.egressListenerRoutes', this.#contexts, derive, BY_VERSION);
  }

  /** It serves all ports at once and must tell them apart. */
  #proxyTable(
    fetch: Fetch,
    { name, listener }: { readonly name: string; readonly listener: string },
    context: RouteContext,
    view: RouteView,
  ): TableEntry {
    const shards = shardsFor(fetch.bucket(this.#byListener, viewerKey(context.viewer.key, listener)), view);
    return this.#table(name, context, view, [proxyShard(this.#deps.interner, view.key, shards)], false);
  }

  #table(
    name: string,
    context: RouteContext,
    view: RouteView,
    shards: readonly ShardVariant[],
    ignorePort = true,
  ): TableEntry {
    const { interner } = this.#deps;
    const { unknownHosts, egressProxy } = context;
    const looksUp = view.localProxyPort > 0 && egressProxy === undefined;
    const catchAll = internCatchAll(interner, {
      unknownHosts: looksUp ? policyOnOneMachine(unknownHosts) : unknownHosts,
      egressProxy,
      refusedPort: looksUp ? view.localProxyPort : 0,
      includeAttemptCount: view.includesAttemptCount,
      appendForwardedHost: view.appendsForwardedHost,
    });
    const { namespace } = view;
    return [
      viewerKey(view.key, name),
      composeTable(interner, { name, shards, catchAll, ignorePort, namespace }),
    ];
  }

  /** Whatever Host a sniffed connection names, it goes to the service that it was opened to. */
  #singleTable(view: string, host: OutboundVirtualHost): TableEntry {
    const { interner } = this.#deps;
    const encoded = replaceDomains(host.encoded, ['*']);
    const hosts = [{ ...host, encoded }];
    const shards = [{ view, hosts, encoded: internHosts(interner, [encoded]) }];
    const { name } = encoded;
    const table = { name, shards, catchAll: undefined, ignorePort: true, namespace: '' };
    return [viewerKey(view, name), composeTable(interner, table)];
  }
}

type TableEntry = readonly [string, ResourceEntry];

function shardsFor(shards: PersistentMap<HostShard>, view: RouteView): ShardVariant[] {
  const chosen: ShardVariant[] = [];
  for (const shard of shards.values()) {
    const variant = variantFor(shard, view.key);
    if (variant !== undefined) chosen.push(variant);
  }
  return chosen;
}
