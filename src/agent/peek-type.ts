/**
 * The type of a discovery response from its first bytes, whichever way it was written: from the field that names it, or,
 * where resources stand before that, from the first of these. Of either protocol (state of the world, delta).
 * Source: envoy/service/discovery/v3/discovery.proto; field numbers are the same in both but for what a resource is.
 */

const RESOURCES = 2;
const TYPE_URL = 4;
/** Where the type of a resource stands: in an Any, or in the Any within a delta `Resource`. */
const RESOURCE_PATHS: readonly (readonly number[])[] = [[1], [2, 1]];

const TYPE_PREFIX = 'type.googleapis.com/';

/** The type URL; undefined when these bytes do not tell. Never throws. */
export function peekTypeUrl(bytes: Buffer): string | undefined {
  for (const field of fieldsOf(bytes)) {
    if (field.number === TYPE_URL && field.isWhole) return field.value.toString('latin1');
    if (field.number !== RESOURCES) continue;
    for (const path of RESOURCE_PATHS) {
      const typeUrl = textAt(field.value, path);
      if (typeUrl?.startsWith(TYPE_PREFIX)) return typeUrl;
    }
  }
  return undefined;
}

interface Field {
  readonly number: number;
  /** What there is of it. */
  readonly value: Buffer;
  readonly isWhole: boolean;
}

function textAt(bytes: Buffer, path: readonly number[]): string | undefined {
  const [number, ...rest] = path;
  for (const field of fieldsOf(bytes)) {
    if (field.number !== number) continue;
    if (rest.length > 0) return textAt(field.value, rest);
    return field.isWhole ? field.value.toString('latin1') : undefined;
  }
  return undefined;
}

/** Length-delimited fields as far as the bytes go; the last may be cut off. Ends at anything else. */
function* fieldsOf(bytes: Buffer): Generator<Field> {
  let at = 0;
  while (at < bytes.length) {
    const tag = varintAt(bytes, at);
    const length = tag === undefined ? undefined : varintAt(bytes, tag.end);
    if (tag === undefined || length === undefined || tag.value % 8 !== 2) return;
    const end = length.end + length.value;
    yield {
      number: Math.floor(tag.value / 8),
      value: bytes.subarray(length.end, end),
      isWhole: end <= bytes.length,
    };
    at = end;
  }
}

function varintAt(
  bytes: Buffer,
  start: number,
): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let i = 0; i < 5; i++) {
    const byte = bytes[start + i];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, end: start + i + 1 };
  }
  return undefined;
}
