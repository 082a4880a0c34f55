/** Tokens of Kubernetes' service accounts as the CA and xDS take them: reviewed by the API server, with facts from the caller's own pod. */
import type { Clock } from '#base/clock.ts';
import { ReviewedTokens } from '#ca/reviewed-tokens.ts';
import { pickFacts, type WorkloadFacts } from '#ca/workload-facts.ts';
import type { KubeClient } from '#kube/kube-client.ts';
import { reviewToken } from '#kube/token-review.ts';
import { canonicalRevisionOf, canonicalServiceOf } from '#model/canonical-name.ts';
import type { Mesh } from './mesh.ts';

export function openKubeTokens(
  mesh: Mesh,
  client: Pick<KubeClient, 'postJson'>,
  audiences: readonly string[],
  clock: Clock,
): ReviewedTokens {
  return new ReviewedTokens({
    audiences,
    review: (token) => reviewToken(client, token, audiences),
    factsOf: (namespace, serviceAccount, { name }) => podFacts(mesh, namespace, serviceAccount, name),
    clock,
  });
}

/** What the pod says of itself, if it is known and runs under the service account. */
function podFacts(mesh: Mesh, namespace: string, serviceAccount: string, name: string): WorkloadFacts {
  const workload = mesh.graph.serviceModel.workloads.get(`${namespace}/${name}`);
  if (workload === undefined || workload.serviceAccount !== serviceAccount) return {};
  const { labels, workloadName, clusterId } = workload;
  const facts = {
    workload: workloadName,
    canonicalService: canonicalServiceOf(labels, workloadName),
    canonicalRevision: canonicalRevisionOf(labels),
    cluster: clusterId,
  };
  return pickFacts((fact) => facts[fact]);
}
