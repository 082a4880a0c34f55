/**
 * google.protobuf.Struct by hand, as far as configurations written as a TypedStruct need it: values are looked up and changed on
 * a path of names, all else is copied as it stands. A name may be written as protobuf or as JSON writes it (vm_config, vmConfig).
 * Source: google/protobuf/struct.proto.
 */
import { WireReader, WireWriter } from '#base/proto-wire.ts';
import { fieldOf, mapFields } from './message-edit.ts';

/** Fields of Struct, of its map entries, and of Value. */
const FIELDS = 1;
const KEY = 1;
const VALUE = 2;
const STRING_VALUE = 3;
const BOOL_VALUE = 4;
const STRUCT_VALUE = 5;

/** The Value at a path; empty when there is none. Errors: WireError. */
export function structValue(struct: Uint8Array, [name = '', ...rest]: readonly string[]): Uint8Array {
  const reader = new WireReader(struct);
  let found: Uint8Array = new Uint8Array();
  while (reader.next()) {
    if (reader.field !== FIELDS) continue;
    const entry = reader.bytes();
    if (isNamed(entry, name)) found = fieldOf(entry, VALUE);
  }
  return rest.length === 0 || found.length === 0 ? found : structValue(fieldOf(found, STRUCT_VALUE), rest);
}

/** A text; '' for anything else. Errors: WireError. */
export function structText(struct: Uint8Array, path: readonly string[]): string {
  const reader = new WireReader(structValue(struct, path));
  while (reader.next()) if (reader.field === STRING_VALUE) return reader.string();
  return '';
}

/** True only for the value true. Errors: WireError. */
export function structFlag(struct: Uint8Array, path: readonly string[]): boolean {
  const reader = new WireReader(structValue(struct, path));
  while (reader.next()) if (reader.field === BOOL_VALUE) return reader.bool();
  return false;
}

/** Texts of an object by name. Errors: WireError. */
export function structTexts(struct: Uint8Array, path: readonly string[]): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  const reader = new WireReader(fieldOf(structValue(struct, path), STRUCT_VALUE));
  while (reader.next()) {
    if (reader.field !== FIELDS) continue;
    const entry = reader.bytes();
    texts.set(keyOf(entry), Buffer.from(fieldOf(fieldOf(entry, VALUE), STRING_VALUE)).toString('utf8'));
  }
  return texts;
}

/** Copies a Struct with the Value at a path, where there is one, replaced. Errors: WireError. */
export function withStructValue(struct: Uint8Array, path: readonly string[], value: Uint8Array): Uint8Array {
  const [name = '', ...rest] = path;
  return mapFields(struct, (number, entry) => {
    if (number !== FIELDS || !isNamed(entry, name)) return entry;
    return mapFields(entry, (part, old) => {
      if (part !== VALUE) return old;
      if (rest.length === 0) return value;
      return mapFields(old, (kind, inner) =>
        kind === STRUCT_VALUE ? withStructValue(inner, rest, value) : inner,
      );
    });
  });
}

/** A Value that is an object of texts, or of Values. */
export function objectValue(fields: ReadonlyMap<string, string | Uint8Array>): Uint8Array {
  const struct = new WireWriter();
  for (const [name, value] of fields) {
    const written = typeof value === 'string' ? new WireWriter().string(STRING_VALUE, value).finish() : value;
    struct.bytes(FIELDS, new WireWriter().string(KEY, name).bytes(VALUE, written).finish());
  }
  return new WireWriter().bytes(STRUCT_VALUE, struct.finish()).finish();
}

function keyOf(entry: Uint8Array): string {
  return Buffer.from(fieldOf(entry, KEY)).toString('utf8');
}

/** `name` is written with underscores. */
function isNamed(entry: Uint8Array, name: string): boolean {
  const key = keyOf(entry);
  return key === name || key === name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
