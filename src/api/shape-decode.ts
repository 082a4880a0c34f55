/**
 * Decoder for the core kinds, whose types are written by hand as projections: a shape says for each field that we
 * use how to read it and what it is when absent. Unknown fields are a finding in strict shapes and ignored in others.
 */
import { fieldPath } from './field-path.ts';
import { type Findings, show, typeOf } from './findings.ts';
import { readBoolean, readInteger, readList, readObject, readString } from './json-scalar.ts';
import { suggest } from './suggestion.ts';
import { inKeyOrder } from './well-known-decode.ts';

/** Reads one value; undefined means that it did not fit (and a finding was made) or has no default. */
export type Read<T> = (value: unknown, path: string, findings: Findings) => T | undefined;

/** One field of a shape: how to read it, and its value when it is absent or does not fit. */
export interface ShapeField<T> {
  readonly read: Read<T>;
  readonly absent: T | undefined;
}

type ShapeFields<T> = { readonly [K in keyof T]-?: ShapeField<Exclude<T[K], undefined>> };

/** How an object treats fields that its shape does not name; `accept` lists names that are known but not kept. */
export interface UnknownFields {
  readonly unknown: 'refuse' | 'ignore';
  readonly accept?: readonly string[];
}

/** A field that takes `absent` when it is missing. */
export function field<T>(read: Read<T>, absent: T): ShapeField<T> {
  return { read, absent };
}

/** A field that stays away when it is missing. */
export function optional<T>(read: Read<T>): ShapeField<T> {
  return { read, absent: undefined };
}

/** A text. */
export const text: Read<string> = readString;

/** true or false. */
export const boolean: Read<boolean> = readBoolean;

/** A whole number within a range. */
export function integer(min: number, max: number): Read<number> {
  return (value, path, findings) => readInteger(value, min, max, path, findings);
}

/** A port from 1 to 65535. */
export const port: Read<number> = integer(1, 65535);

/** One of a few words. */
export function oneOf<T extends string>(...words: readonly T[]): Read<T> {
  return (value, path, findings) => {
    const found = words.find((word) => word === value);
    if (found !== undefined) return found;
    if (typeof value === 'string') {
      const suggestion = suggest(value, words) ?? '';
      findings.add('LTN1004', path, {
        value: show(value),
        suggestion,
        known: words.filter(Boolean).join(', '),
      });
    } else findings.add('LTN1003', path, { expected: 'a text', found: typeOf(value) });
    return undefined;
  };
}

/** A list; items that do not fit are left out. */
export function list<T>(item: Read<T>): Read<readonly T[]> {
  return (value, path, findings) => {
    const items = readList(value, path, findings);
    if (items === undefined) return undefined;
    const kept: T[] = [];
    for (const [index, raw] of items.entries()) {
      const read = item(raw, `${path}[${index}]`, findings);
      if (read !== undefined) kept.push(read);
    }
    return kept;
  };
}

/** A map from text to text, without prototype and with keys in byte order. */
export const textMap: Read<Readonly<Record<string, string>>> = (value, path, findings) => {
  const object = readObject(value, path, findings);
  if (object === undefined) return undefined;
  const entries = new Map<string, string>();
  for (const key of Object.keys(object)) {
    const item = object[key];
    const read = item === null ? '' : readString(item, fieldPath(path, key), findings);
    if (read !== undefined) entries.set(key, read);
  }
  return inKeyOrder(entries, Object.create(null)) as Readonly<Record<string, string>>;
};

/** The empty map that absent labels and selectors are. */
export function emptyMap(): Readonly<Record<string, string>> {
  return Object.create(null) as Record<string, string>;
}

/** An object of the given shape. */
export function object<T extends object>(fields: ShapeFields<T>, unknown: UnknownFields): Read<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  const known = new Set<string>([...names, ...(unknown.accept ?? [])]);
  return (value, path, findings) => {
    const raw = readObject(value, path, findings);
    if (raw === undefined) return undefined;
    if (unknown.unknown === 'refuse') reportUnknown(Object.keys(raw), known, path, findings);
    const decoded: Partial<Record<keyof T & string, unknown>> = {};
    for (const name of names) {
      const { read, absent } = fields[name];
      const item = Object.hasOwn(raw, name) ? raw[name] : undefined;
      const result =
        item === undefined || item === null
          ? absent
          : (read(item, fieldPath(path, name), findings) ?? absent);
      if (result !== undefined) decoded[name] = result;
    }
    return decoded as T;
  };
}

/** Makes a finding for each key that is not known. */
export function reportUnknown(
  keys: readonly string[],
  known: ReadonlySet<string>,
  path: string,
  findings: Findings,
): void {
  for (const key of keys) {
    if (known.has(key)) continue;
    const suggestion = suggest(key, known) ?? '';
    findings.add('LTN1002', fieldPath(path, key), {
      field: key,
      suggestion,
      known: [...known].sort().join(', '),
    });
  }
}
