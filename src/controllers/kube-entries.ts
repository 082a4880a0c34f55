/**
 * Registered WorkloadEntries in a cluster, by way of its API server; they come back to us with all other objects that are followed.
 * An entry belongs to its WorkloadGroup, so that Kubernetes removes it with the group.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { WorkloadGroupSpec } from '#api/workload-group.ts';
import { isKubeObject, type KubeObject, resourcePath } from '#kube/api-resource.ts';
import type { KubeClient } from '#kube/kube-client.ts';
import { hasStatus, unlessOutdated } from '#kube/kube-error.ts';
import { type EntryDocument, HEALTHY_CONDITION } from '#model/workload-registration.ts';
import type { EntryStore, HealthCondition, StoredEntry } from './entry-store.ts';

const GROUP = 'networking.istio.io';

interface KubeEntry extends StoredEntry {
  readonly object: KubeObject;
}

export class KubeEntries implements EntryStore {
  readonly #client: KubeClient;
  readonly #version: () => string;

  /** `version`: the version of networking.istio.io in which the cluster serves WorkloadEntries and WorkloadGroups. */
  constructor(client: KubeClient, version: () => string) {
    this.#client = client;
    this.#version = version;
  }

  async read(key: string): Promise<KubeEntry | undefined> {
    const object = await this.#get('workloadentries', key);
    return object === undefined ? undefined : entryOf(object);
  }

  async create(entry: EntryDocument, group: MeshObject<WorkloadGroupSpec>): Promise<boolean> {
    const { name, namespace } = group;
    const owner = await this.#get('workloadgroups', `${namespace}/${name}`);
    if (owner === undefined) return false;
    const ownerReferences = [
      {
        apiVersion: group.apiVersion,
        kind: 'WorkloadGroup',
        name,
        uid: owner.metadata.uid,
        controller: true,
      },
    ];
    const value = { ...entry, metadata: { ...entry.metadata, ownerReferences } };
    const path = resourcePath({ ...this.#resource('workloadentries'), namespace });
    return unlessOutdated(this.#client.postJson({ path, value }));
  }

  annotate(key: string, read: StoredEntry, annotations: StoredEntry['annotations']): Promise<boolean> {
    const { object } = read as KubeEntry;
    const value = { ...object, metadata: { ...object.metadata, annotations } };
    return unlessOutdated(this.#client.putJson({ path: this.#path('workloadentries', key), value }));
  }

  setHealth(key: string, read: StoredEntry, health: HealthCondition | undefined): Promise<boolean> {
    const { object } = read as KubeEntry;
    const others = conditionsOf(object).filter(({ type }) => type !== HEALTHY_CONDITION);
    const conditions = health === undefined ? others : [...others, health];
    const value = { ...object, status: { ...statusOf(object), conditions } };
    const path = `${this.#path('workloadentries', key)}/status`;
    return unlessOutdated(this.#client.putJson({ path, value }));
  }

  remove(key: string, read: StoredEntry): Promise<boolean> {
    const { uid, resourceVersion } = (read as KubeEntry).object.metadata;
    const path = this.#path('workloadentries', key);
    return unlessOutdated(this.#client.deleteJson({ path, preconditions: { uid, resourceVersion } }));
  }

  async #get(plural: string, key: string): Promise<KubeObject | undefined> {
    try {
      const object = await this.#client.getJson({ path: this.#path(plural, key) });
      return isKubeObject(object) ? object : undefined;
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      throw error;
    }
  }

  #resource(plural: string): { readonly group: string; readonly version: string; readonly plural: string } {
    return { group: GROUP, version: this.#version(), plural };
  }

  #path(plural: string, key: string): string {
    const [namespace = '', name = ''] = key.split('/');
    return `${resourcePath({ ...this.#resource(plural), namespace })}/${name}`;
  }
}

function entryOf(object: KubeObject): KubeEntry {
  return {
    object,
    annotations: (object.metadata['annotations'] ?? {}) as StoredEntry['annotations'],
    spec: (object['spec'] ?? {}) as StoredEntry['spec'],
    health: conditionsOf(object).find(({ type }) => type === HEALTHY_CONDITION),
  };
}

function statusOf(object: KubeObject): { readonly conditions?: readonly HealthCondition[] } {
  return object['status'] ?? {};
}

function conditionsOf(object: KubeObject): readonly HealthCondition[] {
  return statusOf(object).conditions ?? [];
}
