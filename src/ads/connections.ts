/**
 * Who is connected and how far each one is: what /debug/syncz, `proxy-status` and `apply --wait` read. Holds a small
 * record per stream; knows nothing of the protocol.
 */
import type { Clock } from '#base/clock.ts';
import { toDisposable } from '#base/disposable.ts';
import type { ProxyNode } from './node-to-proxy.ts';
import type { ResourceType } from './resource-type.ts';
import type { InFlight } from './subscription.ts';

/** A response that a proxy refused. */
export interface NackRecord {
  readonly proxyId: string;
  readonly typeUrl: string;
  readonly nonce: string;
  readonly code: number;
  readonly message: string;
  readonly atMs: number;
  /** Names that were in the response. */
  readonly resources: readonly string[];
}

/** How far one type of one stream is. Nonces and versions are '' before the first. */
export interface TypeStatus {
  readonly typeUrl: string;
  readonly type: string;
  readonly sentNonce: string;
  readonly sentVersion: string;
  readonly sentAtMs: number;
  readonly ackedNonce: string;
  readonly ackedVersion: string;
  readonly ackedAtMs: number;
  /** Version of the last resource that it took, for types that have one resource; '' before the first. */
  readonly ackedContent: string;
  /** True when the last response had nothing in it. */
  readonly isEmpty: boolean;
  readonly lastNack: NackRecord | undefined;
}

/** One stream of one proxy. */
export interface Connection {
  /** As in Istio: `name.namespace-number`. */
  readonly id: string;
  readonly node: ProxyNode;
  readonly address: string;
  readonly identity: string | undefined;
  readonly isDelta: boolean;
  readonly connectedAtMs: number;
  readonly types: ReadonlyMap<string, TypeStatus>;
  /** Last epoch in which this proxy's snapshot changed. */
  readonly changedEpoch: number;
  /** Last epoch of which the proxy has answered everything; -1 before the first. */
  readonly settledEpoch: number;
}

/** The record of a stream as its session writes it. */
export class ConnectionRecord implements Connection {
  readonly id: string;
  readonly node: ProxyNode;
  readonly address: string;
  readonly identity: string | undefined;
  readonly isDelta: boolean;
  readonly connectedAtMs: number;
  readonly types: Map<string, TypeStatus> = new Map();
  changedEpoch = 0;
  settledEpoch = -1;

  constructor(facts: Omit<Connection, 'types' | 'changedEpoch' | 'settledEpoch'>) {
    this.id = facts.id;
    this.node = facts.node;
    this.address = facts.address;
    this.identity = facts.identity;
    this.isDelta = facts.isDelta;
    this.connectedAtMs = facts.connectedAtMs;
  }

  sent(type: ResourceType, { nonce, version, sentAtMs, adds }: InFlight): void {
    this.#update(type, {
      sentNonce: nonce,
      sentVersion: version,
      sentAtMs,
      isEmpty: adds.length === 0,
    });
  }

  acked(type: ResourceType, { nonce, version, adds }: InFlight, atMs: number): void {
    const ackedContent = adds.at(-1)?.[1].resource.version ?? '';
    this.#update(type, { ackedNonce: nonce, ackedVersion: version, ackedAtMs: atMs, ackedContent });
  }

  nacked(type: ResourceType, lastNack: NackRecord): void {
    this.#update(type, { lastNack });
  }

  #update(type: ResourceType, change: Partial<TypeStatus>): void {
    const known = this.types.get(type.url) ?? {
      typeUrl: type.url,
      type: type.name,
      sentNonce: '',
      sentVersion: '',
      sentAtMs: 0,
      ackedNonce: '',
      ackedVersion: '',
      ackedAtMs: 0,
      ackedContent: '',
      isEmpty: true,
      lastNack: undefined,
    };
    this.types.set(type.url, { ...known, ...change });
  }
}

/** How waiting for an epoch ended. */
export interface SyncReport {
  readonly isSynced: boolean;
  /** Proxies that had not answered everything when the time was over. */
  readonly waitingFor: readonly string[];
  /** Responses refused by proxies that are connected now, of the epochs waited for. */
  readonly nacks: readonly NackRecord[];
}

interface Waiter {
  readonly epoch: number;
  readonly finish: () => void;
}

/** All streams that are open. */
export class Connections {
  readonly #clock: Clock;
  readonly #byProxy: Map<string, Set<ConnectionRecord>> = new Map();
  readonly #waiters: Set<Waiter> = new Set();
  readonly #watchers: Set<(proxyId: string) => void> = new Set();
  #size = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#size;
  }

  *[Symbol.iterator](): Iterator<Connection> {
    for (const records of this.#byProxy.values()) yield* records;
  }

  ofProxy(proxyId: string): readonly Connection[] {
    return [...(this.#byProxy.get(proxyId) ?? [])];
  }

  /** True when the proxy is connected and has answered everything of its last change. */
  synced(proxyId: string): boolean {
    const records = this.ofProxy(proxyId);
    return records.length > 0 && records.every((record) => isSettled(record, Number.POSITIVE_INFINITY));
  }

  /** Calls back after a proxy came, went, or answered a trust bundle. */
  watch(changed: (proxyId: string) => void): Disposable {
    this.#watchers.add(changed);
    return toDisposable(() => this.#watchers.delete(changed));
  }

  /** Tells those who watch. */
  touch(proxyId: string): void {
    for (const changed of this.#watchers) changed(proxyId);
  }

  add(record: ConnectionRecord): void {
    const proxyId = record.node.proxy.id;
    const records = this.#byProxy.get(proxyId) ?? new Set();
    records.add(record);
    this.#byProxy.set(proxyId, records);
    this.#size++;
    this.touch(proxyId);
  }

  remove(record: ConnectionRecord): void {
    const proxyId = record.node.proxy.id;
    const records = this.#byProxy.get(proxyId);
    if (!records?.delete(record)) return;
    this.#size--;
    if (records.size === 0) this.#byProxy.delete(proxyId);
    this.#checkWaiters();
    this.touch(proxyId);
  }

  /** The proxy's snapshot changed in this epoch. */
  changed(proxyId: string, epoch: number): void {
    for (const record of this.#byProxy.get(proxyId) ?? []) record.changedEpoch = epoch;
  }

  /** The proxy has answered everything up to this epoch. */
  settled(record: ConnectionRecord, epoch: number): void {
    if (epoch <= record.settledEpoch) return;
    record.settledEpoch = epoch;
    this.#checkWaiters();
  }

  /**
   * Waits until every connected proxy has answered, by ACK or NACK, all that changed for it up to an epoch.
   * Proxies that leave are not waited for.
   */
  waitForAck(epoch: number, timeoutMs: number): Promise<SyncReport> {
    return new Promise((resolve) => {
      const startedAtMs = this.#clock.nowMs();
      const waiter: Waiter = {
        epoch,
        finish: () => {
          this.#waiters.delete(waiter);
          timer[Symbol.dispose]();
          resolve(this.#report(epoch, startedAtMs));
        },
      };
      const timer = this.#clock.schedule(timeoutMs, waiter.finish);
      this.#waiters.add(waiter);
      this.#checkWaiters();
    });
  }

  #report(epoch: number, sinceMs: number): SyncReport {
    const waitingFor = this.#waitingFor(epoch);
    const nacks = [...this].flatMap((connection) =>
      [...connection.types.values()].flatMap(({ lastNack }) =>
        lastNack !== undefined && lastNack.atMs >= sinceMs ? [lastNack] : [],
      ),
    );
    return { isSynced: waitingFor.length === 0, waitingFor, nacks };
  }

  #waitingFor(epoch: number): string[] {
    const late: string[] = [];
    for (const [proxyId, records] of this.#byProxy) {
      for (const record of records) if (!isSettled(record, epoch)) late.push(proxyId);
    }
    return late;
  }

  #checkWaiters(): void {
    for (const waiter of this.#waiters) if (this.#waitingFor(waiter.epoch).length === 0) waiter.finish();
  }
}

/** What changed after the epoch need not be answered for it. */
function isSettled(connection: Connection, epoch: number): boolean {
  return connection.settledEpoch >= Math.min(epoch, connection.changedEpoch);
}
