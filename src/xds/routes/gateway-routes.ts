/**
 * Route tables of gateway proxies. The routes of a VirtualService are encoded once per table; a table puts them
 * together by host, so that a changed VirtualService costs its own routes and one composition per table it is in.
 * Source: istio pilot/pkg/networking/core/gateway.go buildGatewayHTTPRouteConfig.
 */
import type { Cause } from '#base/cause.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Collection, Engine, Index } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { PersistentSession } from '#model/service.ts';
import { isSubsetHost } from '#model/service-hostname.ts';
import type { VirtualService } from '#model/virtual-service.ts';
import { ruleDestinations } from '#model/virtual-service-destinations.ts';
import type { RouteModel } from '#model/route-model.ts';
import { type GatewayBinding, type GatewayScopes, tableKey } from '#scope/gateway-scope.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import { type HostFacts, type HostLookup, routedSession } from '#scope/route-destination.ts';
import { routeFacts } from '#model/route-facts.ts';
import { selectRules } from '#scope/route-selection.ts';
import { viewerKey } from '#scope/viewer.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { isSameEntry } from '#xds/resource-entry.ts';
import type { EncodedRoute } from './encoded-route.ts';
import { composeGatewayTable } from './gateway-table.ts';
import { ruleCauses } from './outbound-host-builder.ts';
import { buildRouteList, routeListInput } from './virtual-host-routes.ts';

/** The routes of one binding. */
export interface GatewayRouteList {
  readonly binding: GatewayBinding;
  readonly routes: readonly EncodedRoute[];
  /** Hosts that are services, to which the VirtualService itself sends, with the sessions that they keep; empty as a rule. */
  readonly sessions: readonly (readonly [host: string, session: PersistentSession])[];
  readonly causes: readonly Cause[];
}

export interface GatewayRouteDeps {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly model: RouteModel;
  readonly hosts: Collection<OutboundHost>;
  readonly scopes: GatewayScopes;
}

/** Derives the tables, by view; inner key is the table's name. */
export function createGatewayRoutes(deps: GatewayRouteDeps): Index<ResourceEntry> {
  const { engine, interner, scopes } = deps;
  const lists = createRouteLists(deps);
  const listsByTable = engine.index('xds.gatewayRouteLists.byTable', lists, ({ binding }) => [
    tableKey(binding.view, binding.table),
  ]);
  const tables = engine.derive(
    'xds.gatewayRoutes',
    scopes.tables,
    (fetch, { view, table }, key): ResourceEntry => {
      const bound = [...fetch.bucket(listsByTable, key).values()];
      return {
        resource: composeGatewayTable(interner, { view, table, lists: bound }),
        causes: [...table.servers.map((server) => server.cause), ...bound.flatMap((list) => list.causes)],
      };
    },
    { equals: isSameEntry },
  );
  return engine.index(
    'xds.gatewayRoutes.byView',
    tables,
    (_entry, key) => [key.slice(0, key.indexOf('|'))],
    (entry) => entry.resource.name,
  );
}

function createRouteLists(deps: GatewayRouteDeps): Collection<GatewayRouteList> {
  return deps.engine.derive('xds.gatewayRouteLists', deps.scopes.bindings, (fetch, binding) => {
    const { view, virtualService } = binding;
    const asker = {
      port: binding.port,
      gateway: binding.gateway,
      namespace: view.namespace,
      labels: view.labels,
    };
    const rules = selectRules(virtualService, asker);
    if (rules.length === 0) return undefined;
    const facts = fetch.get(deps.model.facts, MESH_KEY) ?? routeFacts({});
    const lookup = (hostname: string): HostFacts | undefined =>
      fetch.get(deps.hosts, viewerKey(view.viewer, hostname));
    const input = routeListInput(
      virtualService,
      rules,
      { lookup, listenerPort: binding.port, inference: 'single-port' },
      {
        isTls: binding.isTls,
        defaultRetries: facts.defaultRetries,
        shadowSuffix: facts.shadowSuffix,
        appendForwardedHost: view.appendsForwardedHost,
        ...(binding.advertisesHttp3 ? { advertisesHttp3: true } : {}),
      },
    );
    const built = deps.interner.intern('gatewayRouteList', input, (frozen) => ({
      routes: buildRouteList(frozen),
    }));
    const sessions = hostSessions(virtualService, lookup);
    return { binding, routes: built.routes, sessions, causes: ruleCauses(rules) };
  });
}

/**
 * A host that is the name of a service keeps that service's sessions for all its routes, if one of them leads there.
 * Source: istio gateway.go buildGatewayHTTPRouteConfig, buildNameToServiceMapForHTTPRoutes.
 */
function hostSessions({ hosts, http }: VirtualService, lookup: HostLookup): GatewayRouteList['sessions'] {
  const names = http.flatMap(({ route }) => ruleDestinations(route));
  return [...new Set(names)].sort(compareBytes).flatMap((name) => {
    if (!hosts.some((host) => isSubsetHost(name, host))) return [];
    const session = routedSession(lookup(name)?.service);
    return session === undefined ? [] : [[name, session] as const];
  });
}
