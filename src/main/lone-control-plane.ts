/**
 * Whether every proxy of a cluster is connected to this control plane: when its pod is the only one of a control plane in the system
 * namespace, of whatever revision. One that is starting or ending counts: it may have proxies of its own.
 * Source: istio's charts label all of them app=istiod.
 */
import type { PodSpec } from '#api/pod.ts';
import type { Mesh } from './mesh.ts';

const CONTROL_PLANE = 'istiod';

/** Asked rarely: looks at all pods. False where this control plane is no pod of the cluster. */
export function isLoneControlPlane(mesh: Mesh, namespace: string, podName: string): boolean {
  const names: string[] = [];
  for (const pod of mesh.objects.of<PodSpec>('Pod').all().values()) {
    const hasEnded = pod.spec.phase === 'Failed' || pod.spec.phase === 'Succeeded';
    if (pod.namespace === namespace && pod.labels['app'] === CONTROL_PLANE && !hasEnded) names.push(pod.name);
  }
  return names.length === 1 && names[0] === podName;
}
