/**
 * Outbound clusters of every viewer. A host's clusters are computed again when its service, its rules, the ids of its
 * endpoints or a mesh fact changes; for DNS services also when their endpoints do. Equal inputs share one encoded cluster.
 */
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import type { ServiceEndpoints } from '#model/endpoint.ts';
import type { EndpointSummary } from '#model/endpoint-summary.ts';
import { type ClusterFacts, clusterFacts, MESH_KEY, meshFact } from '#model/mesh-facts.ts';
import { telemetryName } from '#model/service.ts';
import { serviceKey } from '#model/service-hostname.ts';
import type { ServiceModel } from '#model/service-model.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import type { OutboundScope } from '#scope/outbound-host-model.ts';
import { type Viewer, viewerKey } from '#scope/viewer.ts';
import { ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { encodeResource } from '../encode.ts';
import { groupByLocality, type LocalityGroup } from '../endpoints/locality-group.ts';
import { prioritize } from '../endpoints/locality-priority.ts';
import { localityLbOf } from '../endpoints/locality-settings.ts';
import { selectEndpoints } from '../endpoints/endpoint-selection.ts';
import { sniName } from '../names.ts';
import { type Resource, type ResourceEntry, TYPE_CLUSTER } from '../resource.ts';
import { PERMISSIVE_SERVERS, type ServerMutualTls } from '../tls/server-mutual-tls.ts';
import { type MutualTlsMode, type UpstreamTls, upstreamTls } from '../tls/upstream-settings.ts';
import type { ClusterInput } from './cluster-input.ts';
import { type PlannedCluster, planClusters } from './cluster-plan.ts';
import { buildOutboundCluster } from './outbound-cluster.ts';
import { buildBlackHoleCluster, buildPassthroughCluster } from './special-clusters.ts';

/** What clusters are made of. */
export interface ClusterSources {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly serviceModel: Pick<ServiceModel, 'endpoints' | 'endpointSummaries' | 'meshFacts'>;
  readonly scope: Pick<OutboundScope, 'viewers' | 'hosts'>;
  /** What servers demand; without it, what they demand without PeerAuthentications. */
  readonly serverMutualTls?: ServerMutualTls;
}

/** The clusters. */
export interface OutboundClusters {
  /** By viewer; inner key is the cluster's name. */
  readonly clusters: Index<ResourceEntry>;
}

/** Keyed `viewer|cluster name`. */
interface ViewerCluster extends ResourceEntry {
  readonly viewer: string;
}

/** Builds the collections. */
export function createClusters(sources: ClusterSources): OutboundClusters {
  const { engine, scope } = sources;
  const ofHosts = engine.deriveMany('xds.clusters.hosts', scope.hosts, (fetch, host) =>
    clustersOfHost(fetch, host, sources),
  );
  const special = engine.deriveMany('xds.clusters.special', scope.viewers, (fetch, viewer) =>
    specialClusters(fetch, viewer, sources),
  );
  const all = engine.union('xds.clusters', [special, ofHosts]);
  return {
    clusters: engine.index(
      'xds.clustersByViewer',
      all,
      (entry) => [entry.viewer],
      (entry) => entry.resource.name,
    ),
  };
}

function encodeCluster(input: ClusterInput): Resource {
  return encodeResource(ClusterSchema, buildOutboundCluster(input), TYPE_CLUSTER, input.name);
}

function encodePassthrough(facts: ClusterFacts): Resource {
  const cluster = buildPassthroughCluster(facts);
  return encodeResource(ClusterSchema, cluster, TYPE_CLUSTER, cluster.name);
}

function encodeBlackHole(facts: ClusterFacts): Resource {
  const cluster = buildBlackHoleCluster(facts);
  return encodeResource(ClusterSchema, cluster, TYPE_CLUSTER, cluster.name);
}

function* specialClusters(
  fetch: Fetch,
  viewer: Viewer,
  { interner, serviceModel }: ClusterSources,
): Generator<readonly [string, ViewerCluster]> {
  const facts = meshFact(fetch, serviceModel.meshFacts.clusters, clusterFacts);
  const causes = [{ kind: 'MeshConfig', namespace: '', name: MESH_KEY, path: '' }];
  const resources = [interner.intern('blackHoleCluster', facts, encodeBlackHole)];
  if (viewer.proxyType === 'sidecar')
    resources.push(interner.intern('passthroughCluster', facts, encodePassthrough));
  for (const resource of resources) {
    yield [viewerKey(viewer.key, resource.name), { viewer: viewer.key, resource, causes }];
  }
}

function* clustersOfHost(
  fetch: Fetch,
  host: OutboundHost,
  sources: ClusterSources,
): Generator<readonly [string, ViewerCluster]> {
  const viewer = fetch.get(sources.scope.viewers, host.viewer);
  if (viewer === undefined) return;
  const context = contextOf(fetch, host, viewer, sources);
  for (const planned of planClusters(host, viewer, context.facts)) {
    const input = clusterInput(planned, host, context);
    if (input === undefined) continue;
    const resource = sources.interner.intern('outboundCluster', input, encodeCluster);
    yield [viewerKey(host.viewer, planned.name), { viewer: host.viewer, resource, causes: planned.causes }];
  }
}

/** What the clusters of one host have in common. */
interface HostContext {
  readonly viewer: Viewer;
  readonly facts: ClusterFacts;
  readonly summary: EndpointSummary;
  readonly serverMode: MutualTlsMode;
  readonly endpoints: ServiceEndpoints['endpoints'];
}

const NO_SUMMARY: EndpointSummary = { identities: [], mutualTlsPorts: [] };

function contextOf(fetch: Fetch, host: OutboundHost, viewer: Viewer, sources: ClusterSources): HostContext {
  const { service } = host;
  const { serviceModel, serverMutualTls = PERMISSIVE_SERVERS } = sources;
  const key = serviceKey(service.namespace, service.hostname);
  const isInline = service.resolution === 'DNS' || service.resolution === 'DNS_ROUND_ROBIN';
  return {
    viewer,
    facts: meshFact(fetch, serviceModel.meshFacts.clusters, clusterFacts),
    summary: fetch.get(serviceModel.endpointSummaries, key) ?? NO_SUMMARY,
    serverMode: service.meshExternal ? 'UNKNOWN' : serverMutualTls.namespaceMode(fetch, service.namespace),
    endpoints: isInline ? (fetch.get(serviceModel.endpoints, key)?.endpoints ?? []) : [],
  };
}

/** Undefined for a DNS cluster without endpoints, which Envoy would refuse. */
function clusterInput(
  planned: PlannedCluster,
  host: OutboundHost,
  context: HostContext,
): ClusterInput | undefined {
  const { service } = host;
  const { viewer, facts } = context;
  const { loadBalancer } = planned.policy;
  const isDns = planned.discovery === 'STRICT_DNS' || planned.discovery === 'LOGICAL_DNS';
  const endpoints = isDns ? inlineEndpoints(planned, host, context) : [];
  if (isDns && endpoints.length === 0) return undefined;
  return {
    name: planned.name,
    service: { host: service.hostname, name: telemetryName(service), namespace: service.namespace },
    subset: planned.subset?.name ?? '',
    meshExternal: service.meshExternal,
    protocol: planned.port.protocol,
    discovery: planned.discovery,
    upstreamPort:
      service.resolution === 'NONE' && service.registry === 'External' ? planned.port.targetPort : 0,
    endpoints,
    policy: planned.policy,
    tls: tlsOf(planned, host, context),
    localityLb: localityLbOf(loadBalancer, service.trafficDistribution, facts.localityLb),
    neverPanics: service.trafficDistribution !== '',
    followsDownstreamProtocol: viewer.proxyType !== 'router',
    ipv6Only: viewer.ipv6Only,
    facts,
  };
}

/** LOGICAL_DNS takes exactly one endpoint. */
function inlineEndpoints(
  planned: PlannedCluster,
  host: OutboundHost,
  context: HostContext,
): readonly LocalityGroup[] {
  const query = {
    service: host.service,
    port: planned.port,
    subsetLabels: planned.subset?.labels ?? {},
    policy: planned.rulePolicy,
  };
  const all = selectEndpoints(context.endpoints, query, true);
  const usable = planned.discovery === 'LOGICAL_DNS' ? all.slice(0, 1) : all;
  const groups = groupByLocality(usable, (endpoint) => endpoint.tlsMode === 'istio');
  return prioritize(
    groups,
    undefined,
    { locality: host.service.ports.length > 0 ? NOWHERE : NOWHERE, labels: {} },
    false,
  );
}

const NOWHERE = { region: '', zone: '', subzone: '' };

function tlsOf(planned: PlannedCluster, host: OutboundHost, context: HostContext): UpstreamTls | undefined {
  const { service, policy } = host;
  const { viewer, facts, summary } = context;
  const isPassthrough = service.resolution === 'NONE' || planned.discovery === 'ORIGINAL_DST';
  // All or nothing where no endpoint metadata can decide: one endpoint without a sidecar means plain text for all.
  const hasPlainEndpoint = isPassthrough && !summary.mutualTlsPorts.includes(planned.port.number);
  const subset = planned.subset?.name ?? '';
  return upstreamTls({
    settings: planned.policy.tls,
    autoMtls: facts.autoMtls,
    meshExternal: service.meshExternal,
    serverMode: hasPlainEndpoint ? 'DISABLE' : context.serverMode,
    sni: planned.discovery === 'DYNAMIC' ? '' : sniName(planned.port.number, subset, service.hostname),
    identities: summary.identities,
    defaultSubjectAltNames: service.registry === 'External' ? summary.identities : [],
    mayUseCredentials: viewer.proxyType !== 'sidecar' || policy?.clientSelector !== undefined,
  });
}
