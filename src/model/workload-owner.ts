/**
 * The name by which people know a pod's workload: its Deployment, StatefulSet, CronJob …, for telemetry.
 * Source: Istio pkg/kube/util GetWorkloadMetaFromPod.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { PodSpec } from '#api/pod.ts';

const CRON_JOB_RUN = /^(.+)-\d{8,10}$/;

/** Name of the pod's controller, without the generated parts; the pod's own name when it has none. */
export function workloadNameOfPod(pod: MeshObject<PodSpec>): string {
  const owner = pod.spec.owners.find((candidate) => candidate.controller);
  if (owner === undefined) return pod.name;
  if (owner.kind === 'ReplicaSet') return deploymentName(owner.name, pod.labels);
  if (owner.kind === 'ReplicationController') return pod.labels['deploymentconfig'] || owner.name;
  if (owner.kind === 'Job') return CRON_JOB_RUN.exec(owner.name)?.[1] ?? owner.name;
  return owner.name;
}

function deploymentName(replicaSet: string, labels: Readonly<Record<string, string>>): string {
  for (const hash of [labels['pod-template-hash'], labels['rollouts-pod-template-hash']]) {
    if (hash !== undefined && hash !== '' && replicaSet.endsWith(`-${hash}`)) {
      return replicaSet.slice(0, -hash.length - 1);
    }
  }
  return replicaSet;
}
