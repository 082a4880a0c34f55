/** Which pods run where, as the CA asks it for node proxies; answers from what is followed of the cluster. */
import type { PodSpec } from '#api/pod.ts';
import { NodeImpersonation } from '#ca/node-impersonation.ts';
import type { Mesh } from './mesh.ts';

export function openNodeAccounts(mesh: Mesh, trustedAccounts: ReadonlySet<string>): NodeImpersonation {
  const pods = mesh.objects.of<PodSpec>('Pod');
  // Pods without an address count: their proxies are set up before they have one.
  const byNode = mesh.engine.index('ca.podsByNode', pods, ({ namespace, spec }) =>
    spec.nodeName === '' || spec.phase === 'Failed' || spec.phase === 'Succeeded'
      ? []
      : [`${spec.nodeName}|${namespace}/${spec.serviceAccountName}`],
  );
  return new NodeImpersonation({
    trustedAccounts,
    podOf(namespace, name) {
      const spec = pods.get(`${namespace}/${name}`)?.spec;
      if (spec === undefined) return undefined;
      return { uid: spec.uid, serviceAccount: spec.serviceAccountName, nodeName: spec.nodeName };
    },
    runsOn: (nodeName, { namespace, serviceAccount }) =>
      byNode.bucket(`${nodeName}|${namespace}/${serviceAccount}`).size > 0,
  });
}
