/** Finds the replicas that a person means: `reviews-v1` (all of them), `reviews-v1-0`, either with a namespace before it. */
import type { Replica } from './replica.ts';

/** What was found, or a problem in words. */
export interface FoundReplicas<R> {
  readonly replicas: readonly R[];
  readonly problem: string;
}

type Named = Pick<Replica, 'plan'>;

/** Looks in one namespace, or in all when none is named; then the name must be clear. */
export function findReplicas<R extends Named>(
  all: readonly R[],
  name: string,
  namespace: string | undefined,
): FoundReplicas<R> {
  const inNamespace = all.filter(
    ({ plan }) => namespace === undefined || plan.object.namespace === namespace,
  );
  const ofWorkload = inNamespace.filter(({ plan }) => plan.object.name === name);
  const found = ofWorkload.length > 0 ? ofWorkload : inNamespace.filter((one) => replicaName(one) === name);
  const namespaces = [...new Set(found.map(({ plan }) => plan.object.namespace))];
  if (found.length === 0) {
    const known = [...new Set(inNamespace.map(({ plan }) => plan.object.name))].join(', ');
    return { replicas: [], problem: `no workload ${name}${known === '' ? '' : `; there are: ${known}`}` };
  }
  if (namespaces.length > 1) {
    return {
      replicas: [],
      problem: `${name} is in several namespaces (${namespaces.join(', ')}); choose one with -n`,
    };
  }
  return { replicas: found, problem: '' };
}

function replicaName({ plan }: Named): string {
  return `${plan.object.name}-${plan.replica}`;
}
