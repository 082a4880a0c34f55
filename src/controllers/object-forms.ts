/**
 * Earlier forms of objects that were in the mesh and not refused: what a held-back object may fall back to. Only changed objects
 * have any; the number of objects and of forms of each is bounded, and what is deleted is forgotten.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import { objectKey, type ObjectRef } from '#base/object-ref.ts';
import { Lru } from '#base/lru.ts';

const MAX_OBJECTS = 4_096;
const MAX_FORMS = 3;

export class ObjectForms {
  readonly #forms: Lru<string, readonly MeshObject[]> = new Lru(MAX_OBJECTS);

  /** Forms of an object, newest first. */
  of(ref: ObjectRef): readonly MeshObject[] {
    return this.#forms.get(objectKey(ref)) ?? [];
  }

  remember(form: MeshObject): void {
    const others = this.of(form).filter((other) => other.hash !== form.hash);
    this.#forms.set(objectKey(form), [form, ...others].slice(0, MAX_FORMS));
  }

  forget(ref: ObjectRef): void {
    this.#forms.delete(objectKey(ref));
  }
}
