/**
 * Kinds of Kubernetes that users keep beside their mesh objects and that mean nothing to a mesh on one machine.
 * They are noted, not refused: the same folder may be meant for a cluster too.
 */

const WORKLOADS = 'Programs on this machine are described by LocalWorkload.';
const NOT_YET = 'This API is not supported yet; use the kinds of networking.istio.io.';
const CLUSTER_ONLY = 'It has a meaning on a Kubernetes cluster only.';

/** Advice by API group; a group that is not listed is not a known one. */
const ADVICE_BY_GROUP: ReadonlyMap<string, string> = new Map([
  ['apps', WORKLOADS],
  ['batch', WORKLOADS],
  ['gateway.networking.k8s.io', NOT_YET],
  ['networking.k8s.io', NOT_YET],
  ['install.istio.io', CLUSTER_ONLY],
  ['rbac.authorization.k8s.io', CLUSTER_ONLY],
  ['policy', CLUSTER_ONLY],
  ['autoscaling', CLUSTER_ONLY],
  ['apiextensions.k8s.io', CLUSTER_ONLY],
  ['admissionregistration.k8s.io', CLUSTER_ONLY],
  ['apiregistration.k8s.io', CLUSTER_ONLY],
  ['certificates.k8s.io', CLUSTER_ONLY],
  ['coordination.k8s.io', CLUSTER_ONLY],
  ['scheduling.k8s.io', CLUSTER_ONLY],
  ['storage.k8s.io', CLUSTER_ONLY],
  ['monitoring.coreos.com', CLUSTER_ONLY],
  ['cert-manager.io', CLUSTER_ONLY],
]);

const CORE_KINDS: ReadonlySet<string> = new Set([
  'PersistentVolume',
  'PersistentVolumeClaim',
  'LimitRange',
  'ResourceQuota',
  'ReplicationController',
  'Event',
]);

/** What to tell the user about a kind that is known but not used; undefined for every other kind. */
export function ignoredKindAdvice(group: string, kind: string): string | undefined {
  if (group === '') return CORE_KINDS.has(kind) ? CLUSTER_ONLY : undefined;
  return ADVICE_BY_GROUP.get(group);
}
