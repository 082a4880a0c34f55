/**
 * For tests: objects with few words, and a mesh of sources to put them into. Objects are made as decode-object.ts makes
 * them; only the hash is simpler.
 */
import type { EndpointSliceSpec, SliceEndpoint } from '#api/endpoint-slice.ts';
import type { LocalWorkloadSpec } from '#api/local-workload.ts';
import type { MeshNetworks } from '#api/mesh-networks.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { PodSpec } from '#api/pod.ts';
import type { ServiceEntrySpec } from '#api/service-entry.ts';
import type { ServicePortSpec, ServiceSpec } from '#api/service.ts';
import { createEngine } from '#collections/engine.ts';
import type { Engine, Fetch, SourceCollection } from '#collections/collection.ts';
import { READ_NOW } from '#collections/read-now.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import type { LocalReplica } from './endpoint.ts';
import { MESH_KEY } from './mesh-facts.ts';
import { DEFAULT_MESH_FLAGS, type MeshFlags } from './mesh-flags.ts';
import { PLAIN_TRAITS, type Proxy } from './proxy.ts';
import type { ResolvedName } from './resolved-name.ts';
import { createServiceModel, type ServiceModel } from './service-model.ts';

type Meta = Partial<Pick<MeshObject, 'namespace' | 'labels' | 'annotations' | 'createdAtMs'>>;

/** Any object; namespace `default` unless told. */
export function object<S>(kind: string, name: string, spec: S, meta: Meta = {}): MeshObject<S> {
  const base = {
    apiVersion: 'v1',
    kind,
    name,
    namespace: 'default',
    labels: {},
    annotations: {},
    createdAtMs: 0,
  };
  const whole = { ...base, ...meta, spec };
  return { ...whole, hash: JSON.stringify(whole) };
}

/** A service port; number 80 unless told. */
export function port(name: string, overrides: Partial<ServicePortSpec> = {}): ServicePortSpec {
  const number = overrides.port ?? 80;
  return {
    name,
    port: number,
    targetPort: number,
    protocol: 'TCP',
    appProtocol: '',
    nodePort: 0,
    ...overrides,
  };
}

/** A Kubernetes Service of type ClusterIP with one HTTP port, which selects `app: name`. */
export function kubernetesService(
  name: string,
  spec: Partial<ServiceSpec> = {},
  meta: Meta = {},
): MeshObject<ServiceSpec> {
  const defaults: ServiceSpec = {
    type: 'ClusterIP',
    ports: [port('http')],
    selector: { app: name },
    clusterIP: '10.0.0.1',
    clusterIPs: ['10.0.0.1'],
    externalIPs: [],
    externalName: '',
    ipFamilies: [],
    publishNotReadyAddresses: false,
    sessionAffinity: 'None',
    sessionAffinityTimeoutSeconds: 0,
    internalTrafficPolicy: 'Cluster',
    externalTrafficPolicy: '',
    trafficDistribution: '',
    loadBalancerIngress: [],
  };
  return object('Service', name, { ...defaults, ...spec }, meta);
}

/** A running pod at one address whose sidecar accepts mesh mTLS. */
export function pod(
  name: string,
  address: string,
  labels: Record<string, string>,
  spec: Partial<PodSpec> = {},
): MeshObject<PodSpec> {
  const defaults: PodSpec = {
    serviceAccountName: 'default',
    nodeName: '',
    hostNetwork: false,
    hostname: '',
    subdomain: '',
    containers: [],
    uid: '',
    initContainers: [],
    podIPs: [address],
    hostIP: '',
    phase: 'Running',
    ready: true,
    deleting: false,
    owners: [],
  };
  const allLabels = { 'security.istio.io/tlsMode': 'istio', ...labels };
  return object('Pod', name, { ...defaults, ...spec }, { labels: allLabels });
}

/** One address of a slice that stands for a pod. */
export function sliceEndpoint(
  address: string,
  podName: string,
  overrides: Partial<SliceEndpoint> = {},
): SliceEndpoint {
  const targetRef = { kind: 'Pod', namespace: 'default', name: podName };
  const state = { ready: true, serving: true, terminating: false, hostname: '', nodeName: '', zone: '' };
  return { addresses: [address], ...state, targetRef, ...overrides };
}

/** The slice of a service with one port. */
export function slice(
  service: string,
  endpoints: readonly SliceEndpoint[],
  portNumber = 80,
  portName = 'http',
): MeshObject<EndpointSliceSpec> {
  const ports = [{ name: portName, port: portNumber, protocol: 'TCP', appProtocol: '' } as const];
  const labels = { 'kubernetes.io/service-name': service };
  return object('EndpointSlice', `${service}-1`, { addressType: 'IPv4', endpoints, ports }, { labels });
}

/** A ServiceEntry with one HTTP port. */
export function serviceEntry(
  name: string,
  spec: ServiceEntrySpec,
  meta: Meta = {},
): MeshObject<ServiceEntrySpec> {
  const ports = [{ number: 80, name: 'http', protocol: 'HTTP' }];
  return object('ServiceEntry', name, { ports, ...spec }, meta);
}

/** A LocalWorkload of type app. */
export function localWorkload(
  name: string,
  labels: Record<string, string>,
  spec: Partial<LocalWorkloadSpec> = {},
): MeshObject<LocalWorkloadSpec> {
  const defaults: LocalWorkloadSpec = {
    type: 'app',
    labels,
    annotations: {},
    serviceAccount: name,
    command: ['app'],
    args: [],
    env: [],
    workingDir: '',
    ports: [{ name: '', port: 80, appPort: 80, protocol: 'TCP' }],
    replicas: 1,
    bind: '',
  };
  return object('LocalWorkload', name, { ...defaults, ...spec });
}

/** A connected sidecar. */
export function proxy(name: string, overrides: Partial<Proxy> = {}): Proxy {
  return {
    id: `sidecar~10.0.0.9~${name}.default~cluster.local`,
    type: 'sidecar',
    addresses: ['10.0.0.9'],
    name,
    namespace: 'default',
    labels: {},
    serviceAccount: 'default',
    workloadName: name,
    clusterId: 'Kubernetes',
    network: '',
    networkView: [],
    locality: { region: '', zone: '', subzone: '' },
    nodeName: '',
    interceptionMode: 'REDIRECT',
    dnsDomain: 'default.svc.cluster.local',
    dnsCapture: false,
    generator: '',
    httpProxyPort: 0,
    outboundAddress: '',
    istioVersion: '',
    metadata: {},
    traits: PLAIN_TRAITS,
    proxyConfig: {},
    ...overrides,
  };
}

/** Reads finished collections as a derivation would. */
export const READER: Fetch = READ_NOW;

const KINDS = [
  'Service',
  'ServiceEntry',
  'EndpointSlice',
  'Namespace',
  'Pod',
  'Node',
  'WorkloadEntry',
  'LocalWorkload',
  'DestinationRule',
  'Sidecar',
  'VirtualService',
] as const;

/** Sources, and the service model on top of them. */
export interface ServiceModelRig {
  readonly engine: Engine;
  readonly model: ServiceModel;
  readonly meshConfig: SourceCollection<MeshConfigJson>;
  readonly meshNetworks: SourceCollection<MeshNetworks>;
  readonly resolvedNames: SourceCollection<ResolvedName>;
  readonly localReplicas: SourceCollection<LocalReplica>;
  of<S>(kind: (typeof KINDS)[number]): SourceCollection<MeshObject<S>>;
  /** Puts objects in and settles. */
  apply(...objects: MeshObject[]): void;
  /** Takes an object away and settles. */
  remove(kind: (typeof KINDS)[number], key: string): void;
}

/** An empty mesh. */
export function serviceModelRig(flags: MeshFlags = DEFAULT_MESH_FLAGS): ServiceModelRig {
  const engine = createEngine();
  const sources = new Map<string, SourceCollection<MeshObject<unknown>>>(
    KINDS.map((kind) => [kind, engine.source<MeshObject<unknown>>(`objects.${kind}`)]),
  );
  const of = <S>(kind: (typeof KINDS)[number]): SourceCollection<MeshObject<S>> =>
    sources.get(kind) as SourceCollection<MeshObject<S>>;
  const meshConfig = engine.source<MeshConfigJson>('meshConfig');
  const meshNetworks = engine.source<MeshNetworks>('meshNetworks');
  const resolvedNames = engine.source<ResolvedName>('resolvedNames');
  const localReplicas = engine.source<LocalReplica>('localReplicas');
  const model = createServiceModel({
    engine,
    services: of('Service'),
    serviceEntries: of('ServiceEntry'),
    endpointSlices: of('EndpointSlice'),
    namespaces: of('Namespace'),
    pods: of('Pod'),
    nodes: of('Node'),
    workloadEntries: of('WorkloadEntry'),
    localWorkloads: of('LocalWorkload'),
    localReplicas,
    meshConfig,
    meshNetworks,
    resolvedNames,
    flags,
  });
  meshConfig.set(MESH_KEY, {});
  return {
    engine,
    model,
    meshConfig,
    meshNetworks,
    resolvedNames,
    localReplicas,
    of,
    apply(...objects) {
      for (const each of objects) sources.get(each.kind)?.set(`${each.namespace}/${each.name}`, each);
      engine.settle();
    },
    remove(kind, key) {
      of(kind).delete(key);
      engine.settle();
    },
  };
}
