/** Which of the control planes of a cluster writes what only one may write, and what each of them is called. */
import { hostname } from 'node:os';
import type { Clock } from '#base/clock.ts';
import type { AsyncScope } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import { ALWAYS_LEADER, LeaderElection, type Leadership } from '#kube/leader-election.ts';
import type { DiscoveryEnvironment } from './discovery-environment.ts';
import type { DiscoveryFlags } from './discovery-flags.ts';
import type { KubeAccess } from './kube-access.ts';
import type { KubeFeed } from './kube-feed.ts';

export interface LeadershipParts {
  readonly flags: DiscoveryFlags;
  readonly environment: DiscoveryEnvironment;
  readonly kube: KubeAccess | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Name of the one Lease behind all that is written; Istio has a lock of its own for each writer. */
const LEASE = 'istio-leader';

/** Unique among the control planes of a cluster. */
export function replicaName({ podName }: DiscoveryEnvironment): string {
  return podName || `${hostname()}-${process.pid}`;
}

/** Stands for election once the cluster has been read. Without a cluster there is nobody else. */
export function openLeadership(
  { flags, environment, kube, clock, log }: LeadershipParts,
  cluster: KubeFeed | undefined,
  scope: AsyncScope,
): Leadership {
  if (kube === undefined || cluster === undefined || !environment.electsLeader) return ALWAYS_LEADER;
  const election = scope.add(
    new LeaderElection({
      client: kube.client,
      namespace: flags.namespace,
      name: LEASE,
      holder: replicaName(environment),
      clock,
      log: log.scope('leader'),
    }),
  );
  void cluster.source.synced.then(() => {
    if (!scope.isDisposed) election.start();
  });
  return election;
}
