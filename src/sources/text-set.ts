/**
 * A set of named YAML texts and the objects in them: the state machine behind FilesSource and MemorySource, without I/O.
 * Promises: a text that cannot be read, or an object with an error, keeps what was last good; one bad document harms no
 * other; of an object in two texts the first by name order counts, and the other takes over when it goes.
 * Cost of a change: the changed text, and the objects in it.
 */
import { type DecodedObject, type DecodeOptions, decodeObjects } from '#api/decode-object.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { parseDocuments } from '#api/yaml-documents.ts';
import { placeDiagnostics } from '#api/yaml-position.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { hasErrors, makeDiagnostic } from '#base/diagnostic-catalog.ts';
import { type ObjectRef, objectKey, printObjectRef } from '#base/object-ref.ts';
import type { ObjectOrigin, SourceBatch } from './object-sink.ts';

/** What a text set needs besides texts. */
export interface TextSetOptions extends DecodeOptions {
  /** The text of a file as it is now, to find line numbers in; undefined when it is gone. */
  readonly readText: (file: string) => string | undefined;
}

interface Entry {
  readonly object: MeshObject;
  readonly origin: ObjectOrigin;
}

interface FileState {
  /** By objectKey; of an object that stands twice in the file the first one. */
  readonly entries: ReadonlyMap<string, Entry>;
  readonly diagnostics: readonly Diagnostic[];
}

/** Named texts in, batches of objects out. */
export class TextSet {
  readonly #options: TextSetOptions;
  readonly #files = new Map<string, FileState>();
  /** Files that hold an object, in name order: the first one counts. */
  readonly #holders = new Map<string, readonly string[]>();
  /** Objects as the sink has them. */
  readonly #delivered = new Map<string, MeshObject>();
  readonly #touched = new Set<string>();
  #hasNews = false;

  constructor(options: TextSetOptions) {
    this.#options = options;
  }

  /** Names of all texts. */
  get files(): Iterable<string> {
    return this.#files.keys();
  }

  /** Adds or replaces a text. */
  put(file: string, text: string): void {
    const before = this.#files.get(file)?.entries ?? new Map<string, Entry>();
    this.#replace(
      file,
      text === '' && before.size > 0 ? emptied(file, before) : this.#read(file, text, before),
    );
  }

  /** Notes that a text cannot be read; its objects stay as they are. */
  fail(file: string, diagnostic: Diagnostic): void {
    const entries = this.#files.get(file)?.entries ?? new Map<string, Entry>();
    this.#replace(file, { entries, diagnostics: [diagnostic] });
  }

  /** Takes a text away with its objects. */
  delete(file: string): void {
    this.#replace(file, undefined);
  }

  /** The changes since the last call as one batch; undefined when nothing changed. */
  takeBatch(): SourceBatch | undefined {
    const set: MeshObject[] = [];
    const remove: ObjectRef[] = [];
    for (const key of [...this.#touched].sort(compareBytes)) {
      const old = this.#delivered.get(key);
      const now = this.#winner(key)?.object;
      if (now !== undefined && !isSame(old, now)) {
        set.push(now);
        this.#delivered.set(key, now);
      } else if (now === undefined && old !== undefined) {
        remove.push({ kind: old.kind, namespace: old.namespace, name: old.name });
        this.#delivered.delete(key);
      }
    }
    const hasNews = this.#hasNews;
    this.#touched.clear();
    this.#hasNews = false;
    return hasNews ? { set, remove, diagnostics: this.diagnostics() } : undefined;
  }

  /** All findings, by file name, then by place. */
  diagnostics(): readonly Diagnostic[] {
    const names = [...this.#files.keys()].sort(compareBytes);
    return [...names.flatMap((name) => this.#files.get(name)?.diagnostics ?? []), ...this.#duplicates()];
  }

  /** Where an object that counts was written. */
  originOf(ref: ObjectRef): ObjectOrigin | undefined {
    return this.#winner(objectKey(ref))?.origin;
  }

  #winner(key: string): Entry | undefined {
    const file = this.#holders.get(key)?.[0];
    return file === undefined ? undefined : this.#files.get(file)?.entries.get(key);
  }

  #replace(file: string, state: FileState | undefined): void {
    const old = this.#files.get(file);
    if (old === undefined && state === undefined) return;
    if (state === undefined) this.#files.delete(file);
    else this.#files.set(file, state);
    this.#hasNews = true;
    for (const key of new Set([...(old?.entries.keys() ?? []), ...(state?.entries.keys() ?? [])])) {
      const others = (this.#holders.get(key) ?? []).filter((name) => name !== file);
      const holders = state?.entries.has(key) === true ? [...others, file].sort(compareBytes) : others;
      if (holders.length === 0) this.#holders.delete(key);
      else this.#holders.set(key, holders);
      this.#touched.add(key);
    }
  }

  #read(file: string, text: string, before: ReadonlyMap<string, Entry>): FileState {
    const entries = new Map<string, Entry>();
    const diagnostics: Diagnostic[] = [];
    let isComplete = true;
    for (const document of parseDocuments(text, file)) {
      if (document.diagnostic !== undefined) {
        diagnostics.push(document.diagnostic);
        isComplete = false;
        continue;
      }
      const decoded = decodeObjects(document.value, this.#options);
      const found: Diagnostic[] = [];
      for (const [item, result] of decoded.entries()) {
        const pathPrefix = decoded.length > 1 ? `items[${item}]` : '';
        const origin = { file, documentIndex: document.index, pathPrefix };
        found.push(...result.diagnostics, ...addEntry(result, origin, entries, before));
        if (result.ref === undefined && hasErrors(result.diagnostics)) isComplete = false;
      }
      diagnostics.push(...placeDiagnostics(found, text, document.index, file));
    }
    // A document without a name may be any of the objects that the text held before: none of them goes.
    if (!isComplete) for (const [key, entry] of before) if (!entries.has(key)) entries.set(key, entry);
    return { entries, diagnostics };
  }

  /** Findings about objects that stand in several files, placed in those that do not count. */
  #duplicates(): readonly Diagnostic[] {
    const found: Diagnostic[] = [];
    for (const [key, [winner = '', ...losers]] of this.#holders) {
      for (const file of losers) {
        const entry = this.#files.get(file)?.entries.get(key);
        if (entry !== undefined) found.push(...this.#place(duplicateOf(entry, winner), entry.origin));
      }
    }
    return found;
  }

  #place(diagnostic: Diagnostic, origin: ObjectOrigin): readonly Diagnostic[] {
    const text = this.#options.readText(origin.file) ?? '';
    return placeDiagnostics([diagnostic], text, origin.documentIndex, origin.file);
  }
}

function isSame(a: MeshObject | undefined, b: MeshObject): boolean {
  return a?.hash === b.hash && a.createdAtMs === b.createdAtMs;
}

/** An emptied text is more often half a save than a wish: the objects stay until the file is deleted. */
function emptied(file: string, entries: ReadonlyMap<string, Entry>): FileState {
  return { entries, diagnostics: [{ ...makeDiagnostic('LTN1205', {}), at: { file, line: 1, column: 1 } }] };
}

/** Adds the object of a document, or what was last good of it; returns findings about the adding. */
function addEntry(
  result: DecodedObject,
  origin: ObjectOrigin,
  entries: Map<string, Entry>,
  before: ReadonlyMap<string, Entry>,
): readonly Diagnostic[] {
  if (result.ref === undefined || result.ref.name === '') return [];
  const key = objectKey(result.ref);
  const object = result.object ?? before.get(key)?.object;
  if (object === undefined) return [];
  if (entries.has(key)) return [duplicateOf({ object, origin }, origin.file)];
  entries.set(key, { object, origin });
  return [];
}

function duplicateOf({ object, origin }: Entry, winner: string): Diagnostic {
  const { kind, namespace, name } = object;
  const ref = { kind, namespace, name };
  const path = origin.pathPrefix === '' ? 'metadata.name' : `${origin.pathPrefix}.metadata.name`;
  return makeDiagnostic('LTN1201', { resource: ref, path }, { object: printObjectRef(ref), file: winner });
}
