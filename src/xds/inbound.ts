/**
 * The inbound listeners and clusters of each sidecar, from its inbound facet. Resources are interned by their input,
 * so replicas of one workload share them wherever no address is in them.
 * Costs O(ports) per changed facet; an unchanged facet costs nothing.
 */
import { ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import type { Collection, Engine } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import { mapOf, type PersistentMap } from '#collections/persistent-map.ts';
import type { Cause } from '#base/cause.ts';
import { extensionsOnSide, NO_WORKLOAD_EXTENSIONS, type WorkloadExtensions } from '#scope/extension.ts';
import type { Inbound, InboundScope } from '#scope/inbound.ts';
import type { RequestPolicy } from '#model/request-policy.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { buildInboundCluster, buildInboundPassthroughCluster } from './clusters/inbound-cluster.ts';
import { encodeResource } from './encode.ts';
import { facetConfigurationNames } from './extensions/listener-extensions.ts';
import { authorizerClusters } from './filters/external-authorization.ts';
import { buildInboundListeners, type InboundListenerInput } from './listeners/inbound-listener.ts';
import { BLACK_HOLE_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER, inboundClusterName } from './names.ts';
import { type Resource, type ResourceEntry, TYPE_CLUSTER, TYPE_LISTENER } from './resource.ts';

/** Inbound part of one proxy's snapshot; maps by resource name. */
export interface InboundResources {
  readonly listeners: PersistentMap<ResourceEntry>;
  readonly clusters: PersistentMap<ResourceEntry>;
}

export interface InboundResourceDeps {
  readonly inbound: Collection<InboundScope>;
  readonly policies: Collection<RequestPolicy>;
  readonly facts: Collection<ListenerFacts>;
  /** Of proxies that have any. */
  readonly extensions: Collection<WorkloadExtensions>;
  readonly interner: Interner;
}

/** Derives the inbound resources, keyed by proxy id. */
export function createInboundResources(
  engine: Engine,
  deps: InboundResourceDeps,
): Collection<InboundResources> {
  return engine.derive('xds.inbound', deps.inbound, (fetch, scope, id) => {
    const facts = fetch.get(deps.facts, MESH_KEY);
    const policy = fetch.get(deps.policies, id);
    // Never listeners without policies: until both are known there is nothing to send.
    if (facts === undefined || policy === undefined) return undefined;
    // One object per content, so that what depends on the policies alone is built once for all who have the same.
    const policies = deps.interner.intern('requestPolicyFacet', policy.facet, (facet) => facet);
    const extended = extensionsOnSide(fetch.get(deps.extensions, id) ?? NO_WORKLOAD_EXTENSIONS, 'SERVER');
    const extensions = deps.interner.intern('extensionFacet', extended.facet, (facet) => facet);
    const input = { inbound: scope.inbound, facts, policies, extensions };
    const listeners = inboundListeners(deps.interner, input);
    const clusters = inboundClusters(deps.interner, scope, facts);
    const causes = [...scope.causes, ...policy.causes, ...extended.causes];
    return { listeners: byName(listeners, causes), clusters: byName(clusters, scope.causes) };
  });
}

function inboundListeners(interner: Interner, input: InboundListenerInput): readonly Resource[] {
  return interner.intern('inboundListeners', input, (frozen) =>
    buildInboundListeners(frozen).map((listener, i) =>
      encodeResource(ListenerSchema, listener, TYPE_LISTENER, listener.name, [
        ...references(frozen.inbound, i),
        ...authorizerClusters(frozen.policies.authorizers),
        ...facetConfigurationNames(frozen.extensions),
      ]),
    ),
  );
}

/** Clusters that must outlive the listener: with captured traffic there is one for all ports, else one for each. */
function references({ interception, ports }: Inbound, index: number): readonly string[] {
  const clusters = ports.map(({ port }) => inboundClusterName(port));
  if (interception === 'NONE') return clusters.slice(index, index + 1);
  return [...clusters, INBOUND_PASSTHROUGH_CLUSTER, BLACK_HOLE_CLUSTER];
}

function inboundClusters(interner: Interner, scope: InboundScope, facts: ListenerFacts): readonly Resource[] {
  const { inbound } = scope;
  const connectTimeoutMs = facts.connectTimeoutMs;
  const clusters = inbound.ports.map((port) => {
    const input = { port, appAddress: inbound.appAddress, connectTimeoutMs };
    return interner.intern('inboundCluster', input, (frozen) => {
      const cluster = buildInboundCluster(frozen);
      return encodeResource(ClusterSchema, cluster, TYPE_CLUSTER, cluster.name);
    });
  });
  if (inbound.interception === 'NONE') return clusters;
  const passthrough = interner.intern('inboundPassthroughCluster', { connectTimeoutMs }, (frozen) =>
    encodeResource(
      ClusterSchema,
      buildInboundPassthroughCluster(frozen.connectTimeoutMs),
      TYPE_CLUSTER,
      INBOUND_PASSTHROUGH_CLUSTER,
    ),
  );
  return [...clusters, passthrough];
}

function byName(resources: readonly Resource[], causes: readonly Cause[]): PersistentMap<ResourceEntry> {
  return mapOf(resources.map((resource) => [resource.name, { resource, causes }] as const));
}
