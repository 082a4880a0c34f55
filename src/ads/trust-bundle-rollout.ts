/**
 * How far the newest trust bundle has come: which of the proxies that are connected here have it in place, by their own word.
 * A proxy that does not ask for bundles, or came over a connection that proves nothing, never says so. One that left a moment ago
 * counts as one that does not have it yet, since it is probably on its way back; so does everybody just after the start.
 * Costs a look at each connection when one of them answers, and only while somebody wants to know.
 */
import type { Clock } from '#base/clock.ts';
import { toDisposable } from '#base/disposable.ts';
import type { Connection, Connections } from './connections.ts';
import { PCDS } from './resource-type.ts';

/** How many connections are how far with a bundle. */
export interface BundleCoverage {
  /** It is in place. */
  readonly acknowledged: number;
  /** On its way, or refused. */
  readonly waiting: number;
  /** They learn of new roots by their next certificate, or by a file. */
  readonly unsubscribed: number;
  /** Proxies that left within the time in which they would come back. */
  readonly absent: number;
}

/** An agent tries again within 10 s, Envoy within 30 s. */
const RETURN_MS = 30_000;

export class TrustBundleRollout implements Disposable {
  readonly #connections: Connections;
  readonly #clock: Clock;
  readonly #returnMs: number;
  readonly #startedAtMs: number;
  /** When each proxy that is away is given up, monotonic milliseconds. */
  readonly #absent: Map<string, number> = new Map();
  readonly #watchers: Set<() => void> = new Set();
  readonly #watch: Disposable;
  #timer: Disposable = toDisposable(() => {});

  constructor(connections: Connections, clock: Clock, returnMs: number = RETURN_MS) {
    this.#connections = connections;
    this.#clock = clock;
    this.#returnMs = returnMs;
    this.#startedAtMs = clock.monotonicMs();
    this.#watch = connections.watch((proxyId) => this.#look(proxyId));
    this.#wakeAt(this.#startedAtMs + returnMs);
  }

  /** Calls back whenever the coverage may have changed. */
  watch(changed: () => void): Disposable {
    this.#watchers.add(changed);
    return toDisposable(() => this.#watchers.delete(changed));
  }

  /** The state of all connections with a version of the bundle. */
  coverage(version: string): BundleCoverage {
    const counts = { acknowledged: 0, waiting: 0, unsubscribed: 0 };
    for (const connection of this.#connections) counts[stateOf(connection, version)]++;
    this.#forget();
    return { ...counts, absent: this.#absent.size };
  }

  /** True when everybody who could miss the bundle has it. Where nobody is connected, nobody has said so. */
  isComplete(version: string): boolean {
    if (this.#clock.monotonicMs() < this.#startedAtMs + this.#returnMs) return false;
    const { acknowledged, waiting, unsubscribed, absent } = this.coverage(version);
    return acknowledged > 0 && waiting + unsubscribed + absent === 0;
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#timer[Symbol.dispose]();
    this.#watchers.clear();
  }

  #look(proxyId: string): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#connections.ofProxy(proxyId).length > 0) this.#absent.delete(proxyId);
    else {
      this.#absent.set(proxyId, nowMs + this.#returnMs);
      this.#wakeAt(nowMs + this.#returnMs);
    }
    this.#tell();
  }

  /** Entries are in the order in which they are given up. */
  #forget(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [proxyId, untilMs] of this.#absent) if (untilMs <= nowMs) this.#absent.delete(proxyId);
  }

  #wakeAt(atMs: number): void {
    this.#timer[Symbol.dispose]();
    this.#timer = this.#clock.schedule(atMs - this.#clock.monotonicMs(), () => this.#tell());
  }

  #tell(): void {
    for (const changed of this.#watchers) changed();
  }
}

function stateOf({ types }: Connection, version: string): 'acknowledged' | 'waiting' | 'unsubscribed' {
  const bundle = types.get(PCDS.url);
  // What a caller without an identity is shown is nothing.
  if (bundle === undefined || bundle.isEmpty) return 'unsubscribed';
  return bundle.ackedContent === version ? 'acknowledged' : 'waiting';
}
