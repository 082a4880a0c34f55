/**
 * Reads the objects of a text that a command brought: each with its own piece of the text, to be put into a file as it stands.
 * Every problem is a diagnostic with its place; limits keep a hostile text from costing much.
 */
import { isNode, LineCounter, parseDocument } from 'yaml';
import { decodeObjects } from '#api/decode-object.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { Diagnostic, SourcePosition } from '#base/diagnostic.ts';
import { makeDiagnostic } from '#base/diagnostic-catalog.ts';
import { objectKey } from '#base/object-ref.ts';
import type { ApplyFile } from '#doors/control-protocol.ts';
import { type DocumentPlace, splitDocuments } from './yaml-documents.ts';

/** An object and the text that says it. */
export interface ReadObject {
  readonly object: MeshObject;
  readonly content: string;
  readonly at: SourcePosition;
}

/** All that could be read; `diagnostics` has an error when something could not. */
export interface ReadObjects {
  readonly objects: readonly ReadObject[];
  readonly diagnostics: readonly Diagnostic[];
}

const MAX_FILE_BYTES = 8 * 1024 * 1024;
const MAX_ALIASES = 1000;

type Found = { readonly objects: ReadObject[]; readonly diagnostics: Diagnostic[] };

/** Reads files; an object that occurs twice is an error, as in a folder. */
export function readObjects(files: readonly ApplyFile[], namespace: string): ReadObjects {
  const found: Found = { objects: [], diagnostics: [] };
  for (const file of files) readFileObjects(file, namespace === '' ? 'default' : namespace, found);
  const first = new Map<string, ReadObject>();
  for (const one of found.objects) {
    const known = first.get(objectKey(one.object));
    if (known === undefined) first.set(objectKey(one.object), one);
    else {
      const { kind, namespace: where, name } = one.object;
      const args = { object: `${kind} ${where}/${name}`, file: `${known.at.file}:${known.at.line}` };
      found.diagnostics.push({ ...makeDiagnostic('LTN1201', { resource: { kind, namespace: where, name } }, args), at: one.at });
    }
  }
  return found;
}

function readFileObjects(file: ApplyFile, namespace: string, found: Found): void {
  if (file.text.length > MAX_FILE_BYTES) {
    const at = { file: file.name, line: 1, column: 1 };
    found.diagnostics.push({ ...makeDiagnostic('LTN1202', {}, { limit: `${MAX_FILE_BYTES} bytes` }), at });
    return;
  }
  for (const place of splitDocuments(file.text)) readDocument(file, place, namespace, found);
}

function readDocument(file: ApplyFile, place: DocumentPlace, namespace: string, found: Found): void {
  const content = file.text.slice(place.start, place.end);
  const lineCounter = new LineCounter();
  const document = parseDocument(content, { lineCounter, prettyErrors: false });
  const positionAt = (offset: number): SourcePosition => {
    const { line, col } = lineCounter.linePos(offset);
    return { file: file.name, line: place.line + Math.max(1, line) - 1, column: Math.max(1, col) };
  };
  const [error] = document.errors;
  if (error !== undefined) {
    found.diagnostics.push({ ...makeDiagnostic('LTN1001', {}, { problem: error.message }), at: positionAt(error.pos[0]) });
    return;
  }
  const json = toJson(() => document.toJS({ maxAliasCount: MAX_ALIASES }));
  if (json === null) return;
  const start = positionAt(document.contents?.range?.[0] ?? 0);
  const decoded = decodeObjects(json, { defaultNamespace: namespace });
  for (const [index, one] of decoded.entries()) {
    const isItem = decoded.length > 1 || isList(json);
    if (one.object !== undefined) {
      const text = isItem ? document.createNode(itemsOf(json)[index]) : undefined;
      found.objects.push({ object: one.object, content: text === undefined ? content : printNode(text), at: start });
    }
    for (const diagnostic of one.diagnostics) {
      const offset = offsetOf(document, diagnostic.path ?? '');
      found.diagnostics.push({ ...diagnostic, at: offset === undefined ? start : positionAt(offset) });
    }
  }
}

function toJson(read: () => unknown): unknown {
  try {
    return read() ?? null;
  } catch {
    return null;
  }
}

function isList(json: unknown): boolean {
  return typeof json === 'object' && json !== null && Array.isArray((json as { items?: unknown }).items);
}

function itemsOf(json: unknown): readonly unknown[] {
  return (json as { readonly items?: readonly unknown[] }).items ?? [];
}

function printNode(node: unknown): string {
  const document = parseDocument('');
  document.contents = node as typeof document.contents;
  return document.toString();
}

/** Where a field path such as `spec.http[0].route` begins; of its nearest ancestor when the field is missing. */
function offsetOf(document: ReturnType<typeof parseDocument>, path: string): number | undefined {
  const keys = [...path.matchAll(/\[(?:(\d+)|"((?:[^"\\]|\\.)*)")\]|([^.[\]]+)/g)].map(([, index, quoted, name]) =>
    index === undefined ? (quoted ?? name ?? '') : Number(index),
  );
  for (let depth = keys.length; depth > 0; depth--) {
    const node = document.getIn(keys.slice(0, depth), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return undefined;
}
