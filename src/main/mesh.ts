/**
 * The mesh in memory: engine, source collections and the graph behind them, with a driver that computes what changed.
 * No network, no files; pilot-discovery, the standalone runner and the tests all start here.
 */
import { type MeshNetworks, NO_NETWORKS } from '#api/mesh-networks.ts';
import { ObjectCollections } from '#api/object-collections.ts';
import { deepEqual } from '#base/deep-equal.ts';
import type { Engine, SourceCollection } from '#collections/collection.ts';
import { createEngine } from '#collections/engine.ts';
import type { Demand } from '#model/demand.ts';
import type { LocalReplica } from '#model/endpoint.ts';
import type { HeldBack } from '#model/held-back.ts';
import type { KeySetState } from '#model/jwt-key-set.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { MeshFlags } from '#model/mesh-flags.ts';
import type { Proxy } from '#model/proxy.ts';
import type { ResolvedName } from '#model/resolved-name.ts';
import { EVERYBODY, type SecretAccess } from '#model/secret-access.ts';
import type { TrustAnchors } from '#model/trust-bundle.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { createMeshGraph, type MeshGraph } from '#xds/mesh-graph.ts';
import { EngineDriver } from './engine-driver.ts';

export interface MeshOptions {
  readonly meshConfig: MeshConfigJson;
  readonly clusterId: string;
  readonly clusterDomain: string;
  readonly flags?: MeshFlags;
  /** Variables that mesh config may name. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** False where only addresses count that are recorded in statuses of ServiceEntries. */
  readonly derivesAddresses?: boolean;
  /** False where proxies are told with all that is known about them, and no workload is to be asked. */
  readonly describesProxies?: boolean;
  /** Told of a derivation that failed; its last good result stays. */
  readonly onError: (collection: string, key: string, error: unknown) => void;
}

export interface Mesh {
  readonly engine: Engine;
  readonly driver: EngineDriver;
  readonly objects: ObjectCollections;
  readonly heldBack: SourceCollection<HeldBack>;
  readonly meshConfig: SourceCollection<MeshConfigJson>;
  /** One value under MESH_KEY, as mesh config. */
  readonly meshNetworks: SourceCollection<MeshNetworks>;
  /** Addresses of names that the model wants to know, under the names. */
  readonly resolvedNames: SourceCollection<ResolvedName>;
  readonly proxies: SourceCollection<Proxy>;
  readonly replicas: SourceCollection<LocalReplica>;
  readonly keySets: SourceCollection<KeySetState>;
  /** Holds "everybody" until somebody reviews it (a cluster's API server). */
  readonly secretAccess: SourceCollection<SecretAccess>;
  /** What connected clients ask for, by proxy id. */
  readonly demands: SourceCollection<Demand>;
  /** Whom workloads are to believe, by source. */
  readonly trustAnchors: SourceCollection<TrustAnchors>;
  readonly graph: MeshGraph;
}

/** Makes a mesh without objects and proxies. */
export function createMesh(options: MeshOptions): Mesh {
  const engine = createEngine({ onError: options.onError });
  const objects = new ObjectCollections(engine);
  const heldBack = engine.source<HeldBack>('heldBack');
  const meshConfig = engine.source<MeshConfigJson>('meshConfig', { equals: deepEqual });
  const meshNetworks = engine.source<MeshNetworks>('meshNetworks', { equals: deepEqual });
  const resolvedNames = engine.source<ResolvedName>('resolvedNames', { equals: deepEqual });
  const proxies = engine.source<Proxy>('proxies');
  const replicas = engine.source<LocalReplica>('localReplicas');
  const keySets = engine.source<KeySetState>('keySets', { equals: deepEqual });
  const secretAccess = engine.source<SecretAccess>('secretAccess', { equals: deepEqual });
  const demands = engine.source<Demand>('demands');
  const trustAnchors = engine.source<TrustAnchors>('trustAnchors', { equals: deepEqual });
  const graph = createMeshGraph(engine, {
    objects: (kind) => objects.of(kind),
    heldBack,
    meshConfig,
    meshNetworks,
    resolvedNames,
    proxies,
    localReplicas: replicas,
    keySets,
    secretAccess,
    demands,
    trustAnchors,
    clusterId: options.clusterId,
    clusterDomain: options.clusterDomain,
    ...(options.flags === undefined ? {} : { flags: options.flags }),
    ...(options.environment === undefined ? {} : { environment: options.environment }),
    ...(options.derivesAddresses === undefined ? {} : { derivesAddresses: options.derivesAddresses }),
    ...(options.describesProxies === undefined ? {} : { describesProxies: options.describesProxies }),
  });
  meshConfig.set(MESH_KEY, options.meshConfig);
  secretAccess.set(EVERYBODY, { isAllowed: true });
  meshNetworks.set(MESH_KEY, NO_NETWORKS);
  const driver = new EngineDriver(engine);
  const values = {
    meshConfig,
    meshNetworks,
    resolvedNames,
    keySets,
    secretAccess,
    demands,
    trustAnchors,
  };
  return { engine, driver, objects, heldBack, proxies, replicas, ...values, graph };
}
