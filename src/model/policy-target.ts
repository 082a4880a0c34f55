/**
 * Which workloads a policy is for: those that its selector names, or the gateways that it has as targets. The same for all kinds
 * that restrict requests.
 * Source: istio pilot/pkg/model/policyattachment.go ShouldAttachPolicy.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Fetch, Index } from '#collections/collection.ts';

/** The workload's side of the question. */
export interface PolicySubject {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

interface Target {
  readonly kind?: string;
  readonly name?: string;
}

/** The fields of a policy's spec that say whom it is for. */
export interface PolicyTargetSpec {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly targetRef?: Target;
  readonly targetRefs?: readonly Target[];
}

/** Label by which a proxy says which Gateway (gateway.networking.k8s.io) it serves. */
const GATEWAY_LABEL = 'gateway.networking.k8s.io/gateway-name';

/** Policies by whom they can be for; read with `policiesOf`. */
export type PolicyIndex<T extends PolicyTargetSpec> = Index<MeshObject<T>>;

/**
 * Buckets of a policy: by one label of its selector (the first in byte order), by its gateways, or its namespace where it is for
 * everybody there. So a policy is met only by workloads that have the label.
 */
export function policyBuckets({
  namespace,
  spec,
}: Pick<MeshObject<PolicyTargetSpec>, 'namespace' | 'spec'>): readonly string[] {
  const targets = targetsOf(spec);
  if (targets.length > 0) {
    const gateways = targets.filter(({ kind }) => kind === 'Gateway');
    return [...new Set(gateways.map(({ name = '' }) => bucket(namespace, GATEWAY_LABEL, name)))];
  }
  const [first] = Object.entries(spec.selector?.matchLabels ?? {}).sort(([a], [b]) => compareBytes(a, b));
  return [first === undefined ? namespace : bucket(namespace, ...first)];
}

/** Policies of a namespace that are for the workload. Reads a bucket for each of its labels. */
export function policiesOf<T extends PolicyTargetSpec>(
  fetch: Fetch,
  index: PolicyIndex<T>,
  namespace: string,
  subject: PolicySubject,
): readonly MeshObject<T>[] {
  const labels = Object.entries(subject.labels).map(([name, value]) => bucket(namespace, name, value));
  return [namespace, ...labels].flatMap((key) =>
    [...fetch.bucket(index, key).values()].filter((policy) => selectsWorkload(policy, subject)),
  );
}

function bucket(namespace: string, label: string, value: string): string {
  return `${namespace}|${label}=${value}`;
}

function targetsOf({ targetRef, targetRefs }: PolicyTargetSpec): readonly Target[] {
  return targetRef === undefined ? (targetRefs ?? []) : [targetRef];
}

/** True when the policy is for the workload. A policy with targets is for those alone: gateways here, services at a waypoint. */
export function selectsWorkload(
  policy: Pick<MeshObject<PolicyTargetSpec>, 'namespace' | 'spec'>,
  subject: PolicySubject,
): boolean {
  const targets = targetsOf(policy.spec);
  if (targets.length > 0) {
    const gateway = subject.labels[GATEWAY_LABEL];
    return (
      policy.namespace === subject.namespace &&
      gateway !== undefined &&
      targets.some((target) => target.kind === 'Gateway' && target.name === gateway)
    );
  }
  return Object.entries(policy.spec.selector?.matchLabels ?? {}).every(
    ([name, value]) => subject.labels[name] === value,
  );
}
