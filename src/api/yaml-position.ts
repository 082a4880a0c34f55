/**
 * Finds the line and column of a field path in a YAML text, on demand: nobody pays for positions while all is well.
 * Walks the parser's events of one document; aliases count as leaves. Cost: one parse of that document.
 */
import type { Diagnostic, SourcePosition } from '#base/diagnostic.ts';
import { type Event, getScalarValue, parseEvents, type ScalarEvent } from 'js-yaml';
import { parseFieldPath } from './field-path.ts';
import { positionAt, splitDocuments, type YamlChunk } from './yaml-documents.ts';

const DOCUMENT = 1;
const SEQUENCE = 2;
const MAPPING = 3;
const SCALAR = 4;
const ALIAS = 5;
const POP = 6;
const MAX_DEPTH = 100;
/** Findings about a field's name point at the name, all others at the value where it is on the line. */
const CODES_ABOUT_NAMES: ReadonlySet<string> = new Set([
  'LTN1002',
  'LTN1011',
  'LTN1013',
  'LTN1108',
  'LTN1109',
  'LTN2043',
]);

/** A node of a document: where it begins, and its children by key or index. */
interface PositionNode {
  readonly offset: number;
  /** Where the key of this node begins; the same as `offset` for list items and the root. */
  readonly keyOffset: number;
  readonly isScalar: boolean;
  readonly children: ReadonlyMap<string, PositionNode>;
}

/**
 * The place of `fieldPath` in document `docIndex` (counted as parseDocuments does). Where the path leads nowhere
 * (a missing field), the place of the nearest field above it. undefined when the document cannot be parsed.
 */
export function locate(
  text: string,
  docIndex: number,
  fieldPath: string,
): { readonly line: number; readonly column: number } | undefined {
  const found = findDocument(text, docIndex);
  if (found === undefined) return undefined;
  const { line, column } = positionAt(text, found.chunk.offset + offsetOf(found.root, fieldPath, false), '');
  return { line, column };
}

/** Adds to each diagnostic the place of its path in document `docIndex` of the file. */
export function placeDiagnostics(
  diagnostics: readonly Diagnostic[],
  text: string,
  docIndex: number,
  file: string,
): readonly Diagnostic[] {
  if (diagnostics.length === 0) return diagnostics;
  const found = findDocument(text, docIndex);
  return diagnostics.map((diagnostic) => {
    if (diagnostic.at !== undefined) return diagnostic;
    const atName = CODES_ABOUT_NAMES.has(diagnostic.code);
    const offset =
      found === undefined ? 0 : found.chunk.offset + offsetOf(found.root, diagnostic.path ?? '', atName);
    const at: SourcePosition = positionAt(text, offset, file);
    return { ...diagnostic, at };
  });
}

function offsetOf(root: PositionNode, path: string, atName: boolean): number {
  let node = root;
  let isWholePath = true;
  for (const step of parseFieldPath(path)) {
    const child = node.children.get(String(step));
    if (child === undefined) {
      isWholePath = false;
      break;
    }
    node = child;
  }
  return node.isScalar && isWholePath && !atName ? node.offset : node.keyOffset;
}

function findDocument(text: string, docIndex: number): { chunk: YamlChunk; root: PositionNode } | undefined {
  let index = 0;
  for (const chunk of splitDocuments(text)) {
    const roots = readRoots(chunk.text);
    if (roots === undefined) {
      if (index === docIndex) return undefined;
      index++;
    } else if (docIndex < index + roots.length) {
      const root = roots[docIndex - index];
      return root === undefined ? undefined : { chunk, root };
    } else index += roots.length;
  }
  return undefined;
}

/** The documents of a piece of text that are not empty; undefined when it cannot be parsed. */
function readRoots(text: string): readonly PositionNode[] | undefined {
  let events: readonly Event[];
  try {
    events = parseEvents(text, { maxDepth: MAX_DEPTH });
  } catch {
    return undefined;
  }
  const reader = new EventReader(text, events);
  const roots: PositionNode[] = [];
  while (reader.isOpen) {
    const root = reader.readDocument();
    if (root !== undefined) roots.push(root);
  }
  return roots;
}

/** Builds position nodes out of the flat list of events. */
class EventReader {
  readonly #text: string;
  readonly #events: readonly Event[];
  #at = 0;

  constructor(text: string, events: readonly Event[]) {
    this.#text = text;
    this.#events = events;
  }

  get isOpen(): boolean {
    return this.#events[this.#at]?.type === DOCUMENT;
  }

  /** One document; undefined when it is empty. */
  readDocument(): PositionNode | undefined {
    this.#at++;
    let root: PositionNode | undefined;
    if (this.#events[this.#at]?.type !== POP) {
      const event = this.#events[this.#at] as Event;
      const isNull =
        event.type === SCALAR && event.style === 1 && /^(?:|~|null|Null|NULL)$/.test(this.#scalar(event));
      const node = this.#readNode(undefined);
      if (!isNull) root = node;
    }
    this.#at++;
    return root;
  }

  #readNode(keyOffset: number | undefined): PositionNode {
    const event = this.#events[this.#at++] as Event;
    const children = new Map<string, PositionNode>();
    if (event.type === SCALAR) {
      const offset = quoteStart(event);
      return { offset, keyOffset: keyOffset ?? offset, isScalar: true, children };
    }
    if (event.type === ALIAS) {
      const offset = event.anchorStart - 1;
      return { offset, keyOffset: keyOffset ?? offset, isScalar: true, children };
    }
    const offset = event.type === SEQUENCE || event.type === MAPPING ? event.start : 0;
    if (event.type === SEQUENCE) this.#readItems(children);
    if (event.type === MAPPING) this.#readEntries(children);
    return { offset, keyOffset: keyOffset ?? offset, isScalar: false, children };
  }

  #readItems(children: Map<string, PositionNode>): void {
    for (let index = 0; this.#events[this.#at]?.type !== POP; index++) {
      children.set(String(index), this.#readNode(undefined));
    }
    this.#at++;
  }

  #readEntries(children: Map<string, PositionNode>): void {
    while (this.#events[this.#at]?.type !== POP) {
      const event = this.#events[this.#at] as Event;
      const key = event.type === SCALAR ? this.#scalar(event) : '';
      const { offset } = this.#readNode(undefined);
      children.set(key, this.#readNode(offset));
    }
    this.#at++;
  }

  #scalar(event: ScalarEvent): string {
    return getScalarValue(this.#text, event);
  }
}

/** Quoted scalars begin at their quote. */
function quoteStart(event: ScalarEvent): number {
  return event.style === 2 || event.style === 3 ? event.valueStart - 1 : event.valueStart;
}
