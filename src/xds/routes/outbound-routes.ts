/**
 * Outbound route tables of sidecars: one per port that some HTTP or sniffed service has, `http_proxy` for proxies with an
 * HTTP proxy listener, and one of its own for each sniffed service port with an address (`host:port`).
 * A change of one virtual host costs its encoding, and for each table that holds it a copy of the other hosts' bytes.
 */
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarSpec } from '#api/sidecar.ts';
import type { Proxy } from '#model/proxy.ts';
import type { RouteModel } from '#model/route-model.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import { createRouteContexts, type RouteContext } from '#scope/route-context.ts';
import { createRouteViews, type RouteView } from '#scope/route-view.ts';
import { type Viewer, viewerKey } from '#scope/viewer.ts';
import type { ResourceEntry } from '../resource.ts';
import { isSameEntry } from '../resource-entry.ts';
import { internCatchAll } from './catch-all.ts';
import type { HostVariant, OutboundVirtualHost } from './outbound-virtual-host.ts';
import { createOutboundVirtualHosts } from './outbound-virtual-hosts.ts';
import { composeTable, type TableHost } from './route-table.ts';
import { replaceDomains } from './virtual-host.ts';

/** Name of the table of the HTTP proxy listener. */
export const HTTP_PROXY_ROUTES = 'http_proxy';

/** The port that a Host without port means. */
const DEFAULT_HTTP_PORT = 80;

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
  readonly sidecars: Collection<MeshObject<SidecarSpec>>;
}

export interface OutboundRoutes {
  /** By view (see `viewOf`); keys within end with the name of the table: `view|name`. */
  readonly routes: Index<ResourceEntry>;
  /** The view of a sidecar: its bucket in `routes`. */
  readonly viewOf: (fetch: Fetch, proxy: Proxy) => string;
  readonly contexts: Collection<RouteContext>;
  readonly virtualHosts: Collection<OutboundVirtualHost>;
}

/** Derives all outbound route tables. */
export function createOutboundRoutes(deps: OutboundRouteDeps): OutboundRoutes {
  const { engine } = deps;
  const routeViews = createRouteViews(deps);
  const contexts = createRouteContexts({ ...deps, routeViews });
  const virtualHosts = createOutboundVirtualHosts({ ...deps, contexts });
  const tables = new Tables(deps, contexts, virtualHosts);
  const all = engine.union('xds.outboundRoutes', [
    tables.ofPorts(),
    tables.ofSniffedServices(),
    tables.ofHttpProxies(routeViews.httpProxyViews),
    tables.ofEgressListeners(),
  ]);
  const routes = engine.index(
    'xds.outboundRoutes.byView',
    all,
    (_entry, key) => [viewOfKey(key)],
    (entry) => entry.resource.name,
  );
  return { routes, contexts, virtualHosts, viewOf: (fetch, proxy) => routeViews.viewOf(fetch, proxy).key };
}

/** The three kinds of tables, each keyed `view|name`. */
class Tables {
  readonly #deps: OutboundRouteDeps;
  readonly #contexts: Collection<RouteContext>;
  readonly #virtualHosts: Collection<OutboundVirtualHost>;
  readonly #byViewer: Index<OutboundVirtualHost>;

  constructor(
    deps: OutboundRouteDeps,
    contexts: Collection<RouteContext>,
    virtualHosts: Collection<OutboundVirtualHost>,
  ) {
    this.#deps = deps;
    this.#contexts = contexts;
    this.#virtualHosts = virtualHosts;
    this.#byViewer = deps.engine.index('xds.virtualHosts.byViewer', virtualHosts, (host) => [host.viewer]);
  }

  ofPorts(): Collection<ResourceEntry> {
    const { engine } = this.#deps;
    const byTable = engine.index('xds.virtualHosts.byTable', this.#virtualHosts, (host) => [
      viewerKey(host.viewer, String(host.port)),
    ]);
    const grouped = engine.group('xds.portTables', byTable);
    return engine.deriveMany(
      'xds.portRoutes',
      grouped,
      (fetch, hosts) => {
        const [first] = hosts.values();
        const context = first === undefined ? undefined : fetch.get(this.#contexts, first.viewer);
        if (first === undefined || context === undefined) return [];
        const name = String(first.port);
        if (context.egress?.some((listener) => listener.isHttpProxy && listener.port === first.port))
          return [];
        return context.views.map((view) => [
          viewerKey(view.key, name),
          this.#table(name, context, view, tableHosts(hosts, view)),
        ]);
      },
      BY_VERSION,
    );
  }

  ofSniffedServices(): Collection<ResourceEntry> {
    return this.#deps.engine.deriveMany(
      'xds.sniffedRoutes',
      this.#virtualHosts,
      (_fetch, host) => {
        if (!host.hasOwnTable) return [];
        return host.variants.map((variant) => [
          viewerKey(variant.view, host.name),
          this.#singleTable(host, variant),
        ]);
      },
      BY_VERSION,
    );
  }

  ofHttpProxies(views: Collection<RouteView>): Collection<ResourceEntry> {
    const { engine } = this.#deps;
    return engine.deriveMany(
      'xds.httpProxyRoutes',
      views,
      (fetch, view) => {
        const context = fetch.get(this.#contexts, view.viewer);
        if (context === undefined) return [];
        const hosts = proxyHosts(fetch.bucket(this.#byViewer, view.viewer), view);
        // It serves all ports at once and must tell them apart.
        const table = this.#table(HTTP_PROXY_ROUTES, context, view, hosts, false);
        return [[viewerKey(view.key, HTTP_PROXY_ROUTES), table]];
      },
      BY_VERSION,
    );
  }

  /** A Sidecar's listener with a port of its own has a table, also when nothing is imported on the port. */
  ofEgressListeners(): Collection<ResourceEntry> {
    const { engine } = this.#deps;
    return engine.deriveMany(
      'xds.egressListenerRoutes',
      this.#contexts,
      (fetch, context) =>
        (context.egress ?? []).flatMap((listener) => {
          if (listener.port === 0) return [];
          const name = String(listener.port);
          return context.views.map((view) => {
            const hosts = listener.isHttpProxy
              ? proxyHosts(fetch.bucket(this.#byViewer, context.viewer.key), view)
              : [];
            return [
              viewerKey(view.key, name),
              this.#table(name, context, view, hosts, !listener.isHttpProxy),
            ];
          });
        }),
      BY_VERSION,
    );
  }

  #table(
    name: string,
    context: RouteContext,
    view: RouteView,
    hosts: readonly TableHost[],
    ignorePort = true,
  ): ResourceEntry {
    const { interner } = this.#deps;
    const catchAll = internCatchAll(interner, {
      unknownHosts: context.unknownHosts,
      egressProxy: context.egressProxy,
      includeAttemptCount: view.includesAttemptCount,
      appendForwardedHost: view.appendsForwardedHost,
    });
    const resource = composeTable(interner, {
      name,
      hosts,
      catchAll,
      ignorePort,
      namespace: view.namespace,
    });
    return { resource, causes: hosts.flatMap((host) => host.causes) };
  }

  /** Whatever Host a sniffed connection names, it goes to the service that it was opened to. */
  #singleTable(host: OutboundVirtualHost, variant: HostVariant): ResourceEntry {
    const encoded = replaceDomains(variant.encoded, host.name, ['*']);
    const only: TableHost = { ...variant, domains: ['*'], encoded };
    const resource = composeTable(this.#deps.interner, {
      name: host.name,
      hosts: [only],
      catchAll: undefined,
      ignorePort: true,
      namespace: host.namespace,
    });
    return { resource, causes: variant.causes };
  }
}

function tableHosts(hosts: PersistentMap<OutboundVirtualHost>, view: RouteView): TableHost[] {
  const chosen: TableHost[] = [];
  for (const host of hosts.values()) {
    const variant = variantFor(host, view);
    if (variant !== undefined) chosen.push(variant);
  }
  return chosen;
}

/** The hosts of all ports, told apart by the port in the Host header. */
function proxyHosts(hosts: PersistentMap<OutboundVirtualHost>, view: RouteView): TableHost[] {
  const chosen: TableHost[] = [];
  for (const host of hosts.values()) {
    const variant = variantFor(host, view);
    if (variant?.forHttpProxy === undefined) continue;
    const domains = variant.domains.flatMap((domain) => withPort(domain, host.port));
    chosen.push({
      name: host.name,
      domains,
      alternates: new Set([...variant.alternates].flatMap((domain) => withPort(domain, host.port))),
      encoded: replaceDomains(variant.forHttpProxy, host.name, domains),
      rank: variant.rank,
      causes: variant.causes,
    });
  }
  return chosen;
}

function withPort(domain: string, port: number): string[] {
  return port === DEFAULT_HTTP_PORT ? [domain, `${domain}:${port}`] : [`${domain}:${port}`];
}

function variantFor(host: OutboundVirtualHost, view: RouteView): HostVariant | undefined {
  // Nearly always there is one view.
  const [first] = host.variants;
  return first?.view === view.key ? first : host.variants.find((variant) => variant.view === view.key);
}

/** The part of a key `view|name` before the name; views hold no '|'. */
function viewOfKey(key: string): string {
  return key.slice(0, key.indexOf('|'));
}
