/**
 * Load assignments of EDS clusters, for every viewer and locality class: proxies that look through one viewer from one
 * place. A pod that comes or goes costs the clusters of its services, per viewer and class; equal results are one
 * resource, which is the rule where localities play no role.
 */
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import type { Endpoint } from '#model/endpoint.ts';
import { type ClusterFacts, clusterFacts, meshFact } from '#model/mesh-facts.ts';
import type { Proxy } from '#model/proxy.ts';
import { serviceKey } from '#model/service-hostname.ts';
import type { ServiceModel } from '#model/service-model.ts';
import { ClusterLoadAssignmentSchema } from '#proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import type { OutboundScope } from '#scope/outbound-host-model.ts';
import { viewerKey } from '#scope/viewer.ts';
import { type PlannedCluster, planClusters } from '../clusters/cluster-plan.ts';
import { encodeResource } from '../encode.ts';
import { type Resource, type ResourceEntry, TYPE_ENDPOINT } from '../resource.ts';
import { PERMISSIVE_SERVERS, type ServerMutualTls } from '../tls/server-mutual-tls.ts';
import { ruleTlsMode, selectEndpoints } from './endpoint-selection.ts';
import { type EndpointView, endpointViewOf } from './endpoint-view.ts';
import { buildLoadAssignment, type LoadAssignmentInput } from './load-assignment.ts';
import { groupByLocality } from './locality-group.ts';
import { prioritize } from './locality-priority.ts';
import { localityLbOf } from './locality-settings.ts';

/** What endpoints are made of. */
export interface EndpointSources {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly proxies: Collection<Proxy>;
  readonly serviceModel: Pick<ServiceModel, 'endpoints' | 'meshFacts' | 'workloads'>;
  readonly scope: Pick<OutboundScope, 'viewers' | 'hosts' | 'viewerOf'>;
  /** What servers demand; without it, what they demand without PeerAuthentications. */
  readonly serverMutualTls?: ServerMutualTls;
}

/** The load assignments. */
export interface OutboundEndpoints {
  /** By endpoint view (`endpointViewOf`); inner key is the cluster's name. */
  readonly endpoints: Index<ResourceEntry>;
  /** Key of the bucket that holds a proxy's load assignments. */
  endpointViewOf(fetch: Fetch, proxy: Proxy): string;
}

/** Keyed `view|cluster name`. */
interface ViewAssignment extends ResourceEntry {
  readonly view: string;
}

/** Builds the collections. */
export function createEndpoints(sources: EndpointSources): OutboundEndpoints {
  const { engine, scope } = sources;
  const viewFor = (fetch: Fetch, proxy: Proxy): EndpointView =>
    endpointViewOf(proxy, scope.viewerOf(fetch, proxy));
  const views = engine.deriveMany('xds.endpointViews', sources.proxies, (fetch, proxy) => {
    const view = viewFor(fetch, proxy);
    return [[view.key, view]];
  });
  const viewsByViewer = engine.index('xds.endpointViewsByViewer', views, (view) => [view.viewer]);
  const all = engine.deriveMany('xds.endpoints', scope.hosts, (fetch, host) =>
    assignmentsOfHost(fetch, host, [...fetch.bucket(viewsByViewer, host.viewer).values()], sources),
  );
  return {
    endpoints: engine.index(
      'xds.endpointsByView',
      all,
      (entry) => [entry.view],
      (entry) => entry.resource.name,
    ),
    endpointViewOf: (fetch, proxy) => viewFor(fetch, proxy).key,
  };
}

function encodeAssignment(input: LoadAssignmentInput): Resource {
  const message = buildLoadAssignment(input);
  return encodeResource(ClusterLoadAssignmentSchema, message, TYPE_ENDPOINT, input.clusterName);
}

function* assignmentsOfHost(
  fetch: Fetch,
  host: OutboundHost,
  views: readonly EndpointView[],
  sources: EndpointSources,
): Generator<readonly [string, ViewAssignment]> {
  const viewer = fetch.get(sources.scope.viewers, host.viewer);
  if (viewer === undefined || views.length === 0) return;
  const facts = meshFact(fetch, sources.serviceModel.meshFacts.clusters, clusterFacts);
  const clusters = planClusters(host, viewer, facts).filter((planned) => planned.discovery === 'EDS');
  if (clusters.length === 0) return;
  const key = serviceKey(host.service.namespace, host.service.hostname);
  const endpoints = fetch.get(sources.serviceModel.endpoints, key)?.endpoints ?? [];
  const { serverMutualTls = PERMISSIVE_SERVERS } = sources;
  const isServerMutual = (endpoint: Endpoint): boolean =>
    serverMutualTls.endpointMode(fetch, endpoint) !== 'DISABLE';
  for (const planned of clusters) {
    for (const view of views) {
      const input = assignmentInput(host, planned, { endpoints, facts, view, isServerMutual });
      const resource = sources.interner.intern('loadAssignment', input, encodeAssignment);
      yield [viewerKey(view.key, planned.name), { view: view.key, resource, causes: planned.causes }];
    }
  }
}

interface AssignmentContext {
  readonly endpoints: readonly Endpoint[];
  readonly facts: ClusterFacts;
  readonly view: EndpointView;
  isServerMutual(endpoint: Endpoint): boolean;
}

function assignmentInput(
  host: OutboundHost,
  planned: PlannedCluster,
  context: AssignmentContext,
): LoadAssignmentInput {
  const { service, policy } = host;
  const { port, rulePolicy } = planned;
  const subset = planned.subset?.name ?? '';
  const query = { service, port, subsetLabels: planned.subset?.labels ?? {}, policy: rulePolicy };
  const ruleMode = ruleTlsMode(policy, subset, port.number);
  const groups = groupByLocality(selectEndpoints(context.endpoints, query, false), (endpoint) => {
    if (endpoint.tlsMode !== 'istio') return false;
    return ruleMode === undefined ? context.isServerMutual(endpoint) : ruleMode === 'ISTIO_MUTUAL';
  });
  const lb = localityLbOf(rulePolicy.loadBalancer, service.trafficDistribution, context.facts.localityLb);
  const detectsOutliers = rulePolicy.outlierDetection !== undefined;
  return { clusterName: planned.name, groups: prioritize(groups, lb, context.view, detectsOutliers) };
}
