/**
 * All that the xDS server knows of the world: which proxies are there (it tells) and what each should hold (it is
 * told). main/ implements it over the engine; tests implement it over plain maps.
 */
import { toDisposable } from '#base/disposable.ts';
import { type Demand, joinDemands, NO_DEMAND } from '#model/demand.ts';
import type { Proxy } from '#model/proxy.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';

/** The hand-over between the engine and the xDS server. */
export interface SnapshotSource {
  /**
   * Adds the proxy to the source collection `proxies` until disposed of. The same id may connect again before its old
   * stream is found dead: the newest record counts, and the proxy leaves with its last connection (see ProxyLeases).
   */
  connect(proxy: Proxy): ProxyLease;
  /** What the proxy should hold as of the last finished epoch; undefined while that is not known yet. */
  snapshot(proxyId: string): ProxySnapshot | undefined;
  /** What the snapshot of the last finished epoch was made for, of that which is made on demand. */
  demand(proxyId: string): Demand;
  /** Calls back after each finished epoch with the proxies whose snapshot changed (or appeared) or whose demand was met in it. */
  onEpoch(callback: (changedProxyIds: readonly string[]) => void): Disposable;
}

/** One connection of a proxy. */
export interface ProxyLease extends Disposable {
  /** What this connection asks for now, of that which is made on demand. */
  ask(demand: Demand): void;
}

/** Where connected proxies and their wishes are kept. */
export interface LeaseTarget {
  set(id: string, proxy: Proxy): void;
  delete(id: string): void;
  /** All connections of the proxy together. */
  ask(id: string, demand: Demand): void;
}

interface Held {
  readonly proxy: Proxy;
  demand: Demand;
}

/** Counts connections per proxy id over a plain target, as SnapshotSource.connect demands. */
export class ProxyLeases {
  readonly #target: LeaseTarget;
  readonly #held: Map<string, Held[]> = new Map();

  constructor(target: LeaseTarget) {
    this.#target = target;
  }

  connect(proxy: Proxy): ProxyLease {
    const all = this.#held.get(proxy.id) ?? [];
    const own: Held = { proxy, demand: NO_DEMAND };
    all.push(own);
    this.#held.set(proxy.id, all);
    this.#target.set(proxy.id, proxy);
    const release = toDisposable(() => this.#release(own, all));
    return {
      ask: (demand) => {
        own.demand = demand;
        this.#target.ask(proxy.id, joinDemands(all.map((held) => held.demand)));
      },
      [Symbol.dispose]: () => release[Symbol.dispose](),
    };
  }

  #release(own: Held, all: Held[]): void {
    const { id } = own.proxy;
    all.splice(all.indexOf(own), 1);
    const newest = all.at(-1);
    if (own.demand !== NO_DEMAND) this.#target.ask(id, joinDemands(all.map((held) => held.demand)));
    if (newest !== undefined) {
      this.#target.set(id, newest.proxy);
      return;
    }
    this.#held.delete(id);
    this.#target.delete(id);
  }
}
