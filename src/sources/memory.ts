/**
 * Objects from texts held in memory: what `apply` sends over the control socket, and what tests write. Behaves as
 * FilesSource does, text for file.
 */
import { locate } from '#api/yaml-position.ts';
import type { SourcePosition } from '#base/diagnostic.ts';
import type { ObjectRef } from '#base/object-ref.ts';
import type { ObjectOrigin, ObjectSink } from './object-sink.ts';
import { TextSet } from './text-set.ts';

/** A source whose texts are put and deleted by name; each call delivers a batch at once. */
export class MemorySource {
  readonly #sink: ObjectSink;
  readonly #texts = new Map<string, string>();
  readonly #set: TextSet;

  constructor(sink: ObjectSink, options: { readonly defaultNamespace: string }) {
    this.#sink = sink;
    this.#set = new TextSet({ ...options, readText: (name) => this.#texts.get(name) });
  }

  /** Adds or replaces a text. */
  put(name: string, text: string): void {
    this.#texts.set(name, text);
    this.#set.put(name, text);
    this.#deliver();
  }

  /** Takes a text away with its objects. */
  delete(name: string): void {
    this.#texts.delete(name);
    this.#set.delete(name);
    this.#deliver();
  }

  /** Where an object was written. */
  originOf(ref: ObjectRef): ObjectOrigin | undefined {
    return this.#set.originOf(ref);
  }

  /** Line and column of a field of an object. */
  positionOf(ref: ObjectRef, fieldPath: string): SourcePosition | undefined {
    return positionIn(this.#set, ref, fieldPath, (name) => this.#texts.get(name));
  }

  #deliver(): void {
    const batch = this.#set.takeBatch();
    if (batch !== undefined) this.#sink.apply(batch);
  }
}

/** Line and column of a field of an object of a text set; undefined when the object or its text is gone. */
export function positionIn(
  set: TextSet,
  ref: ObjectRef,
  fieldPath: string,
  readText: (file: string) => string | undefined,
): SourcePosition | undefined {
  const origin = set.originOf(ref);
  const text = origin === undefined ? undefined : readText(origin.file);
  if (origin === undefined || text === undefined) return undefined;
  const { file, documentIndex, pathPrefix } = origin;
  const path = [pathPrefix, fieldPath].filter((part) => part !== '').join('.');
  const place = locate(text, documentIndex, path);
  return place === undefined ? undefined : { file, ...place };
}
