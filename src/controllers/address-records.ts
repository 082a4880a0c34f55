/**
 * Writes the virtual addresses of ServiceEntries into their statuses, by the control plane that leads. Nothing is written that is there
 * already; of a status nothing else is touched; an object that has changed since is read again. Two that believe to lead write the same.
 */
import type { Clock } from '#base/clock.ts';
import { Scope } from '#base/disposable.ts';
import type { Logger } from '#base/logger.ts';
import type { Rng } from '#base/rng.ts';
import type { Collection, Engine } from '#collections/collection.ts';
import { isKubeObject, type KubeObject, resourcePath } from '#kube/api-resource.ts';
import type { KubeClient } from '#kube/kube-client.ts';
import { hasStatus } from '#kube/kube-error.ts';
import type { Leadership } from '#kube/leader-election.ts';
import { type AddressRecord, isSameRecord } from '#model/address-record.ts';
import { WorkQueue } from './work-queue.ts';

export interface AddressRecordsOptions {
  readonly client: KubeClient;
  readonly leadership: Leadership;
  readonly engine: Engine;
  /** What is to be written, keyed `namespace/name`. */
  readonly records: Collection<AddressRecord>;
  /** Version of networking.istio.io in which the cluster serves the ServiceEntry of a key. */
  readonly version: (key: string) => string;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
}

const ATTEMPTS = 5;

/** Works from its construction until disposed of. */
export class AddressRecords implements Disposable {
  readonly #options: AddressRecordsOptions;
  readonly #queue: WorkQueue;
  readonly #scope = new Scope();

  constructor(options: AddressRecordsOptions) {
    this.#options = options;
    const { clock, rng, log, engine, records, leadership } = options;
    const failed = (key: string, error: unknown): void => {
      const reason = error instanceof Error ? error.message : String(error);
      log.warn('addresses could not be recorded', { serviceEntry: key, reason });
    };
    this.#queue = this.#scope.add(new WorkQueue({ work: (key) => this.#write(key), failed, clock, rng }));
    this.#scope.add(engine.watch(records, (changes) => this.#look(changes.map(({ key }) => key))));
    this.#scope.add(leadership.watch(() => this.#look(records.all().keys())));
    this.#look(records.all().keys());
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }

  #look(keys: Iterable<string>): void {
    if (!this.#options.leadership.isLeader) return this.#queue.clear();
    for (const key of keys) if (this.#options.records.get(key) !== undefined) this.#queue.add(key);
  }

  async #write(key: string): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const record = this.#options.records.get(key);
      if (record === undefined || !this.#options.leadership.isLeader) return;
      if (await this.#put(key, record)) return;
    }
    throw new Error('it changes faster than it can be written');
  }

  /** False when somebody else was faster. */
  async #put(key: string, record: AddressRecord): Promise<boolean> {
    const { client, log } = this.#options;
    const path = this.#path(key);
    try {
      const object = await client.getJson({ path });
      if (!isKubeObject(object) || isSameRecord(recordOf(object), record)) return true;
      const status = { ...(object['status'] as object | undefined), addresses: record };
      await client.putJson({ path: `${path}/status`, value: { ...object, status } });
      log.debug('addresses recorded', { serviceEntry: key, addresses: record.length });
      return true;
    } catch (error) {
      if (hasStatus(error, 404)) return true;
      if (hasStatus(error, 409)) return false;
      throw error;
    }
  }

  #path(key: string): string {
    const [namespace = '', name = ''] = key.split('/');
    const version = this.#options.version(key);
    const resource = { group: 'networking.istio.io', version, plural: 'serviceentries', namespace };
    return `${resourcePath(resource)}/${name}`;
  }
}

function recordOf(object: KubeObject): AddressRecord {
  const status = (object['status'] ?? {}) as { readonly addresses?: AddressRecord };
  return status.addresses ?? [];
}
