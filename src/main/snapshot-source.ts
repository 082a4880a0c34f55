/** The engine's snapshots as the xDS server asks for them: it connects proxies, and is told whose snapshot changed. */
import { ProxyLeases, type SnapshotSource } from '#ads/snapshot-source.ts';
import type { Collection, Engine, SourceCollection } from '#collections/collection.ts';
import type { Proxy } from '#model/proxy.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import type { EngineDriver } from './engine-driver.ts';

export interface EngineSnapshots {
  readonly engine: Engine;
  readonly driver: EngineDriver;
  readonly proxies: SourceCollection<Proxy>;
  readonly snapshots: Collection<ProxySnapshot>;
}

/** Serves snapshots from an engine. */
export function createSnapshotSource({
  engine,
  driver,
  proxies,
  snapshots,
}: EngineSnapshots): SnapshotSource {
  const leases = new ProxyLeases({
    set: (id, proxy) => {
      proxies.set(id, proxy);
      driver.poke();
    },
    delete: (id) => {
      proxies.delete(id);
      driver.poke();
    },
  });
  return {
    connect: (proxy) => leases.connect(proxy),
    snapshot: (id) => snapshots.get(id),
    onEpoch: (callback) =>
      engine.watch(snapshots, (changes) => callback(changes.map((change) => change.key))),
  };
}
