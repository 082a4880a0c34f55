/**
 * All that the xDS server knows of the world: which proxies are there (it tells) and what each should hold (it is
 * told). main/ implements it over the engine; tests implement it over plain maps.
 */
import { toDisposable } from '#base/disposable.ts';
import type { Proxy } from '#model/proxy.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';

/** The hand-over between the engine and the xDS server. */
export interface SnapshotSource {
  /**
   * Adds the proxy to the source collection `proxies` until disposed of. The same id may connect again before its old
   * stream is found dead: the newest record counts, and the proxy leaves with its last connection (see ProxyLeases).
   */
  connect(proxy: Proxy): Disposable;
  /** What the proxy should hold as of the last finished epoch; undefined while that is not known yet. */
  snapshot(proxyId: string): ProxySnapshot | undefined;
  /** Calls back after each finished epoch with the proxies whose snapshot changed (or appeared) in it. */
  onEpoch(callback: (changedProxyIds: readonly string[]) => void): Disposable;
}

/** Counts connections per proxy id over a plain set/delete target, as SnapshotSource.connect demands. */
export class ProxyLeases {
  readonly #target: { set(id: string, proxy: Proxy): void; delete(id: string): void };
  readonly #held: Map<string, Proxy[]> = new Map();

  constructor(target: { set(id: string, proxy: Proxy): void; delete(id: string): void }) {
    this.#target = target;
  }

  connect(proxy: Proxy): Disposable {
    const held = this.#held.get(proxy.id) ?? [];
    held.push(proxy);
    this.#held.set(proxy.id, held);
    this.#target.set(proxy.id, proxy);
    return toDisposable(() => this.#release(proxy, held));
  }

  #release(proxy: Proxy, held: Proxy[]): void {
    held.splice(held.lastIndexOf(proxy), 1);
    const newest = held.at(-1);
    if (newest !== undefined) {
      this.#target.set(proxy.id, newest);
      return;
    }
    this.#held.delete(proxy.id);
    this.#target.delete(proxy.id);
  }
}
