/**
 * All workloads as one collection, with the indices by which endpoints, policies and gateways find theirs.
 * A changed pod costs its own workload; whoever fetched one of its buckets or its key looks again.
 */
import type { LocalWorkloadSpec } from '#api/local-workload.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { NodeSpec } from '#api/node.ts';
import type { PodSpec } from '#api/pod.ts';
import type { WorkloadEntrySpec } from '#api/workload-entry.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { LocalReplica, Workload } from './endpoint.ts';
import type { MeshFlags } from './mesh-flags.ts';
import { meshFact, type ServiceFacts, serviceFacts } from './mesh-facts.ts';
import { type NetworkFacts, networkOfAddress, ONE_NETWORK } from './network.ts';
import { type WorkloadContext, workloadFromEntry, workloadFromPod, workloadFromReplica } from './workload.ts';
import { type Labels, matchesLabels } from './workload-labels.ts';

/** Where workloads come from. */
export interface WorkloadSources {
  readonly engine: Engine;
  readonly pods: Collection<MeshObject<PodSpec>>;
  readonly nodes: Collection<MeshObject<NodeSpec>>;
  readonly workloadEntries: Collection<MeshObject<WorkloadEntrySpec>>;
  readonly localWorkloads: Collection<MeshObject<LocalWorkloadSpec>>;
  readonly localReplicas: Collection<LocalReplica>;
  readonly serviceFacts: Collection<ServiceFacts>;
  readonly networkFacts: Collection<NetworkFacts>;
  /** Name of the cluster that all of these are in, `Kubernetes` by default. */
  readonly clusterId: string;
  readonly flags: Pick<MeshFlags, 'workloadEntryHealthChecks'>;
}

/** Workloads and the ways to them. */
export interface WorkloadModel {
  /** Keyed `namespace/name` for pods and replicas, `namespace/we:name` for WorkloadEntries (a pod may have that name). */
  readonly workloads: Collection<Workload>;
  /** By namespace. */
  readonly workloadsByNamespace: Index<Workload>;
  /** By `namespace|key=value`, one bucket for each label: see `selectWorkloads`. */
  readonly workloadsByLabel: Index<Workload>;
  /** By IP address. */
  readonly workloadsByAddress: Index<Workload>;
}

/** Key of the workload that a WorkloadEntry declares. */
export function workloadEntryKey(namespace: string, name: string): string {
  return `${namespace}/we:${name}`;
}

/** Builds the collections. */
export function createWorkloadModel(sources: WorkloadSources): WorkloadModel {
  const { engine } = sources;
  const workloads = engine.union('model.workloads', [
    derivePods(sources),
    deriveEntries(sources),
    deriveReplicas(sources),
  ]);
  return {
    workloads,
    workloadsByNamespace: engine.index('model.workloadsByNamespace', workloads, (workload) => [
      workload.namespace,
    ]),
    workloadsByLabel: engine.index('model.workloadsByLabel', workloads, labelBuckets),
    workloadsByAddress: engine.index('model.workloadsByAddress', workloads, (workload) => workload.addresses),
  };
}

/**
 * The workloads of a namespace that a selector matches. Records a dependency on one label's bucket only; an empty
 * selector selects the whole namespace.
 */
export function selectWorkloads(
  fetch: Fetch,
  model: WorkloadModel,
  namespace: string,
  selector: Labels,
): readonly (readonly [string, Workload])[] {
  const bucket = selectorBucket(namespace, selector);
  const candidates =
    bucket === undefined
      ? fetch.bucket(model.workloadsByNamespace, namespace)
      : fetch.bucket(model.workloadsByLabel, bucket);
  return [...candidates].filter(([, workload]) => matchesLabels(selector, workload.labels));
}

function labelBuckets(workload: Workload): readonly string[] {
  return Object.entries(workload.labels).map(([key, value]) => `${workload.namespace}|${key}=${value}`);
}

/** `app` singles out best; else the first key in byte order, so that equal selectors share a bucket. */
function selectorBucket(namespace: string, selector: Labels): string | undefined {
  const keys = Object.keys(selector).sort(compareBytes);
  const key = keys.includes('app') ? 'app' : keys[0];
  return key === undefined ? undefined : `${namespace}|${key}=${selector[key]}`;
}

/** What workloads take from the mesh. */
export function workloadContext(
  fetch: Fetch,
  sources: Pick<WorkloadSources, 'serviceFacts' | 'networkFacts' | 'clusterId' | 'flags'>,
): WorkloadContext {
  const facts = meshFact(fetch, sources.serviceFacts, serviceFacts);
  const networks = meshFact(fetch, sources.networkFacts, () => ONE_NETWORK);
  return {
    clusterId: sources.clusterId,
    trustDomain: facts.trustDomain,
    heedsHealth: sources.flags.workloadEntryHealthChecks,
    networkOf: (address) => networkOfAddress(networks, address),
  };
}

function derivePods(sources: WorkloadSources): Collection<Workload> {
  const nodesByName = sources.engine.index('model.nodesByName', sources.nodes, (node) => [node.name]);
  return sources.engine.derive('model.workloads.pods', sources.pods, (fetch, pod) => {
    const [node] = fetch.bucket(nodesByName, pod.spec.nodeName).values();
    return workloadFromPod(pod, node?.labels ?? {}, workloadContext(fetch, sources));
  });
}

function deriveEntries(sources: WorkloadSources): Collection<Workload> {
  return sources.engine.deriveMany('model.workloads.entries', sources.workloadEntries, (fetch, entry) => [
    [
      workloadEntryKey(entry.namespace, entry.name),
      workloadFromEntry(entry.spec, entry, workloadContext(fetch, sources)),
    ],
  ]);
}

function deriveReplicas(sources: WorkloadSources): Collection<Workload> {
  return sources.engine.derive('model.workloads.replicas', sources.localReplicas, (fetch, replica) => {
    const object = fetch.get(sources.localWorkloads, `${replica.namespace}/${replica.workload}`);
    return object === undefined
      ? undefined
      : workloadFromReplica(replica, object, workloadContext(fetch, sources));
  });
}
