/**
 * Decodes a JSON value by a protobuf descriptor into normalised proto3 JSON: lowerCamel names, enum names, canonical
 * durations, keys in byte order, maps without prototype. Collects every problem as a finding instead of stopping.
 * What the user did not write stays absent; a field written as null counts as absent.
 * Cost: one pass over the value; depth and number of values are bounded.
 */
import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescOneof,
  type Registry,
  ScalarType,
} from '@bufbuild/protobuf';
import { readAnyType } from './any-type.ts';
import type { DiagnosticCode } from '#base/diagnostic-catalog.ts';
import { fieldPath } from './field-path.ts';
import { type Findings, show, typeOf } from './findings.ts';
import {
  type JsonObject,
  readBase64,
  readBoolean,
  readInteger,
  readInteger64,
  readList,
  readNumber,
  readObject,
  readString,
} from './json-scalar.ts';
import { suggest } from './suggestion.ts';
import { inKeyOrder, readWellKnown } from './well-known-decode.ts';

const ANY = 'google.protobuf.Any';
const MAX_DEPTH = 64;
const MAX_VALUES = 200_000;
const MAX_LISTED_FIELDS = 30;
const INT32_MAX = 2 ** 31 - 1;
const UINT32_MAX = 2 ** 32 - 1;

/** Decodes values of one message type; made once per type by messageDecoder. */
export type MessageDecoder = (value: unknown, path: string, findings: Findings) => JsonObject | undefined;

/** How messages of others are read: leniently, as they may be of another version, and into their Any values. */
export interface ForeignMessages {
  /** Knows the types that an Any may hold. */
  readonly registry: Registry;
  /** The finding for a field that is not known, which is left out. */
  readonly unknownField: DiagnosticCode;
}

interface Walk {
  readonly findings: Findings;
  depth: number;
  values: number;
}

/** A message type with its fields by every name that JSON may use for them. */
interface MessageTable {
  readonly desc: DescMessage;
  readonly fields: ReadonlyMap<string, DescField>;
}

/** Prepares the decoder of a message type. The field tables of it and its parts are built on first use and kept. */
export function messageDecoder(desc: DescMessage, foreign?: ForeignMessages): MessageDecoder {
  const decoder = new SchemaDecoder(foreign);
  return (value, path, findings) => decoder.decode(desc, value, path, findings);
}

class SchemaDecoder {
  readonly #tables = new Map<DescMessage, MessageTable>();
  readonly #foreign: ForeignMessages | undefined;

  constructor(foreign: ForeignMessages | undefined) {
    this.#foreign = foreign;
  }

  decode(desc: DescMessage, value: unknown, path: string, findings: Findings): JsonObject | undefined {
    const walk: Walk = { findings, depth: 0, values: 0 };
    return this.#message(desc, value, path, walk) as JsonObject | undefined;
  }

  #message(desc: DescMessage, value: unknown, path: string, walk: Walk): unknown {
    if (desc.typeName === ANY && this.#foreign !== undefined)
      return this.#any(this.#foreign.registry, value, path, walk);
    if (desc.typeName.startsWith('google.protobuf.')) return this.#wellKnown(desc, value, path, walk);
    const object = readObject(value, path, walk.findings);
    return object === undefined ? undefined : this.#fields(desc, object, path, walk);
  }

  #fields(desc: DescMessage, object: JsonObject, path: string, walk: Walk): JsonObject | undefined {
    if (!this.#enter(path, walk)) return undefined;
    const table = this.#table(desc);
    const decoded = new Map<string, unknown>();
    const seen = new Map<DescField | DescOneof, string>();
    for (const key of Object.keys(object)) {
      const item = object[key];
      const field = table.fields.get(key);
      if (field === undefined) {
        reportUnknownField(table, key, this.#foreign, fieldPath(path, key), walk.findings);
      } else if (item !== null && item !== undefined && isFirst(field, key, seen, path, walk.findings)) {
        const result = this.#field(field, item, fieldPath(path, key), walk);
        if (result !== undefined) decoded.set(field.jsonName, result);
      }
    }
    walk.depth--;
    return inKeyOrder(decoded, {});
  }

  /** The message in an Any, by its type. Well-known types stand under `value`. Source: proto3 JSON, Any. */
  #any(registry: Registry, value: unknown, path: string, walk: Walk): unknown {
    const object = readObject(value, path, walk.findings);
    const desc = object && readAnyType(registry, object, path, walk.findings);
    if (object === undefined || desc === undefined) return undefined;
    const { '@type': type, ...fields } = object;
    if (desc.typeName.startsWith('google.protobuf.')) {
      const inner = this.#message(desc, fields['value'] ?? {}, fieldPath(path, 'value'), walk);
      return inner === undefined ? undefined : { '@type': type, value: inner };
    }
    const inner = this.#fields(desc, fields, path, walk);
    return inner === undefined ? undefined : { '@type': type, ...inner };
  }

  #wellKnown(desc: DescMessage, value: unknown, path: string, walk: Walk): unknown {
    if (!this.#enter(path, walk)) return undefined;
    const result = readWellKnown(desc.typeName, value, path, walk.findings);
    walk.depth--;
    return result;
  }

  #field(field: DescField, value: unknown, path: string, walk: Walk): unknown {
    switch (field.fieldKind) {
      case 'list':
        return this.#list(field, value, path, walk);
      case 'map':
        return this.#map(field, value, path, walk);
      case 'message':
        return this.#message(field.message, value, path, walk);
      case 'enum':
        return this.#count(path, walk) ? readEnum(field.enum, value, path, walk.findings) : undefined;
      case 'scalar':
        return this.#count(path, walk) ? readScalar(field.scalar, value, path, walk.findings) : undefined;
    }
  }

  #list(field: DescField & { fieldKind: 'list' }, value: unknown, path: string, walk: Walk): unknown {
    const list = readList(value, path, walk.findings);
    if (list === undefined || !this.#enter(path, walk)) return undefined;
    const items: unknown[] = [];
    for (const [index, item] of list.entries()) {
      const result = this.#element(field, item, `${path}[${index}]`, walk);
      if (result !== undefined) items.push(result);
    }
    walk.depth--;
    return items;
  }

  #map(field: DescField & { fieldKind: 'map' }, value: unknown, path: string, walk: Walk): unknown {
    const object = readObject(value, path, walk.findings);
    if (object === undefined || !this.#enter(path, walk)) return undefined;
    const entries = new Map<string, unknown>();
    for (const key of Object.keys(object)) {
      const at = fieldPath(path, key);
      const mapKey = readMapKey(field.mapKey, key, at, walk.findings);
      const result = this.#element(field, object[key], at, walk);
      if (mapKey !== undefined && result !== undefined) entries.set(mapKey, result);
    }
    walk.depth--;
    return inKeyOrder(entries, Object.create(null));
  }

  /** One item of a list or one value of a map. */
  #element(
    field: DescField & { fieldKind: 'list' | 'map' },
    value: unknown,
    path: string,
    walk: Walk,
  ): unknown {
    if (field.message !== undefined) return this.#message(field.message, value, path, walk);
    if (!this.#count(path, walk)) return undefined;
    if (field.enum !== undefined) return readEnum(field.enum, value, path, walk.findings);
    return readScalar(field.scalar as ScalarType, value, path, walk.findings);
  }

  #enter(path: string, walk: Walk): boolean {
    if (walk.depth >= MAX_DEPTH) {
      walk.findings.add('LTN1009', path, { limit: `depth ${MAX_DEPTH}` });
      return false;
    }
    if (!this.#count(path, walk)) return false;
    walk.depth++;
    return true;
  }

  #count(path: string, walk: Walk): boolean {
    walk.values++;
    if (walk.values === MAX_VALUES) walk.findings.add('LTN1009', path, { limit: `${MAX_VALUES} values` });
    return walk.values < MAX_VALUES;
  }

  #table(desc: DescMessage): MessageTable {
    let table = this.#tables.get(desc);
    if (table === undefined) {
      const fields = new Map<string, DescField>();
      for (const field of desc.fields) fields.set(field.name, field);
      for (const field of desc.fields) fields.set(field.jsonName, field);
      table = { desc, fields };
      this.#tables.set(desc, table);
    }
    return table;
  }
}

/** Reports a field that is set twice (two spellings) and two members of one oneof. */
function isFirst(
  field: DescField,
  key: string,
  seen: Map<DescField | DescOneof, string>,
  path: string,
  findings: Findings,
): boolean {
  const other = seen.get(field);
  if (other !== undefined) {
    findings.add('LTN1011', fieldPath(path, key), { field: key, other });
    return false;
  }
  seen.set(field, key);
  if (field.oneof === undefined) return true;
  const rival = seen.get(field.oneof);
  if (rival !== undefined) findings.add('LTN1005', fieldPath(path, key), { fields: `${rival} and ${key}` });
  else seen.set(field.oneof, key);
  return true;
}

/** Says what the user may have meant: a field here, or a field of that name one level down. */
function reportUnknownField(
  table: MessageTable,
  key: string,
  foreign: ForeignMessages | undefined,
  path: string,
  findings: Findings,
): void {
  // Envoy's own documents have the names of the proto files.
  const names = table.desc.fields.map((field) => (foreign === undefined ? field.jsonName : field.name));
  const inner = table.desc.fields.find(
    (field) => field.fieldKind === 'message' && field.message.fields.some((child) => child.jsonName === key),
  );
  const suggestion = suggest(key, names) ?? (inner === undefined ? '' : `${inner.jsonName}.${key}`);
  const known = names.length > MAX_LISTED_FIELDS ? '' : names.sort().join(', ');
  findings.add(foreign?.unknownField ?? 'LTN1002', path, { field: key, suggestion, known });
}

function readEnum(desc: DescEnum, value: unknown, path: string, findings: Findings): string | undefined {
  const found = desc.values.find((item) => item.name === value || item.number === value);
  if (found !== undefined) return found.name;
  if (typeof value !== 'string' && typeof value !== 'number') {
    findings.add('LTN1003', path, { expected: 'one of the known values', found: typeOf(value) });
    return undefined;
  }
  const names = desc.values.map((item) => item.name);
  const suggestion = typeof value === 'string' ? (suggest(value, names) ?? '') : '';
  findings.add('LTN1004', path, { value: show(value), suggestion, known: names.join(', ') });
  return undefined;
}

function readScalar(type: ScalarType, value: unknown, path: string, findings: Findings): unknown {
  switch (type) {
    case ScalarType.STRING:
      return readString(value, path, findings);
    case ScalarType.BOOL:
      return readBoolean(value, path, findings);
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return readInteger(value, -INT32_MAX - 1, INT32_MAX, path, findings);
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return readInteger(value, 0, UINT32_MAX, path, findings);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return readInteger64(value, true, path, findings);
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return readInteger64(value, false, path, findings);
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      return readNumber(value, path, findings);
    case ScalarType.BYTES:
      return readBase64(value, path, findings);
  }
}

/** A map key in its canonical text form. */
function readMapKey(type: ScalarType, key: string, path: string, findings: Findings): string | undefined {
  if (type === ScalarType.STRING) return key;
  const isNumber = /^-?\d{1,20}$/.test(key);
  const isBoolean = type === ScalarType.BOOL && (key === 'true' || key === 'false');
  const negativeUnsigned = key.startsWith('-') && (type === ScalarType.UINT32 || type === ScalarType.UINT64);
  if (isBoolean) return key;
  if (isNumber && !negativeUnsigned && type !== ScalarType.BOOL) return BigInt(key).toString();
  findings.add('LTN1013', path, {
    key: show(key),
    expected: type === ScalarType.BOOL ? 'true or false' : 'a whole number',
  });
  return undefined;
}
