/** Has the addresses of a cluster's ServiceEntries recorded in their statuses, once the cluster has been read. */
import type { Clock } from '#base/clock.ts';
import type { AsyncScope } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import { systemRng } from '#base/rng.ts';
import { AddressRecords } from '#controllers/address-records.ts';
import type { KubeClient } from '#kube/kube-client.ts';
import type { Leadership } from '#kube/leader-election.ts';
import { createAddressRecords } from '#model/address-record.ts';
import type { KubeFeed } from './kube-feed.ts';
import type { Mesh } from './mesh.ts';

export interface AddressRecordParts {
  readonly mesh: Mesh;
  readonly client: KubeClient;
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Begins in the background; ends with the scope. */
export async function recordAddresses(
  { mesh, client, leadership, clock, log }: AddressRecordParts,
  cluster: KubeFeed,
  scope: AsyncScope,
): Promise<void> {
  await cluster.source.synced;
  await mesh.driver.settled();
  if (scope.isDisposed) return;
  const entries = mesh.objects.of('ServiceEntry');
  const records = createAddressRecords(mesh.engine, entries, mesh.graph.serviceModel.allocatedAddresses);
  await mesh.driver.settled();
  scope.add(
    new AddressRecords({
      client,
      leadership,
      engine: mesh.engine,
      records,
      version: (key) => entries.get(key)?.apiVersion.split('/')[1] ?? 'v1',
      clock,
      rng: systemRng(),
      log,
    }),
  );
}
