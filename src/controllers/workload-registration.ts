/**
 * Registers the workloads behind proxies outside of a cluster. Every replica does so for the proxies that are connected to it; the
 * newest connection counts, so a proxy that goes to another replica takes its entry along. Works by state, not by event: for each
 * entry it is known who is connected and how healthy they are, and a change of that has the entry put right, whatever it says now.
 * Costs two calls of the store per connection and per change of health. Source: istio pilot/pkg/autoregistration.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { WorkloadEntrySpec } from '#api/workload-entry.ts';
import type { WorkloadGroupSpec } from '#api/workload-group.ts';
import type { Clock } from '#base/clock.ts';
import { Scope } from '#base/disposable.ts';
import {
  GRPC_PERMISSION_DENIED,
  GRPC_RESOURCE_EXHAUSTED,
  type GrpcStatus,
  grpcStatus,
} from '#base/grpc-frame.ts';
import type { Logger } from '#base/logger.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { Rng } from '#base/rng.ts';
import type { Collection, Engine } from '#collections/collection.ts';
import type { Proxy } from '#model/proxy.ts';
import {
  claimedEntry,
  cleanup,
  entryFromGroup,
  HEALTHY_CONDITION,
  lacksConnection,
  lacksDisconnection,
  readPresence,
  registrationGroup,
  withConnected,
  withDisconnected,
} from '#model/workload-registration.ts';
import { CallerRate } from './caller-rate.ts';
import type { EntryStore, HealthCondition, StoredEntry } from './entry-store.ts';
import { type AdmissionRules, type AdmittedEntry, RegistrationAdmission } from './registration-admission.ts';
import { WorkQueue } from './work-queue.ts';

/** Source: PILOT_WORKLOAD_ENTRY_GRACE_PERIOD. */
export interface RegistrationSettings extends AdmissionRules {
  /** How long an entry outlives the last connection of its proxy. */
  readonly graceMs: number;
}

/** Istio's defaults. */
export const DEFAULT_REGISTRATION: RegistrationSettings = {
  autoRegisters: true,
  checksHealth: true,
  validatesIdentity: true,
  graceMs: 10_000,
};

export interface WorkloadRegistrationOptions {
  readonly engine: Engine;
  readonly groups: Collection<MeshObject<WorkloadGroupSpec>>;
  readonly entries: Collection<MeshObject<WorkloadEntrySpec>>;
  readonly store: EntryStore;
  readonly settings: RegistrationSettings;
  /** Name of this control plane, unique among its replicas. */
  readonly controller: string;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
}

/** A proxy that has connected. */
export interface ConnectedProxy {
  readonly proxy: Proxy;
  /** Address and port that it calls from. */
  readonly remoteAddress: string;
  readonly connectedAtMs: number;
  /** Ends the connection. */
  end(status: GrpcStatus): void;
}

/** What a proxy says of its application. */
export interface HealthReport {
  readonly isHealthy: boolean;
  /** Why not. */
  readonly message: string;
}

/** One registered connection, until disposed of. */
export interface ConnectedEntry extends Disposable {
  report(health: HealthReport): void;
}

/** How often things happened since start. Source: istio's auto_registration_*_total. */
export interface RegistrationCounters {
  success: number;
  updates: number;
  unregister: number;
  deletes: number;
  errors: number;
}

/** An entry whose proxy is connected here, or was until just now. */
interface Held extends AdmittedEntry {
  readonly open: Set<ConnectedProxy>;
  /** The newest connection that there was. */
  newest: ConnectedProxy;
  /** When the last connection ended; undefined while there is one. */
  goneAtMs: number | undefined;
  /** What has been said last. */
  health: { readonly report: HealthReport; readonly atMs: number } | undefined;
}

const PER_SECOND = 100;
const BURST = 500;
const ATTEMPTS = 5;
/** All entries are looked at after so many grace periods. Source: periodicWorkloadEntryCleanup. */
const SWEEP_GRACES = 10;
const MAX_MESSAGE_CHARACTERS = 1_024;
/** How long the end waits for what is still to be written. */
const CLOSE_LIMIT_MS = 2_000;

/** Works from its construction until disposed of. */
export class WorkloadRegistration implements AsyncDisposable {
  readonly counters: RegistrationCounters = { success: 0, updates: 0, unregister: 0, deletes: 0, errors: 0 };
  readonly #options: WorkloadRegistrationOptions;
  readonly #admission: RegistrationAdmission;
  readonly #rate: CallerRate;
  readonly #queue: WorkQueue;
  readonly #held = new Map<string, Held>();
  readonly #timers = new Set<Disposable>();
  readonly #scope = new Scope();

  constructor(options: WorkloadRegistrationOptions) {
    this.#options = options;
    const { clock, rng, engine, groups, entries, settings } = options;
    this.#admission = new RegistrationAdmission({ rules: settings, groups, entries });
    this.#rate = new CallerRate({ clock, perSecond: PER_SECOND, burst: BURST });
    const failed = (key: string, error: unknown): void => this.#failed(key, error);
    this.#queue = this.#scope.add(new WorkQueue({ work: (key) => this.#work(key), failed, clock, rng }));
    this.#scope.add(
      engine.watch(groups, (changes) => {
        const made = changes.filter(({ old, now }) => old === undefined && now !== undefined);
        if (made.length > 0) this.#groupsMade(new Set(made.map(({ key }) => key)));
      }),
    );
    this.#after(settings.graceMs * SWEEP_GRACES, () => this.#sweep());
  }

  /** Undefined for a proxy that has no entry. Errors: the status with which the proxy is sent away. */
  register(connected: ConnectedProxy): Result<ConnectedEntry | undefined, GrpcStatus> {
    const { proxy, remoteAddress } = connected;
    if (registrationGroup(proxy) === '' && claimedEntry(proxy) === '') return ok(undefined);
    const caller = proxy.identity ?? remoteAddress.replace(/:\d+$/, '');
    if (!this.#rate.take(caller)) {
      return fail(grpcStatus(GRPC_RESOURCE_EXHAUSTED, 'too many registrations at once, try again later'));
    }
    const admitted = this.#admission.admit(proxy);
    if (admitted.ok) return ok(admitted.value && this.#hold(admitted.value, connected));
    this.counters.errors += 1;
    return admitted;
  }

  /** Writes what is still to be written, for a short while. */
  async [Symbol.asyncDispose](): Promise<void> {
    const limit = Promise.withResolvers<void>();
    const timer = this.#options.clock.schedule(CLOSE_LIMIT_MS, limit.resolve);
    await Promise.race([this.#queue.idle(), limit.promise]);
    timer[Symbol.dispose]();
    this.#scope[Symbol.dispose]();
    for (const one of this.#timers) one[Symbol.dispose]();
  }

  #hold(entry: AdmittedEntry, connected: ConnectedProxy): ConnectedEntry {
    const { key } = entry;
    const known = this.#held.get(key);
    const held: Held = known ?? {
      ...entry,
      open: new Set(),
      newest: connected,
      goneAtMs: undefined,
      health: undefined,
    };
    if (connected.connectedAtMs >= held.newest.connectedAtMs) held.newest = connected;
    held.open.add(connected);
    held.goneAtMs = undefined;
    this.#held.set(key, held);
    this.#queue.add(key);
    return {
      report: (report) => {
        if (!this.#options.settings.checksHealth) return;
        const message = report.message.slice(0, MAX_MESSAGE_CHARACTERS);
        held.health = { report: { ...report, message }, atMs: this.#options.clock.nowMs() };
        this.#queue.add(key);
      },
      [Symbol.dispose]: () => {
        if (!held.open.delete(connected) || held.open.size > 0) return;
        held.goneAtMs = this.#options.clock.nowMs();
        this.#queue.add(key);
      },
    };
  }

  /** Kubernetes removes entries with their group; those of proxies that stayed are made again with the next group of that name. */
  #groupsMade(groups: ReadonlySet<string>): void {
    for (const { key, group, newest } of this.#held.values()) {
      if (groups.has(`${newest.proxy.namespace}/${group}`)) this.#queue.add(key);
    }
  }

  async #work(key: string): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const held = this.#held.get(key);
      const isDone = held === undefined ? await this.#cleanUp(key) : await this.#putRight(held);
      if (isDone) return;
    }
    throw new Error('it changes faster than it can be written');
  }

  /** One step to where the entry should be. True when nothing is left to do; false: look again. */
  async #putRight(held: Held): Promise<boolean> {
    const entry = await this.#options.store.read(held.key);
    if (held.goneAtMs !== undefined) return this.#disconnect(held, entry, held.goneAtMs);
    if (entry === undefined) return this.#create(held);
    const { proxy, connectedAtMs } = held.newest;
    const problem = this.#admission.problem(proxy, entryOwnership(held.key, entry), held.group);
    if (problem !== undefined) return this.#sendAway(held, problem);
    const { controller, store } = this.#options;
    const presence = readPresence(entry.annotations);
    if (lacksConnection(presence, controller, connectedAtMs)) {
      const annotations = withConnected(entry.annotations, controller, connectedAtMs);
      if (await store.annotate(held.key, entry, annotations)) this.#count('updates', held);
      return false;
    }
    return presence.controller === controller ? this.#writeHealth(held, entry) : true;
  }

  async #create(held: Held): Promise<boolean> {
    const { groups, controller, store } = this.#options;
    const { proxy, connectedAtMs } = held.newest;
    const group = groups.get(`${proxy.namespace}/${held.group}`);
    // A user's entry, or the group, has gone since: it may come back.
    if (group === undefined) return true;
    const document = entryFromGroup(proxy, group, held.key.slice(held.key.indexOf('/') + 1));
    const annotations = withConnected(document.metadata.annotations, controller, connectedAtMs);
    const isMade = await store.create(
      { ...document, metadata: { ...document.metadata, annotations } },
      group,
    );
    if (isMade) this.#count('success', held);
    return false;
  }

  async #writeHealth(held: Held, entry: StoredEntry): Promise<boolean> {
    const { health } = held;
    if (health === undefined) return true;
    const condition = conditionOf(health.report, health.atMs);
    const isSaid =
      isSameHealth(entry.health, condition) || Date.parse(entry.health?.lastProbeTime ?? '') > health.atMs;
    return isSaid || this.#options.store.setHealth(held.key, entry, condition);
  }

  async #disconnect(held: Held, entry: StoredEntry | undefined, goneAtMs: number): Promise<boolean> {
    const { controller, store, settings } = this.#options;
    const { connectedAtMs } = held.newest;
    const isOurs =
      entry !== undefined && lacksDisconnection(readPresence(entry.annotations), controller, connectedAtMs);
    if (isOurs) {
      const annotations = withDisconnected(entry.annotations, goneAtMs);
      if (!(await store.annotate(held.key, entry, annotations))) return false;
      if (held.group !== '') this.#count('unregister', held);
    }
    // It may have come back in the meantime.
    if (held.goneAtMs !== goneAtMs) return false;
    this.#held.delete(held.key);
    if (isOurs) this.#after(settings.graceMs, () => this.#queue.add(held.key));
    return true;
  }

  /** An entry whose proxy is not here: it goes when its time is over. */
  async #cleanUp(key: string): Promise<boolean> {
    const { store, settings, clock, controller, log } = this.#options;
    const entry = await store.read(key);
    if (entry === undefined || this.#held.has(key)) return entry === undefined;
    const { annotations, health } = entry;
    const verdict = cleanup(
      { annotations, hasHealth: health !== undefined },
      clock.nowMs(),
      settings.graceMs,
    );
    if (verdict === 'remove') {
      if (!(await store.remove(key, entry))) return false;
      this.counters.deletes += 1;
      log.info('a registered workload has gone', { workloadEntry: key });
    } else if (verdict === 'forgetHealth') return store.setHealth(key, entry, undefined);
    else if (isLeftBehind(annotations, controller))
      return store.annotate(key, entry, withDisconnected(annotations, clock.nowMs()));
    return true;
  }

  /** Finds what was left by control planes that have ended, this one before its restart among them. */
  #sweep(): void {
    const { entries, settings, clock, controller } = this.#options;
    for (const [key, { annotations, status }] of entries.all()) {
      if (this.#held.has(key)) continue;
      const remains = { annotations, hasHealth: status?.healthy !== undefined };
      const isOver = cleanup(remains, clock.nowMs(), settings.graceMs) !== 'keep';
      if (isOver || isLeftBehind(annotations, controller)) this.#queue.add(key);
    }
    this.#after(settings.graceMs * SWEEP_GRACES, () => this.#sweep());
  }

  #failed(key: string, error: unknown): void {
    this.counters.errors += 1;
    const reason = error instanceof Error ? error.message : String(error);
    this.#options.log.warn('a registration could not be written', { workloadEntry: key, reason });
  }

  #sendAway(held: Held, problem: string): boolean {
    this.counters.errors += 1;
    this.#options.log.warn('a registration was refused', { workloadEntry: held.key, reason: problem });
    this.#held.delete(held.key);
    for (const { end } of held.open) end(grpcStatus(GRPC_PERMISSION_DENIED, problem));
    return true;
  }

  #count(what: 'success' | 'updates' | 'unregister', { key, group, newest }: Held): void {
    this.counters[what] += 1;
    const texts = {
      success: 'a workload has registered',
      updates: 'a registered workload is connected',
      unregister: 'a registered workload is not connected any more',
    };
    this.#options.log.info(texts[what], { workloadEntry: key, group, proxy: newest.proxy.id });
  }

  #after(delayMs: number, run: () => void): void {
    const timer = this.#options.clock.schedule(delayMs, () => {
      this.#timers.delete(timer);
      run();
    });
    this.#timers.add(timer);
  }
}

function entryOwnership(
  key: string,
  { annotations, spec }: StoredEntry,
): { namespace: string; annotations: StoredEntry['annotations']; spec: StoredEntry['spec'] } {
  return { namespace: key.slice(0, key.indexOf('/')), annotations, spec };
}

/** It says that its proxy is connected here, and it is not: this control plane ended without a word and began anew. */
function isLeftBehind(annotations: StoredEntry['annotations'], controller: string): boolean {
  const presence = readPresence(annotations);
  return presence.controller === controller && presence.connectedAtMs !== undefined;
}

function conditionOf({ isHealthy, message }: HealthReport, atMs: number): HealthCondition {
  const at = new Date(atMs).toISOString();
  const times = { lastProbeTime: at, lastTransitionTime: at };
  const type = HEALTHY_CONDITION;
  return isHealthy ? { type, status: 'True', ...times } : { type, status: 'False', message, ...times };
}

function isSameHealth(a: HealthCondition | undefined, b: HealthCondition): boolean {
  return a?.status === b.status && (a.message ?? '') === (b.message ?? '');
}
