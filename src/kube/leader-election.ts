/**
 * Who of several writes: a Lease that one holds and renews, as Kubernetes' own components do it. A lease is taken over when nobody
 * renewed it for its duration, as seen by our own monotonic clock (clocks of others do not count). A holder that cannot
 * renew gives up before others may take over. What is written must still be safe when two believe to lead for a moment.
 * Source: client-go tools/leaderelection; times are Istio's (pilot/pkg/leaderelection).
 */
import type { Clock } from '#base/clock.ts';
import { toDisposable } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import { isKubeObject, type KubeObject, resourcePath } from './api-resource.ts';
import type { KubeClient } from './kube-client.ts';
import { hasStatus } from './kube-error.ts';

/** Whether this process leads, now and from now on. */
export interface Leadership {
  readonly isLeader: boolean;
  /** Calls back after `isLeader` changed. */
  watch(changed: () => void): Disposable;
}

/** Where nobody else could write. */
export const ALWAYS_LEADER: Leadership = Object.freeze({
  isLeader: true,
  watch: () => toDisposable(() => {}),
});

export interface LeaderElectionOptions {
  readonly client: Pick<KubeClient, 'getJson' | 'postJson' | 'putJson'>;
  readonly namespace: string;
  /** Name of the Lease. */
  readonly name: string;
  /** Who we are: unique among those who take part. */
  readonly holder: string;
  readonly clock: Clock;
  readonly log: Logger;
}

const LEASE_SECONDS = 30;
const LEASE_MS = LEASE_SECONDS * 1000;
const RETRY_MS = LEASE_MS / 4;
/** Reading and writing the lease together. */
const CALL_LIMIT_MS = 5_000;
/** At the end of the program. */
const RELEASE_LIMIT_MS = 2_000;
/** A holder that has not renewed for this long stops to lead. */
const RENEW_LIMIT_MS = LEASE_MS / 2;

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly leaseTransitions?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
}

/** Constructed, `start`ed, disposed of: the lease is then let go at once. */
export class LeaderElection implements Leadership, AsyncDisposable {
  readonly #options: LeaderElectionOptions;
  readonly #path: string;
  readonly #watchers = new Set<() => void>();
  /** What others have last written, and when we saw it first. */
  #seen: { readonly version: string; readonly atMs: number } | undefined;
  #renewedAtMs = 0;
  #isLeader = false;
  #timer: Disposable = toDisposable(() => {});
  #isDisposed = false;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    const { namespace } = options;
    const leases = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', namespace };
    this.#path = resourcePath(leases);
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  start(): void {
    void this.#run();
  }

  watch(changed: () => void): Disposable {
    this.#watchers.add(changed);
    return toDisposable(() => this.#watchers.delete(changed));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    this.#timer[Symbol.dispose]();
    this.#watchers.clear();
    if (!this.#isLeader) return;
    this.#isLeader = false;
    // The next one need not wait for the lease to run out.
    await this.#release(AbortSignal.timeout(RELEASE_LIMIT_MS)).catch(() => {});
  }

  async #run(): Promise<void> {
    const { clock, log, name } = this.#options;
    const limit = new AbortController();
    const timer = clock.schedule(CALL_LIMIT_MS, () => limit.abort(new Error('no answer in time')));
    try {
      this.#lead(await this.#try(limit.signal));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.debug('the lease cannot be read or written', { lease: name, reason });
      if (this.#isLeader && clock.monotonicMs() - this.#renewedAtMs >= RENEW_LIMIT_MS) this.#lead(false);
    } finally {
      timer[Symbol.dispose]();
    }
    if (!this.#isDisposed) this.#timer = clock.schedule(RETRY_MS, () => void this.#run());
  }

  /** Takes or renews the lease if it may be; says whether we hold it. */
  async #try(signal: AbortSignal): Promise<boolean> {
    const { client, holder, clock, namespace, name } = this.#options;
    const startMs = clock.monotonicMs();
    const lease = await this.#read(signal);
    try {
      if (lease === undefined) {
        const value = { ...KIND, metadata: { namespace, name }, spec: this.#hold({}) };
        await client.postJson({ path: this.#path, value, signal });
      } else {
        const spec = (lease['spec'] ?? {}) as LeaseSpec;
        if (spec.holderIdentity !== holder && !this.#isFree(lease, spec)) return false;
        const value = { ...lease, ...KIND, spec: this.#hold(spec) };
        await client.putJson({ path: `${this.#path}/${name}`, value, signal });
      }
    } catch (error) {
      // Somebody else was faster.
      if (hasStatus(error, 409)) return false;
      throw error;
    }
    this.#renewedAtMs = startMs;
    return true;
  }

  async #read(signal: AbortSignal): Promise<KubeObject | undefined> {
    const path = `${this.#path}/${this.#options.name}`;
    try {
      const lease = await this.#options.client.getJson({ path, signal });
      return isKubeObject(lease) ? lease : undefined;
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      throw error;
    }
  }

  /** True when the holder let go, or has not renewed since we first saw what is there. */
  #isFree({ metadata }: KubeObject, spec: LeaseSpec): boolean {
    if ((spec.holderIdentity ?? '') === '') return true;
    const nowMs = this.#options.clock.monotonicMs();
    const version = metadata.resourceVersion ?? '';
    if (this.#seen?.version !== version) this.#seen = { version, atMs: nowMs };
    return nowMs - this.#seen.atMs >= (spec.leaseDurationSeconds ?? LEASE_SECONDS) * 1000;
  }

  #hold(old: LeaseSpec): LeaseSpec {
    const { holder, clock } = this.#options;
    const now = microTime(clock.nowMs());
    const isOurs = old.holderIdentity === holder;
    return {
      holderIdentity: holder,
      leaseDurationSeconds: LEASE_SECONDS,
      acquireTime: isOurs ? (old.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (old.leaseTransitions ?? 0) + (isOurs || old.holderIdentity === undefined ? 0 : 1),
    };
  }

  async #release(signal: AbortSignal): Promise<void> {
    const lease = await this.#read(signal);
    const { holder, client, name } = this.#options;
    const spec = (lease?.['spec'] ?? {}) as LeaseSpec;
    if (spec.holderIdentity !== holder) return;
    const value = { ...lease, ...KIND, spec: { ...spec, holderIdentity: '', leaseDurationSeconds: 1 } };
    await client.putJson({ path: `${this.#path}/${name}`, value, signal });
  }

  #lead(isLeader: boolean): void {
    if (isLeader === this.#isLeader || this.#isDisposed) return;
    this.#isLeader = isLeader;
    const { log, name, holder } = this.#options;
    log.info(isLeader ? 'this control plane writes from now on' : 'another control plane writes', {
      lease: name,
      holder,
    });
    for (const changed of this.#watchers) changed();
  }
}

const KIND = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };

/** Kubernetes' MicroTime takes six digits and no fewer. */
function microTime(unixMs: number): string {
  return new Date(unixMs).toISOString().replace('Z', '000Z');
}
