/**
 * The one order of strings in this program: by the bytes of their UTF-8 form, as Go and protobuf sort.
 * JavaScript's `<` orders UTF-16 code units, which differs only where a surrogate meets U+E000..U+FFFF.
 * Cost: about one native comparison; strings with code units from U+D800 up take a loop.
 */

/** Code units on which the two orders can disagree. Costs nothing on one-byte strings: the engine knows it can't match. */
const SURROGATE_OR_ABOVE = /[\ud800-\uffff]/;

/** Negative, zero or positive as `a` comes before, is, or comes after `b` in UTF-8 byte order. */
export function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  if (SURROGATE_OR_ABOVE.test(a)) return compareCodePoints(a, b);
  return a < b ? -1 : 1;
}

function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rankInCodePointOrder(x) - rankInCodePointOrder(y);
  }
  return a.length - b.length;
}

/** Moves surrogates (they begin code points above U+FFFF) behind the rest of the basic plane. */
function rankInCodePointOrder(unit: number): number {
  const isSurrogate = unit >= 0xd800 && unit < 0xe000;
  return isSurrogate ? unit + 0x10000 : unit;
}

/** A new array in byte order of each item's key; items with equal keys keep their order. */
export function sortedBy<T>(items: Iterable<T>, key: (item: T) => string): T[] {
  return [...items].sort((a, b) => compareBytes(key(a), key(b)));
}
