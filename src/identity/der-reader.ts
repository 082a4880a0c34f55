/**
 * Reads DER that a stranger sent, strictly: definite lengths in their shortest form, and no level deeper than the caller goes.
 * Views, no copies; each byte is looked at once per level.
 */

/** The bytes are no DER of the wanted form. */
export class DerError extends Error {
  override readonly name = 'DerError';
}

/** One element. */
export interface DerElement {
  readonly tag: number;
  readonly contents: Uint8Array;
  /** Tag, length and contents. */
  readonly whole: Uint8Array;
}

const MAX_LENGTH_BYTES = 3;

/** The elements that the bytes consist of, at most so many. Errors: DerError. */
export function readElements(bytes: Uint8Array, most: number): readonly DerElement[] {
  const elements: DerElement[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (elements.length === most) throw new DerError('too many elements');
    const element = readElement(bytes, at);
    elements.push(element);
    at += element.whole.length;
  }
  return elements;
}

/** The contents of the element, which must have that tag. Errors: DerError. */
export function contentsOf(element: DerElement | undefined, tag: number): Uint8Array {
  if (element?.tag !== tag) throw new DerError('another element is expected');
  return element.contents;
}

/** An OBJECT IDENTIFIER in its dotted form. Errors: DerError. */
export function readOid(element: DerElement | undefined): string {
  const bytes = contentsOf(element, 0x06);
  const [first = 0, ...rest] = bytes;
  if (bytes.length === 0 || first >= 0x80) throw new DerError('not an object identifier');
  const arcs = [Math.min(Math.floor(first / 40), 2)];
  arcs.push(first - 40 * (arcs[0] ?? 0));
  let arc = 0;
  for (const [i, byte] of rest.entries()) {
    arc = arc * 128 + (byte & 0x7f);
    if (arc > Number.MAX_SAFE_INTEGER) throw new DerError('not an object identifier');
    if (byte < 0x80) {
      arcs.push(arc);
      arc = 0;
    } else if (i === rest.length - 1) throw new DerError('not an object identifier');
  }
  return arcs.join('.');
}

function readElement(bytes: Uint8Array, at: number): DerElement {
  const [tag, first] = [bytes[at], bytes[at + 1]];
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) throw new DerError('not an element');
  const lengthBytes = first < 0x80 ? 0 : first - 0x80;
  const isShortest = lengthBytes === 0 || (bytes[at + 2] ?? 0) >= (lengthBytes === 1 ? 0x80 : 1);
  if (first === 0x80 || lengthBytes > MAX_LENGTH_BYTES || !isShortest) throw new DerError('not a length');
  const more = bytes.subarray(at + 2, at + 2 + lengthBytes);
  const length = lengthBytes === 0 ? first : more.reduce((size, byte) => size * 256 + byte, 0);
  const from = at + 2 + lengthBytes;
  if (from + length > bytes.length) throw new DerError('longer than what there is');
  return { tag, contents: bytes.subarray(from, from + length), whole: bytes.subarray(at, from + length) };
}
