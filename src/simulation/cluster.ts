/** Clusters of a proxy by name. */
import type { Cluster } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import type { Evaluation } from './evaluation.ts';
import { decodeCluster } from './resources.ts';
import type { EndpointChoice } from './simulated-call.ts';

export interface FoundCluster {
  readonly cluster: Cluster;
  readonly entry: ResourceEntry;
}

/** The cluster; a missing one is noted. */
export function findCluster(evaluation: Evaluation, name: string): FoundCluster | undefined {
  const entry = evaluation.snapshot.clusters.get(name);
  if (entry !== undefined) return { cluster: decodeCluster(entry.resource), entry };
  evaluation.note('cluster', name, 'does not exist at this proxy');
  return undefined;
}

/** Notes the cluster, and how many endpoints it has. */
export function noteCluster(
  evaluation: Evaluation,
  { cluster, entry }: FoundCluster,
  choice: EndpointChoice,
): void {
  const result =
    choice.kind === 'known' ? countOf(choice.endpoints.length) : 'endpoints by name, looked up at run time';
  evaluation.note('cluster', cluster.name, result, entry.causes);
}

function countOf(endpoints: number): string {
  if (endpoints === 0) return 'no endpoint that takes calls';
  return endpoints === 1 ? 'one endpoint' : `${endpoints} endpoints`;
}
