/**
 * Messages to bytes: the last step of every builder. Encoding is canonical (law 5): fields by number, map entries
 * in one fixed order, so equal messages give equal bytes on every replica and after every restart.
 * Costs one walk over the message and one encoding; results are shared by everybody who sees the resource.
 */
import type { DescField, DescMessage, Message, MessageShape } from '@bufbuild/protobuf';
import { create, toBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { compareBytes } from '#base/bytes-order.ts';
import { hashHex } from '#base/hash.ts';
import type { Resource } from './resource.ts';

/**
 * Encodes a message as the resource that proxies hold. Takes the message over: its maps are put in order in place.
 * `references` are the names that must exist at the proxy before this one is used and may go only after it.
 */
export function encodeResource<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
  typeUrl: string,
  name: string,
  references: readonly string[] = [],
): Resource {
  const bytes = encodeCanonical(schema, message);
  const resource = { typeUrl, name, bytes, version: hashHex(bytes) };
  return references.length === 0 ? resource : { ...resource, references };
}

/** Encodes a message to canonical bytes. Takes the message over, as `encodeResource` does. */
export function encodeCanonical<D extends DescMessage>(schema: D, message: MessageShape<D>): Uint8Array {
  orderMaps(schema, message);
  return toBinary(schema, message);
}

/** Packs a message into an Any with canonical bytes; the way to fill every `typedConfig`. */
export function packAny<D extends DescMessage>(schema: D, message: MessageShape<D>): Any {
  return create(AnySchema, {
    typeUrl: `type.googleapis.com/${schema.typeName}`,
    value: encodeCanonical(schema, message),
  });
}

/**
 * Puts the entries of all maps below a message in order. JavaScript fixes the order of an object's keys: integer-like
 * keys by number, others as inserted; inserting the others in byte order therefore leaves exactly one order per set.
 */
function orderMaps(desc: DescMessage, message: Message): void {
  // The reflective view: fields by local name. Generated types cannot be indexed by a runtime name.
  const fields = message as unknown as Record<string, unknown>;
  for (const field of desc.fields) {
    if (field.oneof === undefined) {
      orderField(field, fields, field.localName);
      continue;
    }
    const chosen = fields[field.oneof.localName] as Record<string, unknown>;
    if (chosen['case'] === field.localName) orderField(field, chosen, 'value');
  }
}

function orderField(field: DescField, holder: Record<string, unknown>, key: string): void {
  const value = holder[key];
  if (value === undefined || field.message === undefined) {
    if (field.fieldKind === 'map') holder[key] = orderEntries(value as object);
    return;
  }
  if (isStruct(field.message)) {
    holder[key] = orderJson(value);
  } else if (field.fieldKind === 'list') {
    for (const entry of value as readonly Message[]) orderMaps(field.message, entry);
  } else if (field.fieldKind === 'map') {
    const ordered = orderEntries(value as object);
    for (const entry of Object.values(ordered) as Message[]) orderMaps(field.message, entry);
    holder[key] = ordered;
  } else if (typeof value === 'object') {
    // A wrapper (google.protobuf.UInt32Value …) is a bare scalar here and has no maps.
    orderMaps(field.message, value as Message);
  }
}

/** google.protobuf.Struct is a plain JSON object in generated code. */
function isStruct(desc: DescMessage): boolean {
  return desc.typeName === 'google.protobuf.Struct';
}

function orderEntries(map: object): object {
  const entries = Object.entries(map);
  return entries.length < 2 ? map : Object.fromEntries(entries.sort((a, b) => compareBytes(a[0], b[0])));
}

function orderJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(orderJson);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]): [string, unknown] => [key, orderJson(inner)]);
  return Object.fromEntries(entries.sort((a, b) => compareBytes(a[0], b[0])));
}
