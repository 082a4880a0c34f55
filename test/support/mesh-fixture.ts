/**
 * A mesh in memory fed with YAML text, as users write it, and what its proxies get: encoded, and in a form that can be
 * read. Objects that the decoder refuses and derivations that throw fail the test at once.
 */
import { type DescMessage, fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf';
import { decodeObjects } from '#api/decode-object.ts';
import { defaultMeshConfig, type MeshConfig, parseMeshConfig } from '#api/mesh-config.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { collectionKey } from '#api/object-collections.ts';
import { parseDocuments } from '#api/yaml-documents.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import type { ObjectRef } from '#base/object-ref.ts';
import { createMesh, type Mesh, type MeshOptions } from '#main/mesh.ts';
import { type Demand, NO_DEMAND } from '#model/demand.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import { type Locality, PLAIN_TRAITS, type Proxy } from '#model/proxy.ts';
import { ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import { ClusterLoadAssignmentSchema } from '#proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { NameTableSchema } from '#proto/istio/networking/nds/v1/nds_pb.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import type { Resource, ResourceEntry } from '#xds/resource.ts';

export type Json = Readonly<Record<string, JsonValue>>;

/** The parts of a snapshot that have resources today. */
export const SNAPSHOT_PARTS = [
  'clusters',
  'endpoints',
  'listeners',
  'routes',
  'nameTable',
  'extensions',
] as const;
export type SnapshotPart = (typeof SNAPSHOT_PARTS)[number];

const SCHEMAS: Readonly<Record<SnapshotPart, DescMessage>> = {
  clusters: ClusterSchema,
  endpoints: ClusterLoadAssignmentSchema,
  listeners: ListenerSchema,
  routes: RouteConfigurationSchema,
  nameTable: NameTableSchema,
  extensions: TypedExtensionConfigSchema,
};

/** What sets a proxy apart; all but the name has a default. */
export interface ProxyFacts extends Partial<Omit<Proxy, 'id' | 'locality'>> {
  readonly name: string;
  /** The only address, unless there are `addresses`. */
  readonly ip?: string;
  readonly locality?: Partial<Locality>;
  /** What it asks for beyond what every proxy gets. */
  readonly asks?: Partial<Demand>;
}

/** Resources of one proxy by part and name, as proto JSON. */
export type PlainSnapshot = Readonly<Record<SnapshotPart, Readonly<Record<string, Json>>>>;

/** Everything of one resource that must not depend on how the mesh came about. */
export interface ResourceBytes {
  readonly part: string;
  readonly name: string;
  readonly version: string;
  readonly bytes: string;
  readonly references: readonly string[];
  /** `Kind/namespace/name path`, in order. */
  readonly causes: readonly string[];
}

/** A mesh, and short words for what tests do with it. */
export interface MeshFixture {
  readonly mesh: Mesh;
  /** Queues the objects of a YAML text. */
  apply(yaml: string): readonly MeshObject[];
  /** Queues objects that are decoded already. */
  set(...objects: readonly MeshObject[]): void;
  remove(ref: ObjectRef): void;
  /** Replaces the mesh config by the defaults with this part over them. */
  configure(part: unknown): void;
  /** Queues a connected proxy and returns it. */
  connect(facts: ProxyFacts): Proxy;
  disconnect(name: string): void;
  /** Computes until idle. Throws what a derivation threw. */
  settle(): void;
  /** Computes so many items at most; true when idle. */
  step(items: number): boolean;
  /** The snapshot of the proxy with that name; settles first. */
  entries(name: string): ProxySnapshot;
  /** The same as proto JSON. */
  snapshot(name: string): PlainSnapshot;
}

/** Makes an empty mesh with Istio's default mesh config. */
export function meshFixture(
  options: Pick<MeshOptions, 'flags' | 'derivesAddresses' | 'describesProxies'> = {},
): MeshFixture {
  const failures: Error[] = [];
  const mesh = createMesh({
    meshConfig: defaultMeshConfig(),
    clusterId: 'Kubernetes',
    clusterDomain: 'cluster.local',
    ...options,
    onError: (collection, key, cause) =>
      failures.push(new Error(`${collection} failed for ${key}: ${cause}`, { cause })),
  });
  const check = (): void => {
    if (failures.length > 0) throw failures[0];
  };
  const ids = new Map<string, string>();
  const set = (...objects: readonly MeshObject[]): void => mesh.objects.apply({ set: objects, remove: [] });
  const entries = (name: string): ProxySnapshot => {
    mesh.engine.settle();
    check();
    const snapshot = mesh.graph.snapshots.get(ids.get(name) ?? name);
    if (snapshot === undefined) throw new Error(`no snapshot of a proxy called ${name}`);
    return snapshot;
  };
  return {
    mesh,
    set,
    apply(yaml) {
      const objects = readObjects(yaml);
      set(...objects);
      return objects;
    },
    remove: (ref) => mesh.objects.of(ref.kind).delete(collectionKey(ref)),
    configure: (part) => mesh.meshConfig.set(MESH_KEY, readMeshConfig(part)),
    connect(facts) {
      const proxy = proxyOf(facts);
      ids.set(proxy.name, proxy.id);
      mesh.proxies.set(proxy.id, proxy);
      if (facts.asks === undefined) mesh.demands.delete(proxy.id);
      else mesh.demands.set(proxy.id, { ...NO_DEMAND, ...facts.asks });
      return proxy;
    },
    disconnect: (name) => mesh.proxies.delete(ids.get(name) ?? name),
    settle() {
      mesh.engine.settle();
      check();
    },
    step(items) {
      let computed = 0;
      const isIdle = mesh.engine.step(() => ++computed > items);
      check();
      return isIdle;
    },
    entries,
    snapshot: (name) => plainSnapshot(entries(name)),
  };
}

/** The objects of a YAML text. Throws for what the decoder refuses: a test that tests nothing. */
export function readObjects(yaml: string): readonly MeshObject[] {
  return parseDocuments(yaml, 'test.yaml').flatMap(({ value, diagnostic }) => {
    if (diagnostic !== undefined) throw refused([diagnostic]);
    return decodeAll(value);
  });
}

/** The objects of one document. */
export function decodeAll(document: unknown): readonly MeshObject[] {
  return decodeObjects(document, { defaultNamespace: 'default' }).map(({ object, diagnostics }) => {
    if (object === undefined) throw refused(diagnostics);
    return object;
  });
}

/** The default mesh config with a part over it. */
export function readMeshConfig(part: unknown): MeshConfig {
  const { config, diagnostics } = parseMeshConfig(part);
  if (diagnostics.some(({ severity }) => severity === 'error')) throw refused(diagnostics);
  return config;
}

function refused(diagnostics: readonly Diagnostic[]): Error {
  return new Error(`refused: ${diagnostics.map((diagnostic) => printDiagnostic(diagnostic)).join('\n')}`);
}

/** A proxy of the default namespace unless told otherwise; without labels. */
export function proxyOf({ ip = '10.9.0.9', locality, asks: _asks, ...facts }: ProxyFacts): Proxy {
  const { name, type = 'sidecar', namespace = 'default' } = facts;
  const domain = `${namespace}.svc.cluster.local`;
  return {
    id: `${type}~${ip}~${name}.${namespace}~${domain}`,
    type,
    addresses: [ip],
    namespace,
    labels: {},
    serviceAccount: 'default',
    workloadName: name,
    clusterId: 'Kubernetes',
    network: '',
    networkView: [],
    locality: { region: '', zone: '', subzone: '', ...locality },
    nodeName: '',
    interceptionMode: 'REDIRECT',
    dnsDomain: domain,
    dnsCapture: false,
    generator: '',
    httpProxyPort: 0,
    outboundAddress: '',
    istioVersion: '1.30.0',
    metadata: {},
    traits: PLAIN_TRAITS,
    proxyConfig: {},
    ...facts,
  };
}

/** Decodes a snapshot; Any messages are opened. */
export function plainSnapshot(snapshot: ProxySnapshot): PlainSnapshot {
  const plain = {} as Record<SnapshotPart, Record<string, Json>>;
  for (const part of SNAPSHOT_PARTS) {
    const resources: Record<string, Json> = Object.create(null);
    for (const [name, { resource }] of snapshot[part]) resources[name] = plainResource(part, resource);
    plain[part] = resources;
  }
  return plain;
}

/** Decodes one resource. */
export function plainResource(part: SnapshotPart, { bytes }: Resource): Json {
  const schema = SCHEMAS[part];
  return toJson(schema, fromBinary(schema, bytes), { registry: envoyRegistry() }) as Json;
}

/** All resources of a snapshot with their bytes and causes, in the order of parts and names. */
export function bytesOf(snapshot: ProxySnapshot): readonly ResourceBytes[] {
  const { secretsOwner: _owner, ...parts } = snapshot;
  return Object.entries(parts).flatMap(([part, entries]) =>
    Array.from(entries as Iterable<readonly [string, ResourceEntry]>, ([name, { resource, causes }]) => ({
      part,
      name,
      version: resource.version,
      bytes: Buffer.from(resource.bytes).toString('base64'),
      references: resource.references ?? [],
      causes: causes.map((cause) => `${cause.kind}/${cause.namespace}/${cause.name} ${cause.path}`),
    })),
  );
}
