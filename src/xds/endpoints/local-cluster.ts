/**
 * The load assignment of `local_cluster`: the proxy itself and its like, by zone. Envoy compares them with the zones of a service
 * that it calls, and so knows how much its own zone may keep (zone-aware balancing). Only proxies that ask for it by
 * ENABLE_SELF_DISCOVERY have the cluster, in their bootstrap.
 * Costs a look at the proxy's own service per such proxy; what is made of it is shared by its like.
 * Source: istio pilot/pkg/xds/endpoints/endpoint_builder.go isSelfDiscoveryCluster.
 */
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import { identityMemo } from '#collections/identity-memo.ts';
import type { Interner } from '#collections/interner.ts';
import type { Endpoint } from '#model/endpoint.ts';
import type { LocalService } from '#model/local-service.ts';
import { type ClusterFacts, clusterFacts, MESH_KEY, meshFact } from '#model/mesh-facts.ts';
import { type NetworkGateways, NO_GATEWAYS } from '#model/network.ts';
import type { Proxy } from '#model/proxy.ts';
import type { Service, ServicePort } from '#model/service.ts';
import { serviceKey } from '#model/service-hostname.ts';
import type { ServiceModel } from '#model/service-model.ts';
import type { Labels } from '#model/workload-labels.ts';
import type { OutboundScope } from '#scope/outbound-host-model.ts';
import { type Viewer, viewerKey } from '#scope/viewer.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { encodeAssignment } from './assignment.ts';
import { mutualTlsCheck, selectEndpoints } from './endpoint-selection.ts';
import { groupByLocality } from './locality-group.ts';
import { prioritize } from './locality-priority.ts';
import { acrossNetworks } from './network-gateways.ts';
import { NOT_SERVED, type ServedEndpoints, serverMutualCheck } from './served-endpoints.ts';

/** Name of the cluster. Source: istio pilot/pkg/networking/util SelfDiscoveryCluster. */
export const LOCAL_CLUSTER = 'local_cluster';

/** What the load assignments are made of. */
export interface LocalClusterSources {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly proxies: Collection<Proxy>;
  readonly serviceModel: Pick<ServiceModel, 'meshFacts' | 'networkGateways'>;
  readonly scope: Pick<OutboundScope, 'viewers' | 'viewerOf' | 'hosts'>;
  /** Keyed `namespace/hostname`. */
  readonly served: Collection<ServedEndpoints>;
  localServiceOf(fetch: Fetch, proxy: Proxy): LocalService | undefined;
}

/** Who is looked for: workloads like the proxy, in its region. */
interface LocalClient {
  readonly workloadName: string;
  readonly region: string;
  /** '' unless the service shows each client its own node alone. */
  readonly nodeName: string;
  readonly network: string;
  readonly networkView: readonly string[];
  readonly ipFamilies: Viewer['ipFamilies'];
  readonly labels: Labels;
}

/** Pods of one ReplicaSet share its hash, and get an even part of the traffic; other versions of a workload may not. */
const REPLICA_SET_LABELS = ['pod-template-hash', 'rollouts-pod-template-hash'];

type BuildInputs = readonly [
  Service,
  ServicePort,
  ServedEndpoints,
  ClusterFacts,
  NetworkGateways,
  LocalClient,
];

/** The load assignments by proxy id; empty ones for proxies of no service that they can see, so that Envoy need not wait. */
export function createLocalClusters(sources: LocalClusterSources): Collection<ResourceEntry> {
  const { engine, interner, scope, serviceModel } = sources;
  const build = identityMemo<BuildInputs, ResourceEntry>((...inputs) => localAssignment(inputs, interner));
  const nobody = { resource: encodeAssignment({ clusterName: LOCAL_CLUSTER, groups: [] }), causes: [] };
  return engine.derive('xds.localClusters', sources.proxies, (fetch, proxy) => {
    if (!discoversItself(proxy)) return undefined;
    const local = sources.localServiceOf(fetch, proxy);
    const viewer = fetch.get(scope.viewers, scope.viewerOf(fetch, proxy));
    if (local === undefined || viewer === undefined) return nobody;
    const service = fetch.get(scope.hosts, viewerKey(viewer.key, local.service.hostname))?.service;
    const port = service?.ports.find(({ number }) => number === local.port.number);
    if (service === undefined || port === undefined || isResolvedByEnvoy(service)) return nobody;
    const facts = meshFact(fetch, serviceModel.meshFacts.clusters, clusterFacts);
    const networks = fetch.get(serviceModel.networkGateways, MESH_KEY) ?? NO_GATEWAYS;
    const served = fetch.get(sources.served, serviceKey(service.namespace, service.hostname)) ?? NOT_SERVED;
    const client = interner.intern('localClient', clientOf(proxy, viewer, service), (input) => ({
      ...input,
    }));
    return build(service, port, served, facts, networks, client);
  });
}

/** Node metadata ENABLE_SELF_DISCOVERY. A gRPC library has no such cluster. */
function discoversItself({ metadata, generator }: Proxy): boolean {
  const asked = metadata['ENABLE_SELF_DISCOVERY'];
  return generator !== 'grpc' && (asked === 'true' || asked === '1');
}

/** Such a service has no endpoints that could be told. */
function isResolvedByEnvoy({ resolution }: Service): boolean {
  return resolution === 'DNS' || resolution === 'DNS_ROUND_ROBIN';
}

function clientOf(proxy: Proxy, viewer: Viewer, service: Service): LocalClient {
  const { network, networkView, locality } = proxy;
  const labels = REPLICA_SET_LABELS.map((name) => [name, proxy.labels[name] ?? ''] as const);
  return {
    workloadName: proxy.workloadName,
    region: locality.region,
    nodeName: service.internalTrafficPolicy === 'Local' ? proxy.nodeName : '',
    network,
    networkView,
    ipFamilies: viewer.ipFamilies,
    labels: Object.fromEntries(labels),
  };
}

function localAssignment(inputs: BuildInputs, interner: Interner): ResourceEntry {
  const [service, port, served, { flags }, networks, client] = inputs;
  const { networkView, nodeName: clientNode } = client;
  const query = { service, port, subsetLabels: {}, policy: {}, clientNode, flags, networkView };
  const alike = selectEndpoints(served.endpoints, query, false).filter((one) => isAlike(one, client));
  const groups = groupByLocality(alike, mutualTlsCheck(undefined, serverMutualCheck(served)));
  const input = {
    clusterName: LOCAL_CLUSTER,
    groups: prioritize(acrossNetworks(groups, networks, client), undefined, NOWHERE, false),
  };
  return {
    resource: interner.intern('loadAssignment', input, encodeAssignment),
    causes: [service.cause],
  };
}

/** No setting orders these endpoints, so it does not matter who asks. */
const NOWHERE = { locality: { region: '', zone: '', subzone: '' }, labels: {} };

function isAlike(endpoint: Endpoint, { workloadName, region, labels }: LocalClient): boolean {
  return (
    endpoint.workloadName === workloadName &&
    endpoint.locality.region === region &&
    REPLICA_SET_LABELS.every((name) => (endpoint.labels[name] ?? '') === labels[name])
  );
}
