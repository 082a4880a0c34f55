/**
 * Between a source that reads everything and the mesh: objects of namespaces that no discovery selector fits are kept back, until
 * their namespace or the selectors change. Costs a reference per object, and nothing while there are no selectors.
 * Source: istio pkg/kube/namespace/filter.go (meshConfig.discoverySelectors).
 */
import type { MeshObject } from '#api/mesh-object.ts';
import { objectKey } from '#base/object-ref.ts';
import type { LabelSelectorJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { isNamespaceSelected } from './object-selection.ts';
import type { ObjectSink, SourceBatch } from './object-sink.ts';

export class NamespaceFilter implements ObjectSink {
  readonly #sink: ObjectSink;
  #selectors: readonly LabelSelectorJson[];
  /** All objects of the source. */
  readonly #objects = new Map<string, MeshObject>();
  /** Those that the sink has; all, and not kept apart, while there are no selectors. */
  #passed = new Map<string, MeshObject>();
  #diagnostics: SourceBatch['diagnostics'] = [];

  constructor(sink: ObjectSink, selectors: readonly LabelSelectorJson[]) {
    this.#sink = sink;
    this.#selectors = selectors;
  }

  apply(batch: SourceBatch): void {
    const { set, remove, diagnostics } = batch;
    this.#diagnostics = diagnostics;
    for (const ref of remove) this.#objects.delete(objectKey(ref));
    for (const object of set) this.#objects.set(objectKey(object), object);
    if (this.#selectors.length === 0) this.#sink.apply(batch);
    else if ([...set, ...remove].some(({ kind }) => kind === 'Namespace')) this.#compare();
    else {
      const passing = set.filter((object) => this.#isSeen(object));
      for (const object of passing) this.#passed.set(objectKey(object), object);
      const gone = remove.filter((ref) => this.#passed.delete(objectKey(ref)));
      this.#sink.apply({ set: passing, remove: gone, diagnostics });
    }
  }

  /** Takes other selectors; the sink hears of what came or went by them. */
  select(selectors: readonly LabelSelectorJson[]): void {
    if (this.#selectors.length === 0) this.#passed = new Map(this.#objects);
    this.#selectors = selectors;
    this.#compare();
  }

  /** Looks at every object: after a change of a namespace or of the selectors. */
  #compare(): void {
    const seen = new Map([...this.#objects].filter(([, object]) => this.#isSeen(object)));
    const set = [...seen].filter(([key, object]) => this.#passed.get(key) !== object);
    const gone = [...this.#passed].filter(([key]) => !seen.has(key));
    this.#passed = seen;
    this.#sink.apply({
      set: set.map(([, object]) => object),
      remove: gone.map(([, { kind, namespace, name }]) => ({ kind, namespace, name })),
      diagnostics: this.#diagnostics,
    });
  }

  #isSeen({ namespace }: MeshObject): boolean {
    if (this.#selectors.length === 0 || namespace === '') return true;
    const holder = this.#objects.get(objectKey({ kind: 'Namespace', namespace: '', name: namespace }));
    return holder !== undefined && isNamespaceSelected(this.#selectors, holder.labels);
  }
}
