/**
 * Pods, WorkloadEntries and replicas of LocalWorkloads as Workloads. Pure, one object in, one workload out.
 * Source: Istio pilot/pkg/serviceregistry/kube/controller/endpoint_builder.go and serviceentry/conversion.go.
 */
import type { LocalWorkloadSpec } from '#api/local-workload.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { ObjectStatus } from '#api/object-status.ts';
import type { PodContainer, PodSpec } from '#api/pod.ts';
import type { WorkloadEntrySpec } from '#api/workload-entry.ts';
import type { LocalReplica, Workload } from './endpoint.ts';
import { spiffeId } from './workload-identity.ts';
import {
  type Labels,
  localityOfLabel,
  localityOfTopology,
  NETWORK_LABEL,
  parseLocality,
  tlsModeOfLabels,
  TLS_MODE_LABEL,
  withTopology,
} from './workload-labels.ts';
import { workloadNameOfPod } from './workload-owner.ts';
import { GROUP_ANNOTATION, HEALTH_CHECKS_ANNOTATION } from './workload-registration.ts';

const WORKLOAD_NAME_LABEL = 'service.istio.io/workload-name';
const TRUE_WORDS: ReadonlySet<string> = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);

/** What a workload takes from its surroundings. */
export interface WorkloadContext {
  readonly clusterId: string;
  readonly trustDomain: string;
  /** False where reports of health do not count. */
  readonly heedsHealth: boolean;
  /** Network of a workload at an address that names none, '' in a mesh of one network. */
  networkOf(address: string): string;
}

/** The workload of a pod; undefined until it has an address and after it has ended. */
export function workloadFromPod(
  pod: MeshObject<PodSpec>,
  nodeLabels: Labels,
  context: WorkloadContext,
): Workload | undefined {
  const { spec, labels } = pod;
  if (spec.podIPs.length === 0 || spec.phase === 'Failed' || spec.phase === 'Succeeded') return undefined;
  const network = labels[NETWORK_LABEL] || context.networkOf(spec.podIPs[0] ?? '');
  const locality = localityOfLabel(labels) ?? localityOfTopology(nodeLabels);
  const place = { locality, clusterId: context.clusterId, network, nodeName: spec.nodeName };
  return {
    name: pod.name,
    namespace: pod.namespace,
    source: 'Pod',
    addresses: spec.podIPs,
    appAddress: '',
    labels,
    // Istio gives endpoints on pods a network label even where there is none to tell.
    endpointLabels: withTopology({ ...labels, [NETWORK_LABEL]: network }, place),
    serviceAccount: spec.serviceAccountName || 'default',
    identity: spiffeId(context.trustDomain, pod.namespace, spec.serviceAccountName),
    workloadName: workloadNameOfPod(pod),
    network,
    clusterId: context.clusterId,
    locality,
    weight: 0,
    nodeName: spec.nodeName,
    ports: namedPorts([...spec.containers, ...spec.initContainers]),
    appPorts: {},
    hostname: spec.subdomain === '' ? '' : `${spec.hostname || pod.name}.${spec.subdomain}`,
    tlsMode: tlsModeOfLabels(labels),
    ready: spec.ready && !spec.deleting,
  };
}

function namedPorts(containers: readonly PodContainer[]): Readonly<Record<string, number>> {
  const ports: Record<string, number> = Object.create(null);
  for (const container of containers) {
    for (const port of container.ports) {
      if (port.name !== '' && port.protocol === 'TCP') ports[port.name] ??= port.containerPort;
    }
  }
  return ports;
}

/** Name and labels of the object that holds the spec: a WorkloadEntry, or a ServiceEntry with inline endpoints. */
export interface EntryOwner {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Labels;
  readonly annotations?: Labels;
  readonly status?: ObjectStatus;
}

/** The workload of a WorkloadEntry or of one inline endpoint of a ServiceEntry. */
export function workloadFromEntry(
  spec: WorkloadEntrySpec,
  owner: EntryOwner,
  context: WorkloadContext,
): Workload {
  // Labels of the metadata win over those of the spec.
  const labels: Labels = Object.assign(Object.create(null), spec.labels, owner.labels);
  const locality = spec.locality
    ? parseLocality(spec.locality)
    : (localityOfLabel(labels) ?? parseLocality(''));
  const network = spec.network || labels[NETWORK_LABEL] || context.networkOf(spec.address ?? '');
  const serviceAccount = spec.serviceAccount ?? '';
  const place = { locality, clusterId: context.clusterId, network, nodeName: '' };
  return {
    name: owner.name,
    namespace: owner.namespace,
    source: 'WorkloadEntry',
    addresses: [spec.address ?? ''],
    appAddress: '',
    labels,
    endpointLabels: withTopology(labels, place),
    serviceAccount,
    identity: serviceAccount === '' ? '' : spiffeId(context.trustDomain, owner.namespace, serviceAccount),
    // Telemetry shows the group that the entry was registered for as the workload.
    workloadName: owner.annotations?.[GROUP_ANNOTATION] ?? labels[WORKLOAD_NAME_LABEL] ?? owner.name,
    // Labels and blocks of addresses say what subsets match; only the entry itself says that it is elsewhere.
    network: spec.network ?? '',
    clusterId: context.clusterId,
    locality,
    weight: spec.weight ?? 0,
    nodeName: '',
    ports: spec.ports ?? {},
    appPorts: {},
    hostname: '',
    tlsMode: tlsModeOfEntry(labels, serviceAccount),
    ready: !context.heedsHealth || isHealthy(owner),
  };
}

/**
 * Where somebody checks the health, an entry is no good until the first check has succeeded.
 * Source: Istio serviceentry/conversion.go isHealthy.
 */
function isHealthy({ annotations = {}, status }: EntryOwner): boolean {
  const isChecked = TRUE_WORDS.has(annotations[HEALTH_CHECKS_ANNOTATION] ?? '');
  return !isChecked || status?.healthy === true;
}

/** The label decides; without it, an entry with a service account is taken to have a sidecar. */
function tlsModeOfEntry(labels: Labels, serviceAccount: string): 'istio' | 'disabled' {
  if (Object.hasOwn(labels, TLS_MODE_LABEL)) return tlsModeOfLabels(labels);
  return serviceAccount === '' ? 'disabled' : 'istio';
}

/** The workload of one running replica. Its proxy listens on the replica's address, on the ports that the mesh shows. */
export function workloadFromReplica(
  replica: LocalReplica,
  object: MeshObject<LocalWorkloadSpec>,
  context: WorkloadContext,
): Workload {
  const { spec } = object;
  const locality = localityOfLabel(spec.labels) ?? localityOfTopology(spec.labels);
  const network = spec.labels[NETWORK_LABEL] || context.networkOf(replica.address);
  const ports: Record<string, number> = Object.create(null);
  const appPorts: Record<string, number> = Object.create(null);
  for (const port of spec.ports) {
    if (port.name !== '') ports[port.name] = port.port;
    if (port.appPort !== port.port) appPorts[String(port.port)] = port.appPort;
  }
  const place = { locality, clusterId: context.clusterId, network, nodeName: '' };
  return {
    name: `${replica.workload}-${replica.replica}`,
    namespace: replica.namespace,
    source: 'LocalWorkload',
    addresses: [replica.address],
    appAddress: replica.appAddress,
    labels: spec.labels,
    endpointLabels: withTopology(spec.labels, place),
    serviceAccount: spec.serviceAccount || 'default',
    identity: spiffeId(context.trustDomain, replica.namespace, spec.serviceAccount),
    workloadName: replica.workload,
    network,
    clusterId: context.clusterId,
    locality,
    weight: 0,
    nodeName: '',
    ports,
    appPorts,
    hostname: `${replica.workload}-${replica.replica}`,
    tlsMode: tlsModeOfReplica(spec),
    ready: replica.ready,
  };
}

/** A sidecar stands before every application; a gateway's listeners speak what Gateway objects say, not mesh mTLS. */
function tlsModeOfReplica(spec: LocalWorkloadSpec): 'istio' | 'disabled' {
  if (Object.hasOwn(spec.labels, TLS_MODE_LABEL)) return tlsModeOfLabels(spec.labels);
  return spec.type === 'gateway' ? 'disabled' : 'istio';
}
