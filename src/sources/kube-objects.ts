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
import { isNamespaceSelected, isOfRevision, type Labels, labelsOf } from './object-selection.ts';

/** Which objects count. */
export interface KubeSelection {
  readonly revision: string;
  /** meshConfig.discoverySelectors at the start; empty: all namespaces. */
  readonly discoverySelectors: readonly LabelSelectorJson[];
  /** Of this namespace ConfigMaps are always read: mesh config, with the selectors in it, is one of them. */
  readonly systemNamespace?: string;
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
  #selectors: readonly LabelSelectorJson[];
  /** Kind -> `namespace/name` -> object as delivered, or about to be. */
  readonly #held = new Map<string, Map<string, Held>>();
  readonly #findings = new Map<string, readonly Diagnostic[]>();
  /** Labels of all namespaces. */
  readonly #namespaces = new Map<string, Labels>();
  /** Namespaces of which an object was left out. */
  readonly #leftOut = new Set<string>();
  readonly #wanted = new Set<string>();
  #set = new Map<string, MeshObject>();
  #remove = new Map<string, ObjectRef>();
  #diagnostics: readonly Diagnostic[] = [];
  #hasNewFindings = false;

  constructor(selection: KubeSelection) {
    this.#selection = selection;
    this.#selectors = selection.discoverySelectors;
  }

  /** Takes other discovery selectors; takeWanted then names the namespaces that are to be listed again. */
  select(selectors: readonly LabelSelectorJson[]): void {
    this.#selectors = selectors;
    const held = [...this.#held.values()].flatMap((objects) =>
      Array.from(objects.values(), ({ object }) => object.namespace),
    );
    for (const namespace of new Set([...this.#namespaces.keys(), ...held])) {
      if (namespace !== '') this.#weigh(namespace);
    }
  }

  /** Adds or replaces an object as the API server has it. */
  put(info: KindInfo, version: string, object: KubeObject): void {
    if (info.kind === 'Namespace') this.#name(object.metadata.name, labelsOf(object.metadata['labels']));
    if (!this.#belongs(info, object)) {
      this.delete(info, nameKey(object));
      return;
    }
    const key = nameKey(object);
    // A field that only newer definitions have is no reason to be without the object.
    const decoded = decodeObject(project(object, info, version), {
      defaultNamespace: '',
      dropsUnknownFields: true,
    });
    this.#report(`${info.kind}/${key}`, decoded.diagnostics);
    if (decoded.object !== undefined) this.#hold(info.kind, key, decoded.object);
  }

  /** Takes an object away, with its findings. */
  delete(info: KindInfo, key: string): void {
    this.#report(`${info.kind}/${key}`, []);
    if (info.kind === 'Namespace') this.#name(key.slice(1), undefined);
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
    if (!info.namespaced || this.#isSelected(namespace) || this.#isSystem(info.kind, namespace)) return true;
    this.#leftOut.add(namespace);
    return false;
  }

  #isSystem(kind: string, namespace: string): boolean {
    return kind === 'ConfigMap' && namespace === this.#selection.systemNamespace;
  }

  #isSelected(namespace: string): boolean {
    if (this.#selectors.length === 0) return true;
    const labels = this.#namespaces.get(namespace);
    return labels !== undefined && isNamespaceSelected(this.#selectors, labels);
  }

  /** A namespace with its labels, or the end of one. Only a change of what it is selected by costs more than itself. */
  #name(namespace: string, labels: Labels | undefined): void {
    const before = this.#isSelected(namespace);
    if (labels === undefined) this.#namespaces.delete(namespace);
    else this.#namespaces.set(namespace, labels);
    const after = this.#isSelected(namespace);
    if (after !== before || (after && this.#leftOut.has(namespace))) this.#weigh(namespace);
  }

  /** Objects of a namespace come and go with its label; they go before the API server takes them away, if it does. */
  #weigh(namespace: string): void {
    if (this.#isSelected(namespace)) {
      if (this.#leftOut.delete(namespace)) this.#wanted.add(namespace);
      return;
    }
    this.#leftOut.add(namespace);
    for (const [kind, objects] of this.#held) {
      if (this.#isSystem(kind, namespace)) continue;
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
