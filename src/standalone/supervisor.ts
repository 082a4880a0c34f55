/**
 * Runs all workloads of a mesh: keeps one rollout per LocalWorkload, gives each replica its addresses and its token, and tells
 * the control plane who is there and ready. Leaving goes: out of the endpoints, proxies know it, requests in
 * flight end, application, proxy.
 */
import { isAbsolute, resolve } from 'node:path';
import type { LocalWorkloadSpec } from '#api/local-workload.ts';
import type { MeshConfig, MeshProxyConfig } from '#api/mesh-config.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { ProxyConfigSpec } from '#api/proxy-config.ts';
import { type ObjectRef, objectKey } from '#base/object-ref.ts';
import { effectiveProxyConfig } from '#model/proxy-config.ts';
import type { AddressBlock } from './address-block.ts';
import { mergesMetrics, ownProxyConfig } from './agent-environment.ts';
import type { ControlPlane } from './control-plane.ts';
import { Replica, type ReplicaSurroundings } from './replica.ts';
import { explainSystemError } from './system-error.ts';
import { type DesiredWorkload, WorkloadRollout } from './workload-rollout.ts';

export interface SupervisorOptions {
  readonly controlPlane: ControlPlane;
  readonly block: AddressBlock;
  readonly around: ReplicaSurroundings;
  /** At the start. */
  readonly meshConfig: MeshConfig;
  /** Folder of the file that an object stands in. */
  readonly folderOf: (ref: ObjectRef) => string;
}

const LEAVE_TIMEOUT_MS = 1000;
/** Requests that were on their way when the proxies heard of it. */
const IN_FLIGHT_MS = 300;
const START_RETRY_MS = 2000;
const TRIM_PERIOD_MS = 5000;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #rollouts = new Map<string, WorkloadRollout>();
  readonly #changeListeners = new Set<() => void>();
  #meshConfig: MeshConfig;
  #objects: readonly MeshObject<LocalWorkloadSpec>[] = [];
  #proxyConfigs: readonly MeshObject<ProxyConfigSpec>[] = [];
  readonly #startFailures = new Map<Replica, string>();
  #trim: Disposable | undefined;
  #isStopping = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#meshConfig = options.meshConfig;
    this.#scheduleTrim();
  }

  /** All replicas by namespace, name and number; stopping ones too. */
  get replicas(): readonly Replica[] {
    return [...this.#rollouts.entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([, rollout]) => rollout.replicas);
  }

  /** Takes all LocalWorkloads and ProxyConfigs as they are now. */
  update(
    objects: readonly MeshObject<LocalWorkloadSpec>[],
    proxyConfigs: readonly MeshObject<ProxyConfigSpec>[],
  ): void {
    this.#objects = objects;
    this.#proxyConfigs = proxyConfigs;
    this.#apply();
  }

  /** Takes another mesh config: what its proxies are started with may be different now. */
  configure(meshConfig: MeshConfig): void {
    this.#meshConfig = meshConfig;
    this.#apply();
  }

  #apply(): void {
    if (this.#isStopping) return;
    const desired = new Map(this.#objects.map((object) => [objectKey(object), object]));
    for (const [key, rollout] of this.#rollouts) {
      if (!desired.has(key)) rollout.update(undefined);
    }
    for (const [key, object] of desired) {
      const rollout = this.#rollouts.get(key) ?? this.#addRollout(key);
      rollout.update({
        object,
        workingDir: this.#workingDirOf(object),
        proxyConfig: this.#proxyConfigOf(object),
        mergesMetrics: mergesMetrics(object.spec.annotations, this.#meshConfig.enablePrometheusMerge),
      });
    }
  }

  /** Calls whenever something changed with a replica. */
  onChange(listener: () => void): Disposable {
    this.#changeListeners.add(listener);
    return { [Symbol.dispose]: () => this.#changeListeners.delete(listener) };
  }

  /** What keeps a proxy from ever coming up; '' while there is hope. */
  hopelessReason(): string {
    for (const [replica, reason] of this.#startFailures) return `${replica.subject}: ${reason}`;
    const hopeless = this.replicas.find((one) => !one.proxyWasReady && one.proxyGaveUp !== '');
    return hopeless === undefined ? '' : `${hopeless.subject}: ${hopeless.proxyGaveUp}`;
  }

  /** Stops everything; nothing is left when it resolves. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#trim?.[Symbol.dispose]();
    await Promise.all([...this.#rollouts.values()].map((rollout) => rollout.stop()));
  }

  #addRollout(key: string): WorkloadRollout {
    const rollout = new WorkloadRollout({
      start: (desired, replica, onChange) => this.#startReplica(desired, replica, onChange),
      retire: (replica) => this.#retire(replica),
    });
    this.#rollouts.set(key, rollout);
    return rollout;
  }

  #workingDirOf(object: MeshObject<LocalWorkloadSpec>): string {
    const folder = this.#options.folderOf(object);
    const { workingDir } = object.spec;
    return isAbsolute(workingDir) ? workingDir : resolve(folder, workingDir);
  }

  #proxyConfigOf({ namespace, spec }: MeshObject<LocalWorkloadSpec>): MeshProxyConfig {
    const { defaultConfig: meshDefault, rootNamespace } = this.#meshConfig;
    const objects = this.#proxyConfigs;
    const annotation = ownProxyConfig(spec.annotations).part;
    return effectiveProxyConfig(
      { meshDefault, rootNamespace, objects },
      { namespace, labels: spec.labels, annotation },
    );
  }

  #startReplica(desired: DesiredWorkload, number: number, onChange: () => void): Replica {
    const { block, around, controlPlane } = this.#options;
    const { object, ...start } = desired;
    const { namespace, name: workload } = object;
    const { serviceAccount } = object.spec;
    const addresses = block.allocate();
    const replica: Replica = new Replica(
      {
        object,
        replica: number,
        addresses,
        ...start,
        issueToken: () => controlPlane.issueToken({ namespace, serviceAccount, workload, replica: number }),
        onChange: () => {
          if (!replica.isStopping) this.#report(replica);
          onChange();
          for (const listener of this.#changeListeners) listener();
        },
      },
      around,
    );
    this.#report(replica);
    void this.#start(replica);
    return replica;
  }

  async #start(replica: Replica): Promise<void> {
    try {
      await replica.start();
      this.#startFailures.delete(replica);
    } catch (error) {
      if (replica.isStopping) return;
      const reason = explainSystemError(error);
      this.#startFailures.set(replica, reason);
      this.#options.around.events.add('Warning', replica.subject, `cannot start: ${reason}`);
      this.#options.around.clock.schedule(START_RETRY_MS, () => {
        if (!replica.isStopping) void this.#start(replica);
      });
      for (const listener of this.#changeListeners) listener();
    }
  }

  #report(replica: Replica): void {
    const { object, replica: number, addresses } = replica.plan;
    this.#options.controlPlane.setReplica({
      namespace: object.namespace,
      workload: object.name,
      replica: number,
      address: addresses.proxy,
      appAddress: addresses.app,
      ready: replica.ready,
    });
  }

  async #retire(replica: Replica): Promise<void> {
    const { block, around } = this.#options;
    this.#startFailures.delete(replica);
    try {
      await replica.stop(() => this.#leave(replica));
      around.events.add('Normal', replica.subject, 'stopped');
    } catch (error) {
      around.events.add('Warning', replica.subject, `did not stop well: ${explainSystemError(error)}`);
    }
    const { object, replica: number, addresses } = replica.plan;
    this.#options.controlPlane.removeReplica(object.namespace, object.name, number);
    block.release(addresses);
    for (const listener of this.#changeListeners) listener();
  }

  /**
   * Out of the endpoints first; the replica itself stays known until it is gone, or its proxy would lose its own
   * configuration under requests in flight. When the whole mesh stops nobody is left to tell.
   */
  async #leave(replica: Replica): Promise<void> {
    if (this.#isStopping) return;
    this.#report(replica);
    await this.#options.controlPlane.waitForProxies(LEAVE_TIMEOUT_MS);
    await new Promise<void>((done) => void this.#options.around.clock.schedule(IN_FLIGHT_MS, done));
  }

  #scheduleTrim(): void {
    this.#trim = this.#options.around.clock.schedule(TRIM_PERIOD_MS, () => {
      for (const replica of this.replicas) replica.trimLogs();
      this.#scheduleTrim();
    });
  }
}
