/**
 * Listeners and routes of gateway proxies, by proxy: the collections of the gateway side wired together.
 * Proxies with one view share everything.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { ReferenceGrantSpec } from '#api/reference-grant.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import { type RequestPolicyModel, requestPolicyFor } from '#model/request-policy.ts';
import type { EnvoyFilterModel } from '#model/envoy-filter.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { Proxy } from '#model/proxy.ts';
import { AGENT_ONLY } from '#model/secret-servers.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { MeshFlags } from '#model/mesh-flags.ts';
import { indexGrants, isReferenceGranted } from '#model/reference-grant.ts';
import type { RouteModel } from '#model/route-model.ts';
import type { ServiceTarget } from '#model/service-target.ts';
import type { TrafficExtensionModel } from '#model/traffic-extension.ts';
import { extensionsOnSide, workloadExtensions } from '#scope/extension.ts';
import { createGatewayDestinations, type GatewayDestination } from '#scope/gateway-destinations.ts';
import type { GatewayTlsDefaults } from '#scope/gateway-facts.ts';
import { createMeshTlsForwarders, type MeshTlsForwarders } from '#scope/gateway-forwarders.ts';
import type { RouteTableServers } from '#scope/gateway-merge.ts';
import { createGatewayScopes } from '#scope/gateway-scope.ts';
import { createGatewayViews } from '#scope/gateway-view.ts';
import type { ListenerDialect } from '#scope/listener-dialect.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import type { OutboundScope } from '#scope/outbound-host-model.ts';
import { httpFiltersWith, networkFiltersWith } from './extensions/extension-filters.ts';
import { configurationNames, extensionCauses, extensionsAt } from './extensions/listener-extensions.ts';
import { authorizerClusters } from './filters/external-authorization.ts';
import { buildConnectionPolicy, buildRequestPolicy, NO_POLICIES } from './filters/request-policy.ts';
import { createGatewayListeners, type GatewayListenerDeps } from './listeners/gateway-listeners.ts';
import type { ResourceEntry } from './resource.ts';
import { createGatewayRoutes } from './routes/gateway-routes.ts';
import { gatewaySecretUses, type IsGranted } from './secrets/gateway-secrets.ts';
import type { GatewaySecretUses } from './secrets/proxy-secrets.ts';

export interface GatewayResourceDeps {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly model: RouteModel;
  readonly proxies: Collection<Proxy>;
  readonly scope: Pick<OutboundScope, 'viewerOf' | 'hosts' | 'hostsByViewer'>;
  readonly meshConfig: Collection<MeshConfigJson>;
  readonly tlsDefaults: Collection<GatewayTlsDefaults>;
  readonly facts: Collection<ListenerFacts>;
  readonly dialects: Collection<ListenerDialect>;
  readonly policies: RequestPolicyModel;
  readonly extensions: TrafficExtensionModel;
  readonly envoyFilters: EnvoyFilterModel;
  readonly targetsOf: (fetch: Fetch, proxy: Proxy) => readonly ServiceTarget[];
  readonly referenceGrants: Collection<MeshObject<ReferenceGrantSpec>>;
  readonly flags: MeshFlags;
}

/** Maps by resource name, for one gateway proxy. */
export interface GatewayResources {
  listeners(fetch: Fetch, proxy: Proxy): PersistentMap<ResourceEntry>;
  routes(fetch: Fetch, proxy: Proxy): PersistentMap<ResourceEntry>;
  /** Key of a gateway proxy's view. */
  viewOf(fetch: Fetch, proxy: Proxy): string;
  /** The route tables of the proxy's servers, for those who must know more than a table's name. */
  tables(fetch: Fetch, proxy: Proxy): readonly RouteTableServers[];
  /** The secrets that gateways of a view ask for. */
  secretUses(fetch: Fetch, view: string): GatewaySecretUses;
  /** Conflicts among Gateways, by view. */
  readonly diagnostics: Collection<readonly Diagnostic[]>;
  readonly forwarders: MeshTlsForwarders;
  /** The hosts that gateways need clusters for; undefined where they get those of all hosts. */
  readonly destinations: Collection<GatewayDestination> | undefined;
}

/** Istio's Gateways count as those of Gateway API here, from which they may be made. */
const GATEWAY = { group: 'gateway.networking.k8s.io', kind: 'Gateway' };

export function createGatewayResources(deps: GatewayResourceDeps): GatewayResources {
  const { engine, interner, model, scope, flags } = deps;
  const { views, facts, viewOf } = createGatewayViews({ ...deps, viewerOf: scope.viewerOf });
  const scopes = createGatewayScopes({ engine, model, views, flags });
  const routes = createGatewayRoutes({ engine, interner, model, hosts: scope.hosts, scopes });
  const grants = indexGrants(engine, deps.referenceGrants);
  const { listeners, diagnostics } = createGatewayListeners({
    ...deps,
    ...scope,
    scopes,
    facts,
    securityOf: gatewaySecurity(deps),
  });
  return {
    listeners: (fetch, proxy) => fetch.bucket(listeners, viewOf(fetch, proxy)),
    routes: (fetch, proxy) => fetch.bucket(routes, viewOf(fetch, proxy)),
    viewOf,
    tables: (fetch, proxy) => fetch.get(scopes.scopes, viewOf(fetch, proxy))?.merged.tables ?? [],
    secretUses(fetch, view) {
      const found = fetch.get(scopes.scopes, view);
      if (found === undefined) return { uses: [], granted: [] };
      const isGranted: IsGranted = (namespace, secret) =>
        isReferenceGranted(
          fetch,
          grants,
          { ...GATEWAY, namespace },
          { group: '', kind: 'Secret', ...secret },
        );
      const servers = fetch.get(facts, view)?.secretServers ?? AGENT_ONLY;
      const provider = fetch.get(deps.tlsDefaults, MESH_KEY)?.secretProvider;
      return gatewaySecretUses(found, isGranted, { ...servers, provider });
    },
    diagnostics,
    forwarders: createMeshTlsForwarders(engine, scopes.scopes, viewOf),
    destinations: flags.filtersGatewayClusters
      ? createGatewayDestinations({ ...deps, scopes: scopes.scopes })
      : undefined,
  };
}

/** The filters of the policies and extensions that select a view's proxies, in a listener of that port. */
function gatewaySecurity(deps: GatewayResourceDeps): GatewayListenerDeps['securityOf'] {
  return (fetch, view, port) => {
    const facts = fetch.get(deps.facts, MESH_KEY);
    if (facts === undefined) return NO_SECURITY;
    const { facet, causes } = requestPolicyFor(fetch, deps.policies, facts, view);
    const workload = extensionsOnSide(workloadExtensions(fetch, deps.extensions, facts, view), 'CLIENT');
    const traffic = { side: 'CLIENT', port } as const;
    const extensions = extensionsAt(workload.facet, traffic);
    return {
      httpFilters: httpFiltersWith(buildRequestPolicy(facet, true), extensions.http),
      connectionFilters: networkFiltersWith(NO_POLICIES, extensions.network),
      networkFilters: networkFiltersWith(buildConnectionPolicy(facet), extensions.network),
      references: [...configurationNames(extensions), ...authorizerClusters(facet.authorizers)],
      causes: [...causes, ...extensionCauses(workload.facet, workload.causes, traffic)],
    };
  };
}

const NO_SECURITY: ReturnType<GatewayListenerDeps['securityOf']> = {
  httpFilters: [],
  connectionFilters: [],
  networkFilters: [],
  references: [],
  causes: [],
};
