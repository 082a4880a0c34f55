/**
 * Changes to the files of a mesh folder, gathered before any is written: an object that stands in a file is exchanged there, a new one
 * gets a file of its own, a removed one takes its empty file along. Knows objects by their ref and reads them
 * out of the texts themselves, so that a stale line number can't hit a neighbour.
 */
import { Document, isMap, isSeq, parseDocument } from 'yaml';
import { kindInfo } from '#api/kind-registry.ts';
import { type ObjectRef, objectKey } from '#base/object-ref.ts';
import {
  appendDocument,
  type DocumentPlace,
  removeDocument,
  replaceDocument,
  splitDocuments,
} from './document-text.ts';

const DEFAULT_NAMESPACE = 'default';

/** Where an object stands in a text: a document, or an item of a List. */
interface ObjectPlace {
  readonly place: DocumentPlace;
  readonly item: number | undefined;
}

/** A gathering of changes over the files that `read` gives ('' for one that does not exist). */
export class FileEdits {
  readonly #read: (file: string) => string;
  readonly #texts = new Map<string, string>();

  constructor(read: (file: string) => string) {
    this.#read = read;
  }

  /** New text by file; '' means that the file goes. */
  get changes(): ReadonlyMap<string, string> {
    return this.#texts;
  }

  /** The text of an object as it stands; undefined when the file does not have it. */
  find(file: string, ref: ObjectRef): { readonly text: string; readonly line: number } | undefined {
    const text = this.#text(file);
    const found = findObject(text, ref);
    if (found === undefined) return undefined;
    const { place, item } = found;
    const content = text.slice(place.start, place.end);
    if (item === undefined) return { text: content, line: place.line };
    return { text: itemText(content, item), line: place.line };
  }

  /** Puts an object into a file: in its own place when it stands there, else as a further document. */
  put(file: string, ref: ObjectRef, content: string): void {
    const text = this.#text(file);
    const found = findObject(text, ref);
    if (found === undefined) this.#texts.set(file, appendDocument(text, content));
    else if (found.item === undefined) this.#texts.set(file, replaceDocument(text, found.place, content));
    else
      this.#editList(
        file,
        text,
        found.place,
        (items) => void (items[found.item ?? 0] = parseDocument(content).contents),
      );
  }

  /** Takes an object out of a file; false when it is not there. */
  remove(file: string, ref: ObjectRef): boolean {
    const text = this.#text(file);
    const found = findObject(text, ref);
    if (found === undefined) return false;
    if (found.item === undefined) this.#texts.set(file, removeDocument(text, found.place));
    else this.#editList(file, text, found.place, (items) => void items.splice(found.item ?? 0, 1));
    return true;
  }

  #text(file: string): string {
    return this.#texts.get(file) ?? this.#read(file);
  }

  #editList(file: string, text: string, place: DocumentPlace, edit: (items: unknown[]) => void): void {
    const list = parseDocument(text.slice(place.start, place.end));
    const items = list.get('items');
    if (!isSeq(items)) return;
    edit(items.items);
    const emptied = items.items.length === 0;
    this.#texts.set(
      file,
      emptied ? removeDocument(text, place) : replaceDocument(text, place, list.toString()),
    );
  }
}

/** The text of an object with a namespace written into it, when it names none. */
export function withNamespace(content: string, namespace: string): string {
  const document = parseDocument(content);
  const metadata = document.get('metadata');
  if (!isMap(metadata) || metadata.get('namespace')) return content;
  metadata.set('namespace', namespace);
  return document.toString();
}

function findObject(text: string, ref: ObjectRef): ObjectPlace | undefined {
  const wanted = objectKey(ref);
  for (const place of splitDocuments(text)) {
    const document = parseDocument(text.slice(place.start, place.end));
    if (document.errors.length > 0) continue;
    const item = listItems(document).findIndex((one) => keyOf(one) === wanted);
    if (item >= 0) return { place, item };
    if (keyOf(toJson(document)) === wanted) return { place, item: undefined };
  }
  return undefined;
}

function itemText(content: string, item: number): string {
  const items = parseDocument(content).get('items');
  return printYaml(isSeq(items) ? items.items[item] : undefined);
}

/** A value, or a node with its comments, as a YAML document. */
export function printYaml(value: unknown): string {
  return new Document(value).toString();
}

/** Items of a Kubernetes List; none for every other document. */
function listItems(document: Document.Parsed): readonly unknown[] {
  const json = toJson(document);
  const kind = field(json, 'kind');
  const items = field(json, 'items');
  return typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items) ? items : [];
}

/** An alias bomb is refused by the library; such a document has no objects. */
function toJson(document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch {
    return undefined;
  }
}

function keyOf(json: unknown): string | undefined {
  const kind = field(json, 'kind');
  const metadata = field(json, 'metadata');
  const name = field(metadata, 'name');
  const namespace = field(metadata, 'namespace');
  if (typeof kind !== 'string' || typeof name !== 'string') return undefined;
  const written = typeof namespace === 'string' && namespace !== '' ? namespace : DEFAULT_NAMESPACE;
  return objectKey({ kind, name, namespace: kindInfo(kind)?.namespaced === false ? '' : written });
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}
