/** The engine's snapshots as the xDS server asks for them: it connects proxies, and is told whose snapshot changed. */
import { ProxyLeases, type SnapshotSource } from '#ads/snapshot-source.ts';
import { Scope } from '#base/disposable.ts';
import type { Collection, Engine, SourceCollection } from '#collections/collection.ts';
import { type Demand, isIdle, NO_DEMAND } from '#model/demand.ts';
import type { Proxy } from '#model/proxy.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import type { EngineDriver } from './engine-driver.ts';

export interface EngineSnapshots {
  readonly engine: Engine;
  readonly driver: EngineDriver;
  readonly proxies: SourceCollection<Proxy>;
  readonly snapshots: Collection<ProxySnapshot>;
  readonly demands: SourceCollection<Demand>;
}

/** Serves snapshots from an engine. */
export function createSnapshotSource({
  engine,
  driver,
  proxies,
  snapshots,
  demands,
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
    ask: (id, demand) => {
      if (isIdle(demand)) demands.delete(id);
      else demands.set(id, demand);
      driver.poke();
    },
  });
  return {
    connect: (proxy) => leases.connect(proxy),
    snapshot: (id) => snapshots.get(id),
    demand: (id) => demands.get(id) ?? NO_DEMAND,
    onEpoch(callback) {
      const watches = new Scope();
      for (const collection of [snapshots, demands]) {
        watches.add(engine.watch<unknown>(collection, (changes) => callback(changes.map(({ key }) => key))));
      }
      return watches;
    },
  };
}
