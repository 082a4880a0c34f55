/**
 * Which workloads a policy is for: those that its selector names, or the gateways that it has as targets. The same for all kinds
 * that restrict requests.
 * Source: istio pilot/pkg/model/policyattachment.go ShouldAttachPolicy.
 */
import type { MeshObject } from '#api/mesh-object.ts';

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

/** True when the policy is for the workload. A policy with targets is for those alone: gateways here, services at a waypoint. */
export function selectsWorkload(
  policy: Pick<MeshObject<PolicyTargetSpec>, 'namespace' | 'spec'>,
  subject: PolicySubject,
): boolean {
  const { selector, targetRef, targetRefs } = policy.spec;
  const targets = targetRef === undefined ? (targetRefs ?? []) : [targetRef];
  if (targets.length > 0) {
    const gateway = subject.labels[GATEWAY_LABEL];
    return (
      policy.namespace === subject.namespace &&
      gateway !== undefined &&
      targets.some((target) => target.kind === 'Gateway' && target.name === gateway)
    );
  }
  return Object.entries(selector?.matchLabels ?? {}).every(([name, value]) => subject.labels[name] === value);
}
