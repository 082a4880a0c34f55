/**
 * Registered WorkloadEntries of a mesh that is fed from files: kept in this process as objects of their own, since nothing is ever
 * written into the user's folder. What is written onto an entry of the user's (who is connected, whether it is healthy) lies on top
 * of it. After a restart all is as if the proxies had not been there yet; they connect again.
 */
import { decodeObject } from '#api/decode-object.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { collectionKey, type ObjectBatch } from '#api/object-collections.ts';
import type { WorkloadEntrySpec } from '#api/workload-entry.ts';
import type { WorkloadGroupSpec } from '#api/workload-group.ts';
import type { Clock } from '#base/clock.ts';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import type { ObjectRef } from '#base/object-ref.ts';
import { type EntryDocument, GROUP_ANNOTATION } from '#model/workload-registration.ts';
import type { EntryStore, HealthCondition, StoredEntry } from './entry-store.ts';

const KIND = 'WorkloadEntry';

type Texts = StoredEntry['annotations'];

interface MemoryEntry extends StoredEntry {
  /** The user's object; undefined for one that was registered. */
  readonly given: MeshObject | undefined;
  /** All but what the other fields say. */
  readonly document: EntryDocument;
}

export class MemoryEntries implements EntryStore {
  readonly #entries = new Map<string, MemoryEntry>();
  readonly #apply: (batch: ObjectBatch) => void;
  readonly #clock: Clock;

  /** `apply` puts objects into the mesh. */
  constructor(apply: (batch: ObjectBatch) => void, clock: Clock) {
    this.#apply = apply;
    this.#clock = clock;
  }

  /** The user's changes with what lies on top of them; entries go with their group. To be asked about every batch. */
  weave<B extends ObjectBatch>(batch: B): B {
    const orphans: ObjectRef[] = [];
    for (const ref of batch.remove) {
      if (ref.kind === KIND) this.#entries.delete(collectionKey(ref));
      if (ref.kind === 'WorkloadGroup') orphans.push(...this.#takeOrphans(ref, batch));
    }
    const set = batch.set.map((object) => (object.kind === KIND ? this.#take(object) : object));
    return { ...batch, set, remove: [...batch.remove, ...orphans] };
  }

  read(key: string): Promise<StoredEntry | undefined> {
    return Promise.resolve(this.#entries.get(key));
  }

  create(entry: EntryDocument, _group: MeshObject<WorkloadGroupSpec>): Promise<boolean> {
    const key = collectionKey(entry.metadata);
    if (this.#entries.has(key)) return Promise.resolve(false);
    const creationTimestamp = new Date(this.#clock.nowMs()).toISOString();
    const document = { ...entry, metadata: { ...entry.metadata, creationTimestamp } };
    const { annotations } = entry.metadata;
    this.#put(key, { given: undefined, document, annotations, spec: entry.spec, health: undefined });
    return Promise.resolve(true);
  }

  annotate(key: string, read: StoredEntry, annotations: Texts): Promise<boolean> {
    return this.#replace(key, read, { annotations });
  }

  setHealth(key: string, read: StoredEntry, health: HealthCondition | undefined): Promise<boolean> {
    return this.#replace(key, read, { health });
  }

  remove(key: string, read: StoredEntry): Promise<boolean> {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry !== read) return Promise.resolve(false);
    // What the user wrote is the user's to remove.
    if (entry.given !== undefined) return Promise.resolve(true);
    this.#entries.delete(key);
    const { namespace, name } = entry.document.metadata;
    this.#apply({ set: [], remove: [{ kind: KIND, namespace, name }] });
    return Promise.resolve(true);
  }

  #replace(key: string, read: StoredEntry, change: Partial<StoredEntry>): Promise<boolean> {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry !== read) return Promise.resolve(false);
    this.#put(key, { ...entry, ...change });
    return Promise.resolve(true);
  }

  #put(key: string, entry: MemoryEntry): void {
    const object = objectOf(entry);
    this.#entries.set(key, entry);
    this.#apply({ set: [object], remove: [] });
  }

  /** The user's object as the mesh is to have it. */
  #take(object: MeshObject): MeshObject {
    const key = collectionKey(object);
    const old = this.#entries.get(key);
    const noted = old?.given === undefined ? {} : difference(old.annotations, old.given.annotations);
    const { apiVersion, labels, annotations, name, namespace, createdAtMs } = object;
    const creationTimestamp = createdAtMs === 0 ? undefined : new Date(createdAtMs).toISOString();
    const metadata = { name, namespace, labels, annotations, creationTimestamp };
    const spec = object.spec as WorkloadEntrySpec;
    const entry: MemoryEntry = {
      given: object,
      document: { apiVersion, kind: KIND, metadata, spec },
      annotations: { ...annotations, ...noted },
      spec,
      health: old?.given === undefined ? undefined : old.health,
    };
    this.#entries.set(key, entry);
    return Object.keys(noted).length === 0 && entry.health === undefined ? object : objectOf(entry);
  }

  #takeOrphans(group: ObjectRef, { set }: ObjectBatch): readonly ObjectRef[] {
    const isBack = set.some(
      ({ kind, namespace, name }) =>
        kind === group.kind && namespace === group.namespace && name === group.name,
    );
    if (isBack) return [];
    const orphans = [...this.#entries].filter(
      ([, { given, annotations, document }]) =>
        given === undefined &&
        document.metadata.namespace === group.namespace &&
        annotations[GROUP_ANNOTATION] === group.name,
    );
    for (const [key] of orphans) this.#entries.delete(key);
    return orphans.map(([, { document }]) => {
      const { namespace, name } = document.metadata;
      return { kind: KIND, namespace, name };
    });
  }
}

/** Errors: throws for what is no WorkloadEntry. */
function objectOf({ document, annotations, health, given }: MemoryEntry): MeshObject {
  const conditions = health === undefined ? givenConditions(given) : [health];
  const { object, diagnostics } = decodeObject(
    { ...document, metadata: { ...document.metadata, annotations }, status: { conditions } },
    { defaultNamespace: document.metadata.namespace },
  );
  if (object === undefined) throw new Error(diagnostics.map(printDiagnostic).join('; '));
  return object;
}

function givenConditions(given: MeshObject | undefined): readonly HealthCondition[] {
  const healthy = given?.status?.healthy;
  return healthy === undefined ? [] : [{ type: 'Healthy', status: healthy ? 'True' : 'False' }];
}

function difference(texts: Texts, from: Texts): Texts {
  return Object.fromEntries(Object.entries(texts).filter(([key, value]) => from[key] !== value));
}
