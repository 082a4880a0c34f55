/**
 * Equality of plain data: what decides whether a change spreads (law 4). Objects, arrays, Map, Set, bytes, Date and
 * primitives by content; anything else (class instances, functions) by identity, unless it says how by EQUALS.
 * Errs towards "different", which costs work, never towards "equal", which would lose a change.
 * Cost: O(size), nothing for parts that are shared by reference.
 */

/** Names the method by which a class tells deepEqual about its content. */
export const EQUALS: unique symbol = Symbol('equals');

/** A class instance that compares by content. `other` is of the same class. */
export interface Comparable {
  [EQUALS](other: this): boolean;
}

/** Deeper data than this is called different: no stack overflow, and an end for cycles. */
const MAX_DEPTH = 500;

/** True when both are the same data. NaN equals NaN; 0 and -0 differ (they encode differently); so do a missing and an undefined field. */
export function deepEqual(a: unknown, b: unknown): boolean {
  return equalAt(a, b, 0);
}

function equalAt(a: unknown, b: unknown, depth: number): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (depth > MAX_DEPTH) return false;
  const prototype: object | null = Object.getPrototypeOf(a);
  if (prototype !== Object.getPrototypeOf(b)) return equalAcrossPrototypes(a, b, depth);
  if (Array.isArray(a)) return equalArrays(a, b as unknown[], depth);
  if (prototype === null || prototype === Object.prototype) return equalFields(a, b, depth);
  return equalInstances(a, b, depth);
}

/** An object literal and a null-prototype object may hold the same data; so may a Buffer and a plain Uint8Array. */
function equalAcrossPrototypes(a: object, b: object, depth: number): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return equalBytes(a, b);
  const prototypes: readonly unknown[] = [Object.getPrototypeOf(a), Object.getPrototypeOf(b)];
  const arePlain = prototypes.includes(null) && prototypes.includes(Object.prototype);
  return arePlain && equalFields(a, b, depth);
}

function equalArrays(a: readonly unknown[], b: readonly unknown[], depth: number): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (!equalAt(a[i], b[i], depth + 1)) return false;
  }
  return true;
}

function equalFields(a: object, b: object, depth: number): boolean {
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  for (const key of keys) {
    if (!Object.hasOwn(b, key)) return false;
    if (!equalAt((a as Fields)[key], (b as Fields)[key], depth + 1)) return false;
  }
  return true;
}

type Fields = Readonly<Record<string, unknown>>;

/** Both are objects of one prototype that is neither Object's nor Array's. */
function equalInstances(a: object, b: object, depth: number): boolean {
  if (EQUALS in a) return (a as Comparable)[EQUALS](b as Comparable);
  if (a instanceof Uint8Array) return equalBytes(a, b as Uint8Array);
  if (a instanceof Map) return equalMaps(a, b as Map<unknown, unknown>, depth);
  if (a instanceof Set) return equalSets(a, b as Set<unknown>);
  if (a instanceof Date) return a.getTime() === (b as Date).getTime();
  // Protobuf messages with defaults inherit them from a prototype that belongs to no class.
  const isOfClass = Object.hasOwn(Object.getPrototypeOf(a) as object, 'constructor');
  return !isOfClass && equalFields(a, b, depth);
}

/** True when both hold the same bytes. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}

/** Keys by identity, values by content; order of entries does not matter. */
function equalMaps(
  a: ReadonlyMap<unknown, unknown>,
  b: ReadonlyMap<unknown, unknown>,
  depth: number,
): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) {
    if (!b.has(key) || !equalAt(value, b.get(key), depth + 1)) return false;
  }
  return true;
}

/** Members by identity. */
function equalSets(a: ReadonlySet<unknown>, b: ReadonlySet<unknown>): boolean {
  return a.size === b.size && a.isSubsetOf(b);
}
