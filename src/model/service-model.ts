/**
 * Services, their endpoints and the workloads behind them, as collections: the root of everything outbound.
 * A changed pod costs its workload and the services that list or select it; a changed service costs itself and the
 * other declarations of its host in its namespace. Nothing here reads a whole collection.
 */
import type { EndpointSliceSpec } from '#api/endpoint-slice.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { MeshNetworks } from '#api/mesh-networks.ts';
import type { NamespaceSpec } from '#api/namespace.ts';
import type { ResolvedName } from './resolved-name.ts';
import type { ServiceEntrySpec } from '#api/service-entry.ts';
import type { ServiceSpec } from '#api/service.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Collection, Fetch, Index } from '#collections/collection.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { createAddressAllocation } from './address-allocation.ts';
import { DEFAULT_MESH_FLAGS, type MeshFlags } from './mesh-flags.ts';
import type { Endpoint, ServiceEndpoints } from './endpoint.ts';
import { endpointsFromEntry, endpointsFromSelection } from './endpoint-entry.ts';
import { endpointsFromSlice, endpointsFromWorkloads, type FindWorkload } from './endpoint-kubernetes.ts';
import { type EndpointSummary, summarizeEndpoints } from './endpoint-summary.ts';
import { createMeshFacts, type MeshFacts, meshFact, serviceFacts } from './mesh-facts.ts';
import {
  createNetworkFacts,
  createNetworkGateways,
  type NetworkFacts,
  type NetworkGateways,
} from './network.ts';
import type { Service } from './service.ts';
import { servicesFromEntry } from './service-entry.ts';
import { serviceKey } from './service-hostname.ts';
import { type ServiceContext, serviceFromKubernetes } from './service-kubernetes.ts';
import { mergeServices } from './service-merge.ts';
import {
  createWorkloadModel,
  selectWorkloads,
  workloadContext,
  type WorkloadModel,
  type WorkloadSources,
} from './workload-model.ts';

/** Where services come from. `meshConfig` holds one value under 'mesh'. */
export interface ServiceModelSources
  extends Omit<WorkloadSources, 'serviceFacts' | 'networkFacts' | 'clusterId' | 'flags'> {
  readonly services: Collection<MeshObject<ServiceSpec>>;
  readonly serviceEntries: Collection<MeshObject<ServiceEntrySpec>>;
  readonly endpointSlices: Collection<MeshObject<EndpointSliceSpec>>;
  readonly namespaces: Collection<MeshObject<NamespaceSpec>>;
  readonly meshConfig: Collection<MeshConfigJson>;
  /** One value under 'mesh', in a mesh of several networks. */
  readonly meshNetworks?: Collection<MeshNetworks>;
  /** What DNS has for names that the model wants; nothing without. */
  readonly resolvedNames?: Collection<ResolvedName>;
  /** Name of the cluster that these objects are in. */
  readonly clusterId?: string;
  /** DNS domain of Kubernetes services. */
  readonly clusterDomain?: string;
  readonly flags?: MeshFlags;
  /** False where only addresses count that are recorded in statuses of ServiceEntries. */
  readonly derivesAddresses?: boolean;
}

/** Services and what belongs to them. */
export interface ServiceModel extends WorkloadModel {
  readonly meshFacts: MeshFacts;
  /** One per namespace and host, keyed `namespace/hostname`. */
  readonly services: Collection<Service>;
  /** By host name; inner key `namespace/hostname`. */
  readonly servicesByHostname: Index<Service>;
  readonly servicesByNamespace: Index<Service>;
  /** ExternalName services by the name that they stand for. */
  readonly aliasesByTarget: Index<Service>;
  /** Keyed like the service; absent when it has none. */
  readonly endpoints: Collection<ServiceEndpoints>;
  /** Keyed like the service: the few facts about its endpoints that clusters need, which rarely change. */
  readonly endpointSummaries: Collection<EndpointSummary>;
  /** Virtual addresses of hosts of ServiceEntries that have none of their own, keyed like the service. */
  readonly allocatedAddresses: Collection<readonly string[]>;
  /** The ways between networks, keyed 'mesh'. */
  readonly networkGateways: Collection<NetworkGateways>;
  /** Host names of such gateways that somebody has to look up; key and value are the name. */
  readonly gatewayNames: Collection<string>;
  readonly clusterId: string;
  readonly clusterDomain: string;
}

interface Build extends ServiceModelSources {
  readonly clusterId: string;
  readonly clusterDomain: string;
  readonly meshFacts: MeshFacts;
  readonly workloadModel: WorkloadModel;
  readonly flags: MeshFlags;
  readonly serviceFacts: MeshFacts['services'];
  readonly networkFacts: Collection<NetworkFacts>;
  readonly namespacesByName: Index<MeshObject<NamespaceSpec>>;
}

/** Builds the collections. */
export function createServiceModel(sources: ServiceModelSources): ServiceModel {
  const { engine, clusterId = 'Kubernetes', clusterDomain = 'cluster.local' } = sources;
  const { flags = DEFAULT_MESH_FLAGS } = sources;
  const meshFacts = createMeshFacts(engine, sources.meshConfig, flags, clusterDomain);
  const namespacesByName = engine.index('model.namespacesByName', sources.namespaces, ({ name }) => [name]);
  const { meshNetworks = engine.source<MeshNetworks>('model.noNetworks') } = sources;
  const policyFacts = meshFacts.policies;
  const networkFacts = createNetworkFacts({ engine, meshNetworks, namespacesByName, policyFacts, clusterId });
  const shared = { ...sources, flags, clusterId, serviceFacts: meshFacts.services, networkFacts };
  const workloadModel = createWorkloadModel(shared);
  const build: Build = { ...shared, clusterDomain, meshFacts, workloadModel, namespacesByName };
  const declarations = createDeclarations(build);
  const allocated = createAddressAllocation(engine, sources.serviceEntries, {
    derivesMissing: sources.derivesAddresses ?? true,
    flags,
  });
  const services = engine.derive('model.services', declarations, (fetch, declared, key) => {
    const merged = mergeServices([...declared.values()]);
    const takesAllocated = merged?.registry === 'External' && merged.addresses.length === 0;
    const autoAllocatedAddresses = takesAllocated ? fetch.get(allocated, key) : undefined;
    return merged && autoAllocatedAddresses ? { ...merged, autoAllocatedAddresses } : merged;
  });
  const endpoints = createEndpoints(build, declarations);
  const endpointSummaries = engine.derive('model.endpointSummaries', services, (fetch, service, key) => {
    const { trustDomainAliases } = meshFact(fetch, meshFacts.services, serviceFacts);
    return summarizeEndpoints(service, fetch.get(endpoints, key)?.endpoints ?? [], trustDomainAliases);
  });
  const servicesByHostname = engine.index('model.servicesByHostname', services, ({ hostname }) => [hostname]);
  return {
    ...workloadModel,
    meshFacts,
    services,
    servicesByHostname,
    servicesByNamespace: engine.index('model.servicesByNamespace', services, (service) => [
      service.namespace,
    ]),
    aliasesByTarget: engine.index('model.aliasesByTarget', services, (service) =>
      service.resolution === 'ALIAS' ? [service.externalName] : [],
    ),
    endpoints,
    endpointSummaries,
    allocatedAddresses: allocated,
    ...createNetworkGateways({
      engine,
      facts: networkFacts,
      services,
      serviceObjects: sources.services,
      nodes: sources.nodes,
      servicesByHostname,
      policyFacts,
      clusterId,
      names: sources.resolvedNames ?? engine.source<ResolvedName>('model.noNames'),
      resolvesNames: flags.resolvesGatewayNames,
    }),
    clusterId,
    clusterDomain,
  };
}

/** What objects declare, grouped by `namespace/hostname`: usually one declaration each. */
function createDeclarations(build: Build): Collection<PersistentMap<Service>> {
  const { engine } = build;
  function contextOf(fetch: Fetch, namespace: string): ServiceContext {
    const facts = meshFact(fetch, build.meshFacts.services, serviceFacts);
    const [object] = fetch.bucket(build.namespacesByName, namespace).values();
    return {
      clusterDomain: build.clusterDomain,
      trustDomain: facts.trustDomain,
      defaultExportTo: facts.defaultServiceExportTo,
      namespaceAnnotations: object?.annotations ?? {},
      namespaceLabels: object?.labels ?? {},
      entryVisibility: facts.entryVisibility,
      flags: build.flags,
    };
  }
  const ofKubernetes = engine.derive('model.services.kubernetes', build.services, (fetch, object) =>
    serviceFromKubernetes(object, contextOf(fetch, object.namespace)),
  );
  const ofEntries = engine.deriveMany('model.services.entries', build.serviceEntries, (fetch, object) =>
    servicesFromEntry(object, contextOf(fetch, object.namespace)).map(
      (service) => [`${object.namespace}/${object.name}|${service.hostname}`, service] as const,
    ),
  );
  const declared = engine.union('model.services.declared', [ofKubernetes, ofEntries]);
  const byHost = engine.index('model.services.byHost', declared, (service) => [
    serviceKey(service.namespace, service.hostname),
  ]);
  return engine.group('model.services.declarations', byHost);
}

function createEndpoints(
  build: Build,
  declarations: Collection<PersistentMap<Service>>,
): Collection<ServiceEndpoints> {
  const { engine } = build;
  const slicesByService = engine.index('model.endpointSlicesByService', build.endpointSlices, (slice) => {
    const name = slice.labels['kubernetes.io/service-name'];
    return name === undefined || name === '' ? [] : [`${slice.namespace}/${name}`];
  });
  return engine.derive('model.endpoints', declarations, (fetch, declared) => {
    const endpoints = [...declared.values()].flatMap((service) =>
      service.registry === 'Kubernetes'
        ? byAddress(kubernetesEndpoints(fetch, build, slicesByService, service))
        : entryEndpoints(fetch, build, service),
    );
    if (endpoints.length === 0) return undefined;
    return withIdentities(endpoints.map((endpoint) => withDraining(endpoint, build.flags)));
  });
}

function kubernetesEndpoints(
  fetch: Fetch,
  build: Build,
  slicesByService: Index<MeshObject<EndpointSliceSpec>>,
  service: Service,
): readonly Endpoint[] {
  const { workloads, workloadsByAddress } = build.workloadModel;
  const findWorkload: FindWorkload = (entry, address) => {
    if (entry.targetRef?.kind === 'Pod') {
      return fetch.get(
        workloads,
        `${entry.targetRef.namespace || service.namespace}/${entry.targetRef.name}`,
      );
    }
    const atAddress = [...fetch.bucket(workloadsByAddress, address).values()].filter(
      (workload) => workload.source === 'Pod',
    );
    return atAddress.find((workload) => workload.namespace === service.namespace) ?? atAddress[0];
  };
  const slices = fetch.bucket(slicesByService, `${service.namespace}/${service.name}`);
  const context = { clusterId: build.clusterId, dualStack: build.flags.dualStack };
  const listed = withoutDuplicates(
    [...slices.values()].flatMap((slice) => endpointsFromSlice(service, slice.spec, findWorkload, context)),
  );
  if (Object.keys(service.selector).length === 0) return listed;
  const selected = selectWorkloads(fetch, build.workloadModel, service.namespace, service.selector)
    .map(([, workload]) => workload)
    .filter(
      ({ source }) =>
        source === 'LocalWorkload' ||
        (build.flags.serviceSelectsWorkloadEntries && isEntryFor(service, source)),
    );
  return selected.length === 0 ? listed : [...listed, ...endpointsFromWorkloads(service, selected)];
}

/** While an address moves from one slice to another, both may list it. */
function withoutDuplicates(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const seen = new Set<string>();
  return endpoints.filter(({ address, portName }) => {
    const key = `${portName}|${address}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** WorkloadEntries join Services that balance over endpoints, not headless ones. */
function isEntryFor(service: Service, source: string): boolean {
  return source === 'WorkloadEntry' && service.resolution === 'STATIC';
}

function entryEndpoints(fetch: Fetch, build: Build, service: Service): readonly Endpoint[] {
  const entry = fetch.get(build.serviceEntries, `${service.namespace}/${service.name}`);
  if (entry === undefined) return [];
  const endpoints = endpointsOfEntry(fetch, build, service, entry);
  // Istio has a service for each address, and the endpoints of all of them together.
  return Array.from({ length: Math.max(1, entry.spec.addresses?.length ?? 0) }, () => endpoints).flat();
}

function endpointsOfEntry(
  fetch: Fetch,
  build: Build,
  service: Service,
  entry: MeshObject<ServiceEntrySpec>,
): readonly Endpoint[] {
  if (entry.spec.workloadSelector !== undefined) {
    const selected = selectWorkloads(fetch, build.workloadModel, service.namespace, service.selector);
    return endpointsFromSelection(
      service,
      selected
        .map(([, workload]) => workload)
        .filter(({ source }) => build.flags.serviceEntrySelectsPods || source !== 'Pod'),
      build.flags.dualStack,
    );
  }
  return endpointsFromEntry(service, entry, workloadContext(fetch, build));
}

/** A label may say that an endpoint is on its way out, whatever its health. */
function withDraining(endpoint: Endpoint, { drainingLabel }: MeshFlags): Endpoint {
  const isDraining = drainingLabel !== '' && (endpoint.labels[drainingLabel] ?? '') !== '';
  return isDraining ? { ...endpoint, health: 'draining' } : endpoint;
}

/** Slices have no order of their own; endpoints of a ServiceEntry keep the order in which they were written. */
function byAddress(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  return endpoints.toSorted((a, b) => compareBytes(a.address, b.address) || a.port - b.port);
}

function withIdentities(endpoints: readonly Endpoint[]): ServiceEndpoints {
  const identities = [...new Set(endpoints.map((endpoint) => endpoint.identity))].filter((id) => id !== '');
  return { endpoints, identities: identities.sort(compareBytes) };
}
