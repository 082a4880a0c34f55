/**
 * The hosts that gateways need clusters for, where they are not to get those of all hosts that they could see: what the
 * VirtualServices of their Gateways send to, what extension providers of mesh config name, and what EnvoyFilters say that they use.
 * A changed VirtualService costs the hosts that it sends to; nothing is made while the flag is off.
 * Source: istio pilot/pkg/model/push_context.go GatewayServices, extraServicesForProxy (PILOT_FILTER_GATEWAY_CLUSTER_CONFIG).
 */
import type { Collection, Engine } from '#collections/collection.ts';
import type { EnvoyFilterModel } from '#model/envoy-filter.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { MeshFlags } from '#model/mesh-flags.ts';
import type { RouteModel } from '#model/route-model.ts';
import { MESH_GATEWAY, type VirtualService } from '#model/virtual-service.ts';
import { destinationHosts } from '#model/virtual-service-destinations.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { envoyFiltersFor } from './envoy-filter.ts';
import type { GatewayScope } from './gateway-scope.ts';
import type { ListenerFacts } from './listener-facts.ts';

/** One host for gateways of one view. */
export interface GatewayDestination {
  /** Key of the gateway view. */
  readonly view: string;
  /** Key of the outbound viewer whose clusters they are. */
  readonly viewer: string;
  readonly hostname: string;
  /** Only if the service is of this namespace; '' for any. */
  readonly namespace: string;
}

export interface GatewayDestinationDeps {
  readonly engine: Engine;
  readonly scopes: Collection<GatewayScope>;
  readonly model: Pick<RouteModel, 'virtualServices'>;
  readonly meshConfig: Collection<MeshConfigJson>;
  readonly facts: Collection<ListenerFacts>;
  readonly envoyFilters: EnvoyFilterModel;
  readonly flags: Pick<MeshFlags, 'scopeGatewayToNamespace'>;
}

/** Stands for the clusters that are no host's: every gateway has them. */
export const NO_HOST = '';

/** Derives the hosts; which key they have means nothing. */
export function createGatewayDestinations(deps: GatewayDestinationDeps): Collection<GatewayDestination> {
  const { engine } = deps;
  const parts = [routedDestinations(deps), namedDestinations(deps)];
  return engine.union('scope.gatewayDestinations', parts);
}

/** A gateway and a host that some VirtualService sends to from there. */
interface GatewayRoute {
  readonly gateway: string;
  readonly hostname: string;
}

function routedDestinations(deps: GatewayDestinationDeps): Collection<GatewayDestination> {
  const { engine, scopes, flags } = deps;
  const routes = engine.deriveMany('scope.gatewayRoutes', deps.model.virtualServices, (_fetch, object) =>
    gatewayRoutes(object, flags.scopeGatewayToNamespace).map(
      (route) => [`${route.gateway}|${route.hostname}`, route] as const,
    ),
  );
  const scopesByGateway = engine.index('scope.gatewayScopesByGateway', scopes, ({ merged }) => [
    ...new Set(merged.ports.flatMap(({ servers }) => servers.map(({ gateway }) => gateway))),
  ]);
  return engine.deriveMany('scope.routedDestinations', routes, (fetch, { gateway, hostname }) =>
    Array.from(fetch.bucket(scopesByGateway, gateway).values(), (scope) => entry(scope, hostname)),
  );
}

/** VirtualServices that a gateway does not see count too, as in Istio: visibility may change more often than this. */
function gatewayRoutes(object: VirtualService, isScoped: boolean): readonly GatewayRoute[] {
  const gateways = object.gateways.filter((gateway) => gateway !== MESH_GATEWAY);
  return gateways.flatMap((gateway) => {
    const namespace = isScoped ? gateway.slice(0, gateway.indexOf('/')) : undefined;
    return destinationHosts(object, namespace).map((hostname) => ({ gateway, hostname }));
  });
}

function namedDestinations(deps: GatewayDestinationDeps): Collection<GatewayDestination> {
  const { engine } = deps;
  const providers = engine.derive('scope.providerServices', deps.meshConfig, (_fetch, mesh) =>
    providerServices(mesh),
  );
  return engine.deriveMany('scope.namedDestinations', deps.scopes, (fetch, scope) => {
    const rootNamespace = fetch.get(deps.facts, MESH_KEY)?.rootNamespace ?? '';
    const filters = envoyFiltersFor(fetch, deps.envoyFilters, rootNamespace, scope.view);
    const names = [
      ...(fetch.get(providers, MESH_KEY) ?? []),
      ...filters.flatMap((filter) => filter.referencedServices),
    ];
    return [NO_HOST, ...names].map((name) => {
      const slash = name.indexOf('/');
      return entry(scope, name.slice(slash + 1), slash < 0 ? '' : name.slice(0, slash));
    });
  });
}

/** `host` or `namespace/host` of whatever mesh config lets proxies call, used or not. */
function providerServices({ extensionProviders = [] }: MeshConfigJson): readonly string[] {
  const settings = extensionProviders.flatMap((provider) => Object.values<unknown>(provider));
  return settings.flatMap((setting) => {
    const service = (setting as { readonly service?: unknown } | null)?.service;
    return typeof service === 'string' && service !== '' ? [service] : [];
  });
}

function entry(
  { view }: GatewayScope,
  hostname: string,
  namespace = '',
): readonly [string, GatewayDestination] {
  const destination = { view: view.key, viewer: view.viewer, hostname, namespace };
  return [`${view.key}|${namespace}/${hostname}`, destination];
}
