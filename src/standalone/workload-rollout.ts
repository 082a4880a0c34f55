/**
 * Brings the replicas of one workload to what its object says. A change replaces them one by one: the new one is ready before an
 * old one goes, so that callers notice nothing; a gateway, whose listeners hold fixed ports, goes before its successor
 * comes. Every decision starts from what is there now: nothing depends on the order of events.
 */
import type { LocalWorkloadSpec } from '#api/local-workload.ts';
import type { MeshProxyConfig } from '#api/mesh-config.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { canonicalJson } from '#base/canonical-json.ts';
import type { Replica } from './replica.ts';

/** An object, the folder that its program runs in, and what its proxies are started with. */
export interface DesiredWorkload {
  readonly object: MeshObject<LocalWorkloadSpec>;
  readonly workingDir: string;
  readonly proxyConfig: MeshProxyConfig;
  readonly mergesMetrics: boolean;
}

/** What a rollout does to the world. */
export interface RolloutEffects {
  /** Makes a replica and starts it; it calls `onChange` when something changed with it. */
  start(desired: DesiredWorkload, replica: number, onChange: () => void): Replica;
  /** Takes it out of the mesh, stops it, gives its addresses back. Never rejects. */
  retire(replica: Replica): Promise<void>;
}

interface Running {
  readonly replica: Replica;
  readonly fingerprint: string;
}

export class WorkloadRollout {
  readonly #effects: RolloutEffects;
  #desired: DesiredWorkload | undefined;
  #fingerprint = '';
  #running: readonly Running[] = [];

  constructor(effects: RolloutEffects) {
    this.#effects = effects;
  }

  /** The replicas that are there, stopping ones too, by number. */
  get replicas(): readonly Replica[] {
    return this.#running.map(({ replica }) => replica).sort((a, b) => a.plan.replica - b.plan.replica);
  }

  /** Sets what is wanted; undefined: nothing. */
  update(desired: DesiredWorkload | undefined): void {
    this.#desired = desired;
    this.#fingerprint = desired === undefined ? '' : fingerprintOf(desired);
    this.reconcile();
  }

  /** Does the next steps; called again after every change of a replica. */
  reconcile(): void {
    const living = this.#running.filter(({ replica }) => !replica.isStopping);
    const fresh = living.filter(({ fingerprint }) => fingerprint === this.#fingerprint);
    const old = living.filter(({ fingerprint }) => fingerprint !== this.#fingerprint);
    const wanted = this.#desired?.object.spec.replicas ?? 0;
    const needed = Math.max(0, wanted - fresh.filter(({ replica }) => replica.ready).length);
    for (const { replica } of surplus(fresh, wanted)) this.#retire(replica);
    for (const { replica } of this.#dispensable(old, needed)) this.#retire(replica);
    this.#startMissing(wanted, fresh.length, old.length);
  }

  /** Old replicas that may go: all but as many ready ones as the new ones still leave to do. */
  #dispensable(old: readonly Running[], needed: number): readonly Running[] {
    if (this.#desired?.object.spec.type === 'gateway') return old;
    const ready = old.filter(({ replica }) => replica.ready);
    return [...old.filter(({ replica }) => !replica.ready), ...ready.slice(needed)];
  }

  #startMissing(wanted: number, fresh: number, old: number): void {
    if (this.#desired === undefined) return;
    const isGateway = this.#desired.object.spec.type === 'gateway';
    // A gateway's successor waits for the fixed ports; while old ones still work, new ones come one by one.
    if (isGateway && this.#running.length > fresh) return;
    const starting = this.#running.filter(
      ({ replica, fingerprint }) => fingerprint === this.#fingerprint && !replica.ready,
    );
    const count = old === 0 ? wanted - fresh : Math.min(wanted - fresh, 1 - Math.min(1, starting.length));
    for (let i = 0; i < count; i++) this.#startOne(this.#desired);
  }

  #startOne(desired: DesiredWorkload): void {
    const taken = new Set(this.#running.map(({ replica }) => replica.plan.replica));
    let number = 0;
    while (taken.has(number)) number++;
    const replica = this.#effects.start(desired, number, () => this.reconcile());
    this.#running = [...this.#running, { replica, fingerprint: this.#fingerprint }];
  }

  #retire(replica: Replica): void {
    void this.#effects.retire(replica).then(() => {
      this.#running = this.#running.filter((one) => one.replica !== replica);
      this.reconcile();
    });
  }

  /** Stops every replica; resolves when all are gone. */
  async stop(): Promise<void> {
    this.#desired = undefined;
    this.#fingerprint = '';
    await Promise.all(this.#running.map(({ replica }) => this.#effects.retire(replica)));
    this.#running = [];
  }
}

/** The last ones beyond what is wanted, those not ready first. */
function surplus(fresh: readonly Running[], wanted: number): readonly Running[] {
  const byWorth = [...fresh].sort(
    (a, b) =>
      Number(b.replica.ready) - Number(a.replica.ready) || a.replica.plan.replica - b.replica.plan.replica,
  );
  return byWorth.slice(wanted);
}

/** What a replica is made from: a change of anything but the count needs new ones. */
function fingerprintOf({ object, ...rest }: DesiredWorkload): string {
  return canonicalJson({ ...object.spec, replicas: 0, ...rest });
}
