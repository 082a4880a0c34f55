/**
 * The gateway side of the scope: for each view of gateway proxies the merged Gateway, its route tables, and the
 * VirtualServices bound to them. A changed VirtualService changes its own bindings only.
 */
import { compareBytes } from '#base/bytes-order.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import { compareGateways, type Gateway } from '#model/gateway.ts';
import type { MeshFlags } from '#model/mesh-flags.ts';
import type { RouteModel } from '#model/route-model.ts';
import { isSubsetHost } from '#model/service-hostname.ts';
import { isVisibleTo } from '#model/service-visibility.ts';
import { comparePrecedenceIn, type VirtualService, virtualServiceKey } from '#model/virtual-service.ts';
import { type MergedGateway, mergeGateways, type RouteTableServers } from './gateway-merge.ts';
import type { GatewayView } from './gateway-view.ts';

/** The merged Gateway of one view; keyed by view. */
export interface GatewayScope {
  readonly view: GatewayView;
  readonly merged: MergedGateway;
}

/** One route table; keyed `view|name`. */
export interface GatewayTable {
  readonly view: GatewayView;
  readonly table: RouteTableServers;
}

/** A VirtualService at a gateway, within one table; keyed `view|table|gateway|namespace/name`. */
export interface GatewayBinding {
  readonly view: GatewayView;
  readonly table: string;
  readonly gateway: string;
  readonly virtualService: VirtualService;
  /** Port as written in the Gateway, of its first server in the table. */
  readonly port: number;
  readonly isTls: boolean;
  readonly advertisesHttp3: boolean;
}

export interface GatewayScopes {
  readonly scopes: Collection<GatewayScope>;
  readonly tables: Collection<GatewayTable>;
  readonly bindings: Collection<GatewayBinding>;
  /** By `view|table`. */
  readonly bindingsByTable: Index<GatewayBinding>;
}

export interface GatewayScopeDeps {
  readonly engine: Engine;
  readonly model: RouteModel;
  readonly views: Collection<GatewayView>;
  readonly flags: MeshFlags;
}

/** Derives the collections. */
export function createGatewayScopes(deps: GatewayScopeDeps): GatewayScopes {
  const { engine, model } = deps;
  const scopes = engine.derive('scope.gateways', deps.views, (fetch, view) => {
    const selected = [...fetch.all(model.gateways).values()].filter((gateway) =>
      selects(gateway, view, deps),
    );
    return { view, merged: mergeGateways(selected.sort(compareGateways), view, deps.flags.quicListeners) };
  });
  const tables = engine.deriveMany('scope.gatewayTables', scopes, (_fetch, { view, merged }) =>
    merged.tables.map((table) => [tableKey(view, table.name), { view, table }] as const),
  );
  const bindings = engine.deriveMany('scope.gatewayBindings', tables, (fetch, { view, table }) =>
    tableBindings(fetch, model, view, table),
  );
  const bindingsByTable = engine.index('scope.gatewayBindings.byTable', bindings, (binding) => [
    tableKey(binding.view, binding.table),
  ]);
  return { scopes, tables, bindings, bindingsByTable };
}

/** Key of a view's table. */
export function tableKey(view: GatewayView, table: string): string {
  return `${view.key}|${table}`;
}

/**
 * The VirtualServices of a gateway that proxies of the namespace see, in order of precedence.
 * Source: istio push_context.go VirtualServicesForGateway.
 */
export function virtualServicesAt(
  fetch: Fetch,
  model: RouteModel,
  namespace: string,
  gateway: string,
): readonly VirtualService[] {
  return [...fetch.bucket(model.byGateway, gateway).values()]
    .filter((object) => isVisibleTo(object.visibility, namespace))
    .sort((a, b) => comparePrecedenceIn(namespace, a, b));
}

/**
 * Hosts that a server and a VirtualService have in common, the narrower of each pair that meets; `namespace/host` of the
 * server counts for VirtualServices of that namespace only.
 * Source: istio host.NamesForNamespace and host.Names.Intersection.
 */
export function commonHosts(
  serverHosts: readonly string[],
  virtualService: VirtualService,
): readonly string[] {
  const common = new Set<string>();
  for (const entry of serverHosts) {
    const slash = entry.indexOf('/');
    if (slash >= 0 && entry.slice(0, slash) !== virtualService.namespace) continue;
    const host = entry.slice(slash + 1).toLowerCase();
    for (const other of virtualService.hosts) {
      if (isSubsetHost(host, other)) common.add(host);
      else if (isSubsetHost(other, host)) common.add(other);
    }
  }
  return [...common];
}

function selects(gateway: Gateway, view: GatewayView, deps: GatewayScopeDeps): boolean {
  if (deps.flags.scopeGatewayToNamespace && gateway.namespace !== view.namespace) return false;
  return Object.entries(gateway.selector ?? {}).every(
    ([key, value]) => Object.hasOwn(view.labels, key) && view.labels[key] === value,
  );
}

function tableBindings(
  fetch: Fetch,
  model: RouteModel,
  view: GatewayView,
  table: RouteTableServers,
): readonly (readonly [string, GatewayBinding])[] {
  const bindings = new Map<string, GatewayBinding>();
  for (const server of table.servers) {
    for (const virtualService of virtualServicesAt(fetch, model, view.namespace, server.gateway)) {
      const key = `${tableKey(view, table.name)}|${server.gateway}|${virtualServiceKey(virtualService)}`;
      if (bindings.has(key) || commonHosts(server.hosts, virtualService).length === 0) continue;
      bindings.set(key, {
        view,
        table: table.name,
        gateway: server.gateway,
        virtualService,
        port: server.port,
        isTls: server.tls !== undefined,
        advertisesHttp3: table.advertisesHttp3,
      });
    }
  }
  return [...bindings].sort((a, b) => compareBytes(a[0], b[0]));
}
