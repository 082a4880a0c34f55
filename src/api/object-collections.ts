/**
 * The objects of the mesh as source collections of the engine, one per kind: `objects.VirtualService` and so on, keyed
 * `namespace/name`. Sources write batches into them; everything behind derives from them.
 */
import type { ObjectRef } from '#base/object-ref.ts';
import type { Engine, SourceCollection } from '#collections/collection.ts';
import { KINDS } from './kind-registry.ts';
import type { KindSpecs } from './kind-specs.ts';
import type { MeshObject } from './mesh-object.ts';

/** Objects to add or replace, and objects to take away; one transaction of the engine. */
export interface ObjectBatch {
  readonly set: readonly MeshObject[];
  readonly remove: readonly ObjectRef[];
}

/** Key of an object in the collection of its kind: `namespace/name`, `/name` for cluster-scoped kinds. */
export function collectionKey(ref: Pick<ObjectRef, 'namespace' | 'name'>): string {
  return `${ref.namespace}/${ref.name}`;
}

/** One source collection per kind. */
export class ObjectCollections {
  readonly #byKind: ReadonlyMap<string, SourceCollection<MeshObject>>;

  constructor(engine: Engine) {
    const equals = (a: MeshObject, b: MeshObject): boolean =>
      a.hash === b.hash && a.createdAtMs === b.createdAtMs;
    this.#byKind = new Map(
      KINDS.map(({ kind }) => [kind, engine.source<MeshObject>(`objects.${kind}`, { equals })] as const),
    );
  }

  /** The collection of a kind. Errors: throws for a kind that the registry does not have, which is a bug. */
  of<K extends keyof KindSpecs>(kind: K): SourceCollection<MeshObject<KindSpecs[K]>>;
  of<S>(kind: string): SourceCollection<MeshObject<S>>;
  of(kind: string): SourceCollection<MeshObject> {
    const collection = this.#byKind.get(kind);
    if (collection === undefined) throw new Error(`no kind ${kind} in the registry`);
    return collection;
  }

  /** Queues a batch; it takes effect at the engine's next settle or step. */
  apply(batch: ObjectBatch): void {
    for (const ref of batch.remove) this.of(ref.kind).delete(collectionKey(ref));
    for (const object of batch.set) this.of(object.kind).set(collectionKey(object), object);
  }

  /** All objects of all kinds, kind by kind in the registry's order, each by key. */
  *all(): Iterable<MeshObject> {
    for (const collection of this.#byKind.values()) for (const [, object] of collection.all()) yield object;
  }
}
