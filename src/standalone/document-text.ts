/**
 * Documents of a YAML text by position, so that one can be exchanged and all others keep every byte: comments, order, spacing.
 * A line that begins with `---` always parts documents, also within block text. Pure.
 */

/** One document: its text is `text.slice(start, end)`, right behind its marker if it has one. */
export interface DocumentPlace {
  /** Where its `---` begins; equal to `start` when it has none. */
  readonly markerStart: number;
  readonly start: number;
  readonly end: number;
  /** Line of `start`, from 1. */
  readonly line: number;
}

const MARKER = /^---(?=[ \t\r\n]|$)/gm;

/** All documents, empty ones too; the text before the first marker is a document when it says anything. */
export function splitDocuments(text: string): readonly DocumentPlace[] {
  const markers = [...text.matchAll(MARKER)].map(({ index }) => index);
  const places: DocumentPlace[] = [];
  const firstEnd = markers[0] ?? text.length;
  if (markers.length === 0 || !isBlank(text.slice(0, firstEnd))) {
    places.push({ markerStart: 0, start: 0, end: firstEnd, line: 1 });
  }
  for (const [index, markerStart] of markers.entries()) {
    const start = markerStart + 3;
    places.push({ markerStart, start, end: markers[index + 1] ?? text.length, line: lineAt(text, start) });
  }
  return places;
}

/** The text with one document exchanged. */
export function replaceDocument(text: string, place: DocumentPlace, content: string): string {
  const head = text.slice(0, place.start);
  const tail = text.slice(place.end);
  return `${head}${place.start === place.markerStart ? '' : '\n'}${tidy(content)}${tail}`;
}

/** The text without one document; '' when nothing but blank space is left. */
export function removeDocument(text: string, place: DocumentPlace): string {
  const rest = text.slice(0, place.markerStart) + text.slice(place.end);
  return isBlank(rest) ? '' : rest;
}

/** The text with a document more. */
export function appendDocument(text: string, content: string): string {
  if (isBlank(text)) return tidy(content);
  return `${text.replace(/\n*$/, '\n')}---\n${tidy(content)}`;
}

/** No blank lines around, one line end at the end. */
function tidy(content: string): string {
  return `${content.replace(/^(?:[ \t]*\r?\n)+/, '').trimEnd()}\n`;
}

/** Says nothing at all. */
function isBlank(text: string): boolean {
  return text.split('\n').every((line) => line.trim() === '' || line.trim() === '---');
}

function lineAt(text: string, position: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < position; at = text.indexOf('\n', at + 1)) line++;
  return line;
}
