/**
 * Reads the objects of texts that a command brought: each with its own piece of the text, to be put into a file as it stands.
 * Every problem is a diagnostic with its place.
 */
import { decodeObjects } from '#api/decode-object.ts';
import { isJsonObject } from '#api/json-scalar.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { MAX_YAML_BYTES, parseDocuments } from '#api/yaml-documents.ts';
import { placeDiagnostics } from '#api/yaml-position.ts';
import type { Diagnostic, SourcePosition } from '#base/diagnostic.ts';
import { makeDiagnostic } from '#base/diagnostic-catalog.ts';
import { objectKey, printObjectRef } from '#base/object-ref.ts';
import type { ApplyFile } from '#doors/control-protocol.ts';
import { printYaml } from './file-edits.ts';
import { type DocumentPlace, splitDocuments } from './document-text.ts';

/** An object and the text that says it. */
export interface ReadObject {
  readonly object: MeshObject;
  readonly content: string;
  readonly at: SourcePosition;
  /** False for an item of a List, whose text has been printed anew. */
  readonly isWholeDocument: boolean;
}

/** All that could be read; `diagnostics` has an error when something could not. */
export interface ReadObjects {
  readonly objects: readonly ReadObject[];
  readonly diagnostics: readonly Diagnostic[];
}

interface Found {
  readonly objects: ReadObject[];
  readonly diagnostics: Diagnostic[];
}

/** A finding about an object, placed in the text that the object was read from. */
export function placeIn(one: ReadObject, diagnostic: Diagnostic): Diagnostic {
  const { at, content, isWholeDocument } = one;
  if (!isWholeDocument) return { ...diagnostic, at };
  const [placed = diagnostic] = placeDiagnostics([diagnostic], content, 0, at.file);
  return shift(placed, at.line);
}

/** Reads texts; an object that occurs twice is an error, as in a folder. */
export function readObjects(files: readonly ApplyFile[], namespace: string): ReadObjects {
  const found: Found = { objects: [], diagnostics: [] };
  for (const file of files) readFileObjects(file, namespace === '' ? 'default' : namespace, found);
  const first = new Map<string, ReadObject>();
  for (const one of found.objects) {
    const known = first.get(objectKey(one.object));
    if (known === undefined) first.set(objectKey(one.object), one);
    else {
      const { kind, namespace: place, name } = one.object;
      const resource = { kind, namespace: place, name };
      const args = { object: printObjectRef(resource), file: `${known.at.file}:${known.at.line}` };
      found.diagnostics.push({ ...makeDiagnostic('LTN1201', { resource }, args), at: one.at });
    }
  }
  return found;
}

function readFileObjects(file: ApplyFile, namespace: string, found: Found): void {
  if (file.text.length > MAX_YAML_BYTES) {
    const limit = `${MAX_YAML_BYTES / 1024 / 1024} MiB`;
    const at = { file: file.name, line: 1, column: 1 };
    found.diagnostics.push({ ...makeDiagnostic('LTN1202', {}, { limit }), at });
    return;
  }
  for (const place of splitDocuments(file.text)) readDocument(file, place, namespace, found);
}

function readDocument(file: ApplyFile, place: DocumentPlace, namespace: string, found: Found): void {
  const content = file.text.slice(place.start, place.end);
  for (const document of parseDocuments(content, file.name)) {
    if (document.diagnostic !== undefined) {
      found.diagnostics.push(shift(document.diagnostic, place.line));
      continue;
    }
    const items = isJsonObject(document.value) ? document.value['items'] : undefined;
    const decoded = decodeObjects(document.value, { defaultNamespace: namespace });
    for (const [index, one] of decoded.entries()) {
      const placed = placeDiagnostics(one.diagnostics, content, document.index, file.name);
      found.diagnostics.push(...placed.map((diagnostic) => shift(diagnostic, place.line)));
      if (one.object === undefined) continue;
      found.objects.push({
        object: one.object,
        content: Array.isArray(items) ? printYaml(items[index]) : content,
        at: { file: file.name, line: place.line, column: 1 },
        isWholeDocument: !Array.isArray(items),
      });
    }
  }
}

/** From the line within a document to the line within the file, where the document begins at `firstLine`. */
function shift(diagnostic: Diagnostic, firstLine: number): Diagnostic {
  if (diagnostic.at === undefined) return diagnostic;
  return { ...diagnostic, at: { ...diagnostic.at, line: diagnostic.at.line + firstLine - 1 } };
}
