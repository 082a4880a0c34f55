/**
 * Where registered WorkloadEntries are kept: in a cluster (kube-entries.ts) or in this process (memory-entries.ts). Every write names
 * the version that was read, and says whether it took effect: if not, somebody else was faster, and one reads again.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { WorkloadGroupSpec } from '#api/workload-group.ts';
import type { EntryDocument } from '#model/workload-registration.ts';

/** An entry as its store has it. */
export interface StoredEntry {
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: EntryDocument['spec'];
  /** Condition Healthy of its status; undefined without one. */
  readonly health: HealthCondition | undefined;
}

/** Source: istio.io/api meta/v1alpha1 IstioCondition. Times are RFC 3339. */
export interface HealthCondition {
  readonly type: string;
  readonly status: string;
  readonly message?: string;
  readonly lastProbeTime?: string;
  readonly lastTransitionTime?: string;
}

/** Keys are `namespace/name`. Errors: every method may reject. */
export interface EntryStore {
  read(key: string): Promise<StoredEntry | undefined>;
  /** Makes an entry that goes with its group. */
  create(entry: EntryDocument, group: MeshObject<WorkloadGroupSpec>): Promise<boolean>;
  annotate(key: string, read: StoredEntry, annotations: StoredEntry['annotations']): Promise<boolean>;
  /** Undefined takes the condition away. */
  setHealth(key: string, read: StoredEntry, health: HealthCondition | undefined): Promise<boolean>;
  remove(key: string, read: StoredEntry): Promise<boolean>;
}
