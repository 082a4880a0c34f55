/**
 * One route table of a gateway: the hosts that its servers and the bound VirtualServices have in common, each with the
 * routes of all VirtualServices that name it, in order of precedence.
 */
import { sortedBy } from '#base/bytes-order.ts';
import type { Interner } from '#collections/interner.ts';
import type { GatewayServer } from '#model/gateway.ts';
import { comparePrecedenceIn, virtualServiceKey } from '#model/virtual-service.ts';
import type { RouteTableServers } from '#scope/gateway-merge.ts';
import { commonHosts } from '#scope/gateway-scope.ts';
import { terminatesHttps, withoutNamespace } from '#scope/gateway-server.ts';
import type { GatewayView } from '#scope/gateway-view.ts';
import { compareSpecificity } from '#scope/route-context.ts';
import { virtualHostName } from '#scope/route-domains.ts';
import type { Resource } from '#xds/resource.ts';
import type { EncodedRoute } from './encoded-route.ts';
import type { GatewayRouteList } from './gateway-routes.ts';
import { misdirectedRoute } from './misdirected.ts';
import { internRouteConfiguration } from './route-configuration.ts';
import { internHosts } from './host-shard.ts';
import { type EncodedVirtualHost, encodeVirtualHost, type VirtualHostTail } from './virtual-host.ts';

export interface GatewayTableInput {
  readonly view: GatewayView;
  readonly table: RouteTableServers;
  readonly lists: readonly GatewayRouteList[];
}

/** A virtual host that is being put together. */
interface HostState {
  readonly port: number;
  readonly domains: string[];
  readonly lists: GatewayRouteList[];
  requireTls: boolean;
}

/** Composes the table, once per distinct content. */
export function composeGatewayTable(interner: Interner, input: GatewayTableInput): Resource {
  const { name, servers } = input.table;
  const collected = collectHosts(input);
  const virtualHosts =
    collected.size === 0 ? [blackhole(servers[0]?.port ?? 0)] : encodeHosts(input, collected);
  const hosts = [internHosts(interner, virtualHosts)];
  return internRouteConfiguration(interner, { name, ignorePort: true, hosts });
}

/** Hosts in the order in which servers and VirtualServices name them. */
function collectHosts(input: GatewayTableInput): ReadonlyMap<string, HostState> {
  const hosts = new Map<string, HostState>();
  const ordered = input.lists.toSorted((a, b) =>
    comparePrecedenceIn(input.view.namespace, a.binding.virtualService, b.binding.virtualService),
  );
  for (const server of input.table.servers) {
    const redirects = server.tls?.httpsRedirect === true;
    for (const list of ordered) {
      if (list.binding.gateway !== server.gateway) continue;
      for (const host of commonHosts(server.hosts, list.binding.virtualService)) {
        const state = hosts.get(host) ?? { port: server.port, domains: [host], lists: [], requireTls: false };
        state.lists.push(list);
        state.requireTls ||= redirects;
        hosts.set(host, state);
      }
    }
    if (redirects) redirectHosts(server, hosts);
  }
  return hosts;
}

/** A server that redirects does so for all its hosts, also those that no VirtualService names. */
function redirectHosts(server: GatewayServer, hosts: Map<string, HostState>): void {
  for (const entry of server.hosts) {
    const host = withoutNamespace(entry).toLowerCase();
    const state = hosts.get(host) ?? { port: server.port, domains: [host], lists: [], requireTls: true };
    state.requireTls = true;
    hosts.set(host, state);
  }
}

function encodeHosts(
  input: GatewayTableInput,
  collected: ReadonlyMap<string, HostState>,
): readonly EncodedVirtualHost[] {
  const hosts = [...collapse(collected)].map(([host, state]) => gatewayHost(host, state, input.view));
  const misdirected = misdirectedHost(input, collected);
  if (misdirected !== undefined) hosts.push(misdirected);
  return sortedBy(hosts, (host) => host.name).map(encodeHost);
}

/**
 * Hosts with the same routes become one virtual host with several domains, under the most specific name.
 * Source: istio gateway.go collapseDuplicateRoutes.
 */
function collapse(collected: ReadonlyMap<string, HostState>): ReadonlyMap<string, HostState> {
  const kept = new Map<string, HostState>();
  const byRoutes = new Map<string, HostState>();
  for (const [host, state] of [...collected].sort((a, b) => compareSpecificity(a[0], b[0]))) {
    const sources = state.lists.map(
      ({ binding }) => `${binding.gateway}|${virtualServiceKey(binding.virtualService)}`,
    );
    const key = `${state.requireTls} ${sources.join(' ')}`;
    const same = byRoutes.get(key);
    if (same !== undefined) {
      same.domains.push(...state.domains);
    } else {
      byRoutes.set(key, state);
      kept.set(host, state);
    }
  }
  return kept;
}

/** A virtual host before it is encoded. */
interface GatewayHost extends VirtualHostTail {
  readonly name: string;
  readonly domains: readonly string[];
}

function gatewayHost(host: string, state: HostState, view: GatewayView): GatewayHost {
  const routes = state.lists.flatMap((list) => list.routes);
  return {
    name: virtualHostName(host, state.port),
    domains: state.domains,
    routes: [...routes.filter((route) => !route.catchAll), ...routes.filter((route) => route.catchAll)],
    requireTls: state.requireTls,
    includeAttemptCount: view.includesAttemptCount,
    // The first VirtualService that has the host says what it is.
    session: state.lists[0]?.sessions.find(([name]) => name === host)?.[1],
  };
}

function encodeHost(host: GatewayHost): EncodedVirtualHost {
  const domains = { domains: host.domains, addressCount: 0, alternates: [], isClusterName: false };
  return encodeVirtualHost(host.name, domains, host);
}

function hostForAll(name: string, port: number, routes: readonly EncodedRoute[]): GatewayHost {
  return {
    name: virtualHostName(name, port),
    domains: ['*'],
    routes,
    requireTls: false,
    includeAttemptCount: false,
  };
}

/** Nothing is bound: every request gets 404. */
function blackhole(port: number): EncodedVirtualHost {
  return encodeHost(hostForAll('blackhole', port, []));
}

/**
 * A connection whose server name chose this table may be reused by a client for a host of another server, whose
 * certificate it fits as well. Such a request is answered 421, so that the client opens a connection of its own;
 * Istio answers 404. Not where the server takes every host, or some virtual host does.
 */
function misdirectedHost(
  input: GatewayTableInput,
  collected: ReadonlyMap<string, HostState>,
): GatewayHost | undefined {
  const [server] = input.table.servers;
  if (server === undefined || !terminatesHttps(server) || collected.has('*')) return undefined;
  if (server.hosts.some((host) => withoutNamespace(host) === '*')) return undefined;
  return hostForAll('misdirected', server.port, [misdirectedRoute()]);
}
