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
import { type ClusterFacts, clusterFacts, MESH_KEY, meshFact } from '#model/mesh-facts.ts';
import type { GatewayTlsDefaults } from '#scope/gateway-facts.ts';
import { buildInboundCluster, buildInboundPassthroughCluster } from './clusters/inbound-cluster.ts';
import { encodeResource } from './encode.ts';
import { facetConfigurationNames } from './extensions/listener-extensions.ts';
import { authorizerClusters } from './filters/external-authorization.ts';
import { tracingReferences } from './filters/tracing.ts';
import {
  boundListenerName,
  buildInboundListeners,
  type InboundListenerInput,
} from './listeners/inbound-listener.ts';
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
  /** Of proxies that have any. */
  readonly extensions: Collection<WorkloadExtensions>;
  readonly clusterFacts: Collection<ClusterFacts>;
  readonly tlsDefaults: Collection<GatewayTlsDefaults>;
  readonly interner: Interner;
}

/** Derives the inbound resources, keyed by proxy id. */
export function createInboundResources(
  engine: Engine,
  deps: InboundResourceDeps,
): Collection<InboundResources> {
  return engine.derive('xds.inbound', deps.inbound, (fetch, scope, id) => {
    const { inbound, facts } = scope;
    const policy = fetch.get(deps.policies, id);
    // Never listeners without policies: until they are known there is nothing to send.
    if (policy === undefined) return undefined;
    // One object per content, so that what depends on the policies alone is built once for all who have the same.
    const policies = deps.interner.intern('requestPolicyFacet', policy.facet, (facet) => facet);
    const extended = extensionsOnSide(fetch.get(deps.extensions, id) ?? NO_WORKLOAD_EXTENSIONS, 'SERVER');
    const extensions = deps.interner.intern('extensionFacet', extended.facet, (facet) => facet);
    const hasOwnTls = inbound.ports.some((port) => port.tls !== undefined);
    const tlsDefaults = hasOwnTls ? fetch.get(deps.tlsDefaults, MESH_KEY) : undefined;
    const input = { inbound, facts, policies, extensions, tlsDefaults };
    const listeners = inboundListeners(deps.interner, input);
    const ofClusters = meshFact(fetch, deps.clusterFacts, clusterFacts);
    const clusters = inboundClusters(deps.interner, scope, ofClusters);
    const causes = [...scope.causes, ...policy.causes, ...extended.causes];
    return { listeners: byName(listeners, causes), clusters: byName(clusters, scope.causes) };
  });
}

function inboundListeners(interner: Interner, input: InboundListenerInput): readonly Resource[] {
  return interner.intern('inboundListeners', input, (frozen) =>
    buildInboundListeners(frozen).map((listener) =>
      encodeResource(ListenerSchema, listener, TYPE_LISTENER, listener.name, [
        ...references(frozen.inbound, listener.name),
        ...authorizerClusters(frozen.policies.authorizers),
        ...facetConfigurationNames(frozen.extensions),
        ...tracingReferences(frozen.facts.tracing),
      ]),
    ),
  );
}

/** Clusters that must outlive the listener: with captured traffic there is one for all ports, else one for each. */
function references({ ports }: Inbound, listener: string): readonly string[] {
  const isVirtual = listener === 'virtualInbound';
  const served = ports.filter((port) => (isVirtual ? !port.isBound : boundListenerName(port) === listener));
  const clusters = served.map(({ port }) => inboundClusterName(port));
  return isVirtual ? [...clusters, INBOUND_PASSTHROUGH_CLUSTER, BLACK_HOLE_CLUSTER] : clusters;
}

function inboundClusters(
  interner: Interner,
  scope: InboundScope,
  meshFacts: ClusterFacts,
): readonly Resource[] {
  const { inbound, facts } = scope;
  const shared = {
    meshFacts,
    preservesHeaderCase: facts.http.preserveHeaderCase,
    ipFamilies: facts.ipFamilies,
  };
  const clusters = inbound.ports.map((port) =>
    interner.intern('inboundCluster', { port, ...shared, dualStack: facts.flags.dualStack }, (frozen) => {
      const cluster = buildInboundCluster(frozen);
      return encodeResource(ClusterSchema, cluster, TYPE_CLUSTER, cluster.name);
    }),
  );
  if (facts.onOneMachine) return clusters;
  const passthrough = interner.intern('inboundPassthroughCluster', shared, (frozen) =>
    encodeResource(
      ClusterSchema,
      buildInboundPassthroughCluster(frozen),
      TYPE_CLUSTER,
      INBOUND_PASSTHROUGH_CLUSTER,
    ),
  );
  return [...clusters, passthrough];
}

function byName(resources: readonly Resource[], causes: readonly Cause[]): PersistentMap<ResourceEntry> {
  return mapOf(resources.map((resource) => [resource.name, { resource, causes }] as const));
}
