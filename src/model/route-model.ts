/**
 * VirtualServices and Gateways as the model has them, with the indices that scopes look them up by.
 * A changed object costs its own resolution, and that of the roots that delegate to it.
 */
import type { GatewaySpec } from '#api/gateway.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { VirtualServiceSpec } from '#api/virtual-service.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import type { Collection, Engine, Index } from '#collections/collection.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { type Gateway, resolveGateway } from './gateway.ts';
import { shardOf } from './host-shard.ts';
import { MESH_KEY } from './mesh-facts.ts';
import { DEFAULT_MESH_FLAGS, type MeshFlags } from './mesh-flags.ts';
import { createRouteFacts, type RouteFacts } from './route-facts.ts';
import { isWildcardHost } from './service-hostname.ts';
import { MESH_GATEWAY, type VirtualService } from './virtual-service.ts';
import { mergeDelegates } from './virtual-service-delegation.ts';
import { resolveVirtualService } from './virtual-service-resolution.ts';

export interface RouteModelSources {
  readonly engine: Engine;
  readonly virtualServices: Collection<MeshObject<VirtualServiceSpec>>;
  readonly gateways: Collection<MeshObject<GatewaySpec>>;
  readonly meshConfig: Collection<MeshConfigJson>;
  /** DNS domain of the cluster, `cluster.local`. */
  readonly clusterDomain: string;
  readonly flags?: MeshFlags;
}

export interface RouteModel {
  /** Keyed `namespace/name`; delegates merged in. */
  readonly virtualServices: Collection<VirtualService>;
  /** Those for sidecars, by each of their hosts (full name or wildcard). */
  readonly byMeshHost: Index<VirtualService>;
  /** The same by the shard of each of their full host names. */
  readonly byMeshShard: Index<VirtualService>;
  /** Wildcard hosts that some VirtualService for sidecars has; key and value are the host. */
  readonly meshWildcards: Collection<string>;
  /** Those for gateways, by gateway `namespace/name`. */
  readonly byGateway: Index<VirtualService>;
  /** Those that ask for source labels: for sidecars under 'mesh', for gateways under `namespace/name`. */
  readonly bySourceLabels: Index<VirtualService>;
  /** Keyed `namespace/name`. */
  readonly gateways: Collection<Gateway>;
  /** What was wrong with the delegates of a VirtualService; only where there is something. */
  readonly diagnostics: Collection<readonly Diagnostic[]>;
  readonly facts: Collection<RouteFacts>;
  readonly clusterDomain: string;
}

const EVERYBODY: readonly string[] = ['*'];

/** Builds the collections. */
export function createRouteModel(sources: RouteModelSources): RouteModel {
  const { engine, clusterDomain } = sources;
  const defaultExportTo = engine.derive(
    'model.virtualServiceExportTo',
    sources.meshConfig,
    (_fetch, mesh) => {
      const exportTo = mesh.defaultVirtualServiceExportTo ?? [];
      return exportTo.length === 0 ? EVERYBODY : exportTo;
    },
  );
  const resolved = engine.derive('model.resolvedVirtualServices', sources.virtualServices, (fetch, object) =>
    resolveVirtualService(object, {
      clusterDomain,
      defaultExportTo: fetch.get(defaultExportTo, MESH_KEY) ?? EVERYBODY,
    }),
  );
  const merged = engine.derive('model.mergedVirtualServices', resolved, (fetch, root) => {
    if (root.hosts.length === 0) return undefined;
    return mergeDelegates(root, (key) => {
      const delegate = fetch.get(resolved, key);
      return delegate !== undefined && delegate.hosts.length === 0 ? delegate : undefined;
    });
  });
  const virtualServices = engine.derive(
    'model.virtualServices',
    merged,
    (_fetch, item) => item.virtualService,
  );
  const diagnostics = engine.derive('model.virtualServiceDiagnostics', merged, (_fetch, item) =>
    item.diagnostics.length === 0 ? undefined : item.diagnostics,
  );
  const gateways = engine.derive('model.gateways', sources.gateways, (_fetch, object) =>
    resolveGateway(object),
  );
  const facts = createRouteFacts(engine, sources.meshConfig, sources.flags ?? DEFAULT_MESH_FLAGS);
  return {
    virtualServices,
    diagnostics,
    gateways,
    facts,
    clusterDomain,
    ...createIndices(engine, virtualServices),
  };
}

function createIndices(
  engine: Engine,
  virtualServices: Collection<VirtualService>,
): Pick<RouteModel, 'byMeshHost' | 'byMeshShard' | 'meshWildcards' | 'byGateway' | 'bySourceLabels'> {
  const isForMesh = (object: VirtualService): boolean => object.gateways.includes(MESH_GATEWAY);
  const byMeshHost = engine.index('model.virtualServices.byMeshHost', virtualServices, (object) =>
    isForMesh(object) ? object.hosts : [],
  );
  const byMeshShard = engine.index('model.virtualServices.byMeshShard', virtualServices, (object) =>
    isForMesh(object) ? object.hosts.filter((host) => !isWildcardHost(host)).map(shardOf) : [],
  );
  const meshWildcards = engine.deriveMany('model.meshWildcards', virtualServices, (_fetch, object) => {
    const wildcards = isForMesh(object) ? object.hosts.filter(isWildcardHost) : [];
    return wildcards.map((host) => [host, host] as const);
  });
  const byGateway = engine.index('model.virtualServices.byGateway', virtualServices, (object) =>
    object.gateways.filter((gateway) => gateway !== MESH_GATEWAY),
  );
  const bySourceLabels = engine.index('model.virtualServices.bySourceLabels', virtualServices, (object) =>
    asksForLabels(object) ? object.gateways : [],
  );
  return { byMeshHost, byMeshShard, meshWildcards, byGateway, bySourceLabels };
}

function asksForLabels(object: VirtualService): boolean {
  return object.http.some((rule) =>
    (rule.route.match ?? []).some((match) => Object.keys(match.sourceLabels ?? {}).length > 0),
  );
}
