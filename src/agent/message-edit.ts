/**
 * Looks into protobuf messages and copies them with a part changed, by field numbers alone: all that is not touched stays, known
 * or not. For messages of length-delimited and varint fields, as configurations are.
 */
import { WIRE_VARINT, WireReader, WireWriter } from '#base/proto-wire.ts';

/** The bytes of a submessage or string, the last one of that number; empty when it is absent. Errors: WireError. */
export function fieldOf(bytes: Uint8Array, number: number): Uint8Array {
  const reader = new WireReader(bytes);
  let found: Uint8Array = new Uint8Array();
  while (reader.next()) if (reader.field === number) found = reader.bytes();
  return found;
}

/** Copies a message with the submessages at one place, named by the field numbers on the way there, changed. Errors: WireError. */
export function mapFieldAt(
  bytes: Uint8Array,
  [number, ...rest]: readonly number[],
  map: (value: Uint8Array) => Uint8Array,
): Uint8Array {
  return mapFields(bytes, (found, value) => {
    if (found !== number) return value;
    return rest.length === 0 ? map(value) : mapFieldAt(value, rest, map);
  });
}

/** Copies a message; `map` sees its length-delimited fields and gives what to write, undefined for nothing. Errors: WireError. */
export function mapFields(
  bytes: Uint8Array,
  map: (number: number, value: Uint8Array) => Uint8Array | undefined,
): Uint8Array {
  const reader = new WireReader(bytes);
  const writer = new WireWriter(bytes.length + 256);
  while (reader.next()) {
    if (reader.wireType === WIRE_VARINT) {
      writer.varint(reader.field, reader.varint());
      continue;
    }
    const value = map(reader.field, reader.bytes());
    if (value !== undefined) writer.bytes(reader.field, value);
  }
  return writer.finish();
}
