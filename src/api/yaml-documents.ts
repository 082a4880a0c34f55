/**
 * Text of a YAML (or JSON) file -> its documents as plain values. Documents are parsed one by one, so that one that
 * cannot be read harms no other. Bounded: size, number of documents, depth, and what aliases expand to.
 * Positions are not kept; yaml-position.ts finds them when a finding is shown.
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import { type DiagnosticCode, makeDiagnostic } from '#base/diagnostic-catalog.ts';
import { constructFromEvents, type Event, parseEvents, YAMLException } from 'js-yaml';
import { KUBERNETES_SCHEMA } from './yaml-schema.ts';

/** Files above this size are not read. */
export const MAX_YAML_BYTES = 8 * 1024 * 1024;
const MAX_DOCUMENTS = 10_000;
const MAX_DEPTH = 100;
const MAX_ALIASES = 1000;
const MAX_EXPANDED_VALUES = 100_000;
const ALIAS_EVENT = 5;

/** One document of a file: its value, or why it cannot be read. Empty documents are left out. */
export interface YamlDocument {
  /** Number of the document among those of the file that are not empty, from 0. */
  readonly index: number;
  readonly value?: unknown;
  readonly diagnostic?: Diagnostic;
}

/** A piece of the text that holds one document, or several that `...` separates. */
export interface YamlChunk {
  /** Where the piece begins in the file. */
  readonly offset: number;
  readonly text: string;
}

/** Parses all documents of a file; `file` is the name that diagnostics carry. Errors: LTN1001, LTN1202, LTN1206 to LTN1208. */
export function parseDocuments(text: string, file: string): readonly YamlDocument[] {
  const at = { file, line: 1, column: 1 };
  if (text.length > MAX_YAML_BYTES) {
    const diagnostic = makeDiagnostic('LTN1202', {}, { limit: `${MAX_YAML_BYTES / 1024 / 1024} MiB` });
    return [{ index: 0, diagnostic: { ...diagnostic, at } }];
  }
  const documents: YamlDocument[] = [];
  const chunks = splitDocuments(text);
  for (const chunk of chunks.slice(0, MAX_DOCUMENTS)) {
    for (const parsed of parseChunk(chunk, text, file))
      documents.push({ index: documents.length, ...parsed });
  }
  if (chunks.length > MAX_DOCUMENTS) {
    const diagnostic = makeDiagnostic('LTN1206', {}, { limit: String(MAX_DOCUMENTS) });
    documents.push({ index: documents.length, diagnostic: { ...diagnostic, at } });
  }
  return documents;
}

/**
 * Cuts the text before each line that begins with `---`, which YAML allows nowhere inside a document. Directives
 * (%YAML) stay with the document behind them. Stops one piece beyond the largest number of documents.
 */
export function splitDocuments(text: string): readonly YamlChunk[] {
  const marker = /^---(?=[ \t\r\n]|$)/gm;
  const chunks: YamlChunk[] = [];
  let start = 0;
  for (const match of text.matchAll(marker)) {
    const before = text.slice(start, match.index);
    if (match.index === start || hasOnlyDirectives(before)) continue;
    if (chunks.length > MAX_DOCUMENTS) return chunks;
    chunks.push({ offset: start, text: before });
    start = match.index;
  }
  chunks.push({ offset: start, text: text.slice(start) });
  return chunks;
}

function hasOnlyDirectives(text: string): boolean {
  return text.includes('%') && /^(?:[\uFEFF\s]|%[^\n]*\n|#[^\n]*\n)*$/.test(text);
}

type Parsed = { readonly value: unknown } | { readonly diagnostic: Diagnostic };

function parseChunk(chunk: YamlChunk, text: string, file: string): readonly Parsed[] {
  try {
    const events = parseEvents(chunk.text, { maxDepth: MAX_DEPTH });
    const values = constructFromEvents(events, {
      source: chunk.text,
      schema: KUBERNETES_SCHEMA,
      maxAliases: MAX_ALIASES,
    }).filter((value) => value !== null && value !== undefined);
    const problem = hasAliases(events) ? aliasProblem(values) : undefined;
    if (problem === undefined) return values.map((value) => ({ value }));
    const at = positionAt(text, chunk.offset, file);
    const diagnostic = makeDiagnostic(problem, {}, { limit: String(MAX_EXPANDED_VALUES) });
    return [{ diagnostic: { ...diagnostic, at } }];
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const at = positionAt(text, chunk.offset + (error.mark?.position ?? 0), file);
    return [{ diagnostic: { ...makeDiagnostic('LTN1001', {}, { problem: error.reason }), at } }];
  }
}

function hasAliases(events: readonly Event[]): boolean {
  return events.some((event) => event.type === ALIAS_EVENT);
}

/** Aliases share values, so a small text can stand for a huge tree, or for a tree without end. */
function aliasProblem(values: readonly unknown[]): DiagnosticCode | undefined {
  const sizes = new Map<object, number>();
  let isCyclic = false;
  function sizeOf(value: unknown): number {
    if (typeof value !== 'object' || value === null) return 1;
    const known = sizes.get(value);
    if (known === 0) isCyclic = true;
    if (known !== undefined) return known;
    sizes.set(value, 0);
    let size = 1;
    for (const child of Object.values(value)) size = Math.min(size + sizeOf(child), Number.MAX_SAFE_INTEGER);
    sizes.set(value, size);
    return size;
  }
  const total = values.reduce<number>((sum, value) => sum + sizeOf(value), 0);
  if (isCyclic) return 'LTN1208';
  return total > MAX_EXPANDED_VALUES ? 'LTN1207' : undefined;
}

/** Line and column, from 1, of an offset in the text. */
export function positionAt(
  text: string,
  offset: number,
  file: string,
): { readonly file: string; readonly line: number; readonly column: number } {
  const end = Math.min(Math.max(offset, 0), text.length);
  let line = 1;
  let lineStart = 0;
  for (let at = text.indexOf('\n'); at >= 0 && at < end; at = text.indexOf('\n', at + 1)) {
    line++;
    lineStart = at + 1;
  }
  return { file, line, column: end - lineStart + 1 };
}
