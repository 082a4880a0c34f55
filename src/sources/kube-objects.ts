/**
 * The objects of a cluster as far as they belong to the mesh: the state machine behind KubeSource, without I/O. Promises: an
 * object that cannot be decoded keeps what was last good of it and harms no other; a batch holds what differs from
 * the batch before. Cost: one map entry per object beyond the object itself.
 */
import { decodeObject } from '#api/decode-object.ts';
import type { KindInfo } from '#api/kind-registry.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { type ObjectRef, objectKey } from '#base/object-ref.ts';
import { type KubeObject, nameKey } from '#kube/api-resource.ts';
import type { LabelSelectorJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { project } from './kube-projection.ts';
import type { SourceBatch } from './object-sink.ts';
import { isNamespaceSelected, isOfRevision, labelsOf } from './object-selection.ts';

/** Which objects count. */
export interface KubeSelection {
  readonly revision: string;
  /** meshConfig.discoverySelectors; empty: all namespaces. */
  readonly discoverySelectors: readonly LabelSelectorJson[];
}

/** What is kept of a kind. */
export interface KubeKept {
  readonly objects: number;
  /** Size of labels, annotations and spec as JSON text. */
  readonly sizeBytes: number;
}

interface Held {
  readonly object: MeshObject;
  readonly sizeBytes: number;
}

/** Objects in, batches out. */
export class KubeObjects {
  readonly #selection: KubeSelection;
  /** Kind -> `namespace/name` -> object as delivered, or about to be. */
  readonly #held = new Map<string, Map<string, Held>>();
  readonly #findings = new Map<string, readonly Diagnostic[]>();
  readonly #selected = new Set<string>();
  /** Namespaces of which an object was left out. */
  readonly #leftOut = new Set<string>();
  readonly #wanted = new Set<string>();
  #set = new Map<string, MeshObject>();
  #remove = new Map<string, ObjectRef>();
  #diagnostics: readonly Diagnostic[] = [];
  #hasNewFindings = false;

  constructor(selection: KubeSelection) {
    this.#selection = selection;
  }

  /** Adds or replaces an object as the API server has it. */
  put(info: KindInfo, version: string, object: KubeObject): void {
    if (info.kind === 'Namespace') this.#select(object.metadata.name, labelsOf(object.metadata['labels']));
    if (!this.#belongs(info, object)) {
      this.delete(info, nameKey(object));
      return;
    }
    const key = nameKey(object);
    const decoded = decodeObject(project(object, info, version), { defaultNamespace: '' });
    this.#report(`${info.kind}/${key}`, decoded.diagnostics);
    if (decoded.object !== undefined) this.#hold(info.kind, key, decoded.object);
  }

  /** Takes an object away, with its findings. */
  delete(info: KindInfo, key: string): void {
    this.#report(`${info.kind}/${key}`, []);
    if (info.kind === 'Namespace') this.#deselect(key.slice(1));
    const held = this.#held.get(info.kind)?.get(key);
    if (held === undefined) return;
    this.#held.get(info.kind)?.delete(key);
    const { kind, namespace, name } = held.object;
    const ref = { kind, namespace, name };
    this.#set.delete(objectKey(ref));
    this.#remove.set(objectKey(ref), ref);
  }

  /** Takes all objects of a kind away whose `namespace/name` is not in `keep`. */
  sweep(info: KindInfo, keep: ReadonlySet<string>): void {
    for (const key of this.#held.get(info.kind)?.keys() ?? []) if (!keep.has(key)) this.delete(info, key);
    for (const key of this.#findings.keys()) {
      const [kind, name] = [key.slice(0, key.indexOf('/')), key.slice(key.indexOf('/') + 1)];
      if (kind === info.kind && !keep.has(name)) this.#report(key, []);
    }
  }

  /** Sets or clears the finding about a whole resource, such as a missing permission. */
  reportResource(resource: string, diagnostic: Diagnostic | undefined): void {
    this.#report(`\0${resource}`, diagnostic === undefined ? [] : [diagnostic]);
  }

  /** Namespaces that count from now on and of which objects were left out before: these are to be listed again. */
  takeWanted(): ReadonlySet<string> {
    const wanted = new Set(this.#wanted);
    this.#wanted.clear();
    return wanted;
  }

  /** The changes since the last call; undefined when there are none. */
  takeBatch(): SourceBatch | undefined {
    if (this.#set.size === 0 && this.#remove.size === 0 && !this.#hasNewFindings) return undefined;
    if (this.#hasNewFindings) this.#diagnostics = [...this.#findings.values()].flat();
    const batch = {
      set: [...this.#set.values()],
      remove: [...this.#remove.values()],
      diagnostics: this.#diagnostics,
    };
    this.#set = new Map();
    this.#remove = new Map();
    this.#hasNewFindings = false;
    return batch;
  }

  /** What is kept, by kind. */
  kept(): ReadonlyMap<string, KubeKept> {
    return new Map(
      [...this.#held].map(([kind, objects]) => {
        let sizeBytes = 0;
        for (const held of objects.values()) sizeBytes += held.sizeBytes;
        return [kind, { objects: objects.size, sizeBytes }] as const;
      }),
    );
  }

  #hold(kind: string, key: string, object: MeshObject): void {
    const objects = this.#held.get(kind) ?? new Map<string, Held>();
    this.#held.set(kind, objects);
    const old = objects.get(key)?.object;
    if (old?.hash === object.hash && old.createdAtMs === object.createdAtMs) return;
    const { labels, annotations, spec } = object;
    objects.set(key, { object, sizeBytes: JSON.stringify([labels, annotations, spec]).length });
    const ref = objectKey(object);
    this.#remove.delete(ref);
    this.#set.set(ref, object);
  }

  #report(key: string, diagnostics: readonly Diagnostic[]): void {
    if (diagnostics.length === 0 && !this.#findings.has(key)) return;
    if (diagnostics.length === 0) this.#findings.delete(key);
    else this.#findings.set(key, diagnostics);
    this.#hasNewFindings = true;
  }

  #belongs(info: KindInfo, object: KubeObject): boolean {
    const { namespace = '', labels } = object.metadata;
    if (info.group.endsWith('istio.io') && !isOfRevision(this.#selection.revision, labels)) return false;
    if (!info.namespaced || this.#selection.discoverySelectors.length === 0) return true;
    if (this.#selected.has(namespace)) return true;
    this.#leftOut.add(namespace);
    return false;
  }

  #select(namespace: string, labels: Readonly<Record<string, string>>): void {
    const { discoverySelectors } = this.#selection;
    if (discoverySelectors.length === 0) return;
    if (!isNamespaceSelected(discoverySelectors, labels)) this.#deselect(namespace);
    else if (!this.#selected.has(namespace)) {
      this.#selected.add(namespace);
      if (this.#leftOut.delete(namespace)) this.#wanted.add(namespace);
    }
  }

  /** Objects of a namespace go with its label, before the API server takes them away, if it does. */
  #deselect(namespace: string): void {
    if (!this.#selected.delete(namespace)) return;
    this.#leftOut.add(namespace);
    for (const [kind, objects] of this.#held) {
      for (const [key, { object }] of objects) {
        if (object.namespace !== namespace) continue;
        objects.delete(key);
        this.#report(`${kind}/${key}`, []);
        const ref = { kind, namespace, name: object.name };
        this.#set.delete(objectKey(ref));
        this.#remove.set(objectKey(ref), ref);
      }
    }
  }
}
