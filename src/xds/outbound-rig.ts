/**
 * For tests: a whole outbound side on the sources of service-model-rig.ts, and a readable form of what it gives a proxy.
 * Inputs of builders are frozen, so that a builder which changes its input fails.
 */
import { type DescMessage, fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf';
import type { TrafficPolicy } from '#api/destination-rule.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { SourceCollection } from '#collections/collection.ts';
import { Interner } from '#collections/interner.ts';
import type { Proxy } from '#model/proxy.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import {
  kubernetesService,
  object,
  proxy,
  READER,
  type ServiceModelRig,
  serviceModelRig,
} from '#model/service-model-rig.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '#proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';
import { createOutboundScope, type OutboundScope } from '#scope/outbound-host-model.ts';
import { createClusters } from './clusters/outbound-clusters.ts';
import { createEndpointViews } from './endpoints/endpoint-view.ts';
import { createEndpoints } from './endpoints/outbound-endpoints.ts';
import type { ResourceEntry } from './resource.ts';
import type { ServerMutualTls } from './tls/server-mutual-tls.ts';

/** A message in JSON. */
export type Json = Readonly<Record<string, JsonValue>>;

/** The outbound side. */
export interface OutboundRig extends ServiceModelRig {
  readonly scope: OutboundScope;
  readonly proxies: SourceCollection<Proxy>;
  readonly interner: Interner;
  /** Connects proxies and settles. */
  connect(...proxies: readonly Proxy[]): void;
  /** Entries that a proxy gets, by name. */
  clusterEntries(proxy: Proxy): ReadonlyMap<string, ResourceEntry>;
  endpointEntries(proxy: Proxy): ReadonlyMap<string, ResourceEntry>;
  /** One resource as JSON; undefined when the proxy has none of that name. */
  cluster(proxy: Proxy, name: string): Json | undefined;
  assignment(proxy: Proxy, name: string): Json | undefined;
}

/** An empty mesh with an outbound side. */
export function outboundRig(serverMutualTls?: ServerMutualTls): OutboundRig {
  const rig = serviceModelRig();
  const { engine, model: serviceModel, of } = rig;
  const proxies = engine.source<Proxy>('proxies');
  const scope = createOutboundScope({
    engine,
    proxies,
    serviceModel,
    destinationRules: of('DestinationRule'),
    sidecars: of('Sidecar'),
    virtualServices: of('VirtualService'),
  });
  const interner = new Interner({ freezeInputs: true });
  const servers = serverMutualTls === undefined ? {} : { serverMutualTls };
  const shared = { engine, interner, serviceModel, scope, ...servers };
  const endpointViews = createEndpointViews({ ...shared, proxies });
  const { clustersFor } = createClusters({ ...shared, endpointViews });
  const { endpoints, endpointViewOf } = createEndpoints({ ...shared, endpointViews, proxies });
  const clusterEntries = (proxy: Proxy) => new Map(clustersFor(READER, proxy));
  const endpointEntries = (proxy: Proxy) => new Map(endpoints.bucket(endpointViewOf(READER, proxy)));
  return {
    ...rig,
    scope,
    proxies,
    interner,
    connect(...connected) {
      for (const each of connected) proxies.set(each.id, each);
      engine.settle();
    },
    clusterEntries,
    endpointEntries,
    cluster: (proxy, name) => decoded(ClusterSchema, clusterEntries(proxy).get(name)),
    assignment: (proxy, name) => decoded(ClusterLoadAssignmentSchema, endpointEntries(proxy).get(name)),
  };
}

function decoded(schema: DescMessage, entry: ResourceEntry | undefined): Json | undefined {
  if (entry === undefined) return undefined;
  const message = fromBinary(schema, entry.resource.bytes);
  return toJson(schema, message, { registry: envoyRegistry() }) as Json;
}

/** The host of the service that most tests are about. */
export const REVIEWS_HOST = 'reviews.default.svc.cluster.local';

/** The cluster of service reviews, port 80, under a traffic policy, as a sidecar gets it. */
export function reviewsCluster(
  trafficPolicy: TrafficPolicy,
  service: MeshObject = kubernetesService('reviews'),
  mesh: MeshConfigJson = {},
): Json {
  const rig = outboundRig();
  const client = proxy('client');
  rig.meshConfig.set(MESH_KEY, mesh);
  rig.apply(service, object('DestinationRule', 'rule', { host: 'reviews', trafficPolicy }));
  rig.connect(client);
  const cluster = rig.cluster(client, `outbound|80||${REVIEWS_HOST}`);
  if (cluster === undefined) throw new Error('no such cluster');
  return cluster;
}

/** Those of the fields that are there. */
export function pick(json: Json, ...fields: readonly string[]): Json {
  return Object.fromEntries(
    fields.flatMap((field) => (json[field] === undefined ? [] : [[field, json[field]]])),
  );
}

/** What a path of fields leads to. */
export function at(
  json: JsonValue | undefined,
  ...path: readonly (string | number)[]
): JsonValue | undefined {
  return path.reduce<JsonValue | undefined>(
    (value, key) => (value as Json | undefined)?.[key as string],
    json,
  );
}
