/**
 * The JSON forms of protobuf's well-known types: durations, wrappers, Struct and its kin, Any, timestamps.
 * Used by schema-decode.ts; results are normalised like everything else there.
 */
import { compareBytes } from '#base/bytes-order.ts';
import { formatProtoDuration, parseDuration } from '#base/duration.ts';
import { type Findings, show } from './findings.ts';
import {
  isJsonObject,
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

const INT32_MAX = 2 ** 31 - 1;
const UINT32_MAX = 2 ** 32 - 1;
const MAX_FREE_FORM_DEPTH = 100;
const MAX_FREE_FORM_VALUES = 100_000;
const TIMESTAMP = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/;

/** Reads the JSON form of the well-known type `typeName`; undefined with a finding when it does not fit. */
export function readWellKnown(typeName: string, value: unknown, path: string, findings: Findings): unknown {
  switch (typeName) {
    case 'google.protobuf.Duration':
      return readDuration(value, path, findings);
    case 'google.protobuf.BoolValue':
      return readBoolean(value, path, findings);
    case 'google.protobuf.Int32Value':
      return readInteger(value, -INT32_MAX - 1, INT32_MAX, path, findings);
    case 'google.protobuf.UInt32Value':
      return readInteger(value, 0, UINT32_MAX, path, findings);
    case 'google.protobuf.Int64Value':
      return readInteger64(value, false, path, findings);
    case 'google.protobuf.UInt64Value':
      return readInteger64(value, true, path, findings);
    case 'google.protobuf.FloatValue':
    case 'google.protobuf.DoubleValue':
      return readNumber(value, path, findings);
    case 'google.protobuf.StringValue':
      return readString(value, path, findings);
    case 'google.protobuf.BytesValue':
      return readBase64(value, path, findings);
    case 'google.protobuf.Timestamp':
      return readTimestamp(value, path, findings);
    case 'google.protobuf.ListValue':
      return readList(value, path, findings) === undefined ? undefined : readFreeForm(value, path, findings);
    case 'google.protobuf.Value':
      return readFreeForm(value, path, findings);
    default:
      // Struct, Any, Empty, FieldMask: an object whose content is not ours to judge.
      return readObject(value, path, findings) === undefined
        ? undefined
        : readFreeForm(value, path, findings);
  }
}

/** A duration in Go's or proto3 JSON's form, returned in the latter. */
export function readDuration(value: unknown, path: string, findings: Findings): string | undefined {
  const text = readString(value, path, findings);
  if (text === undefined) return undefined;
  const parsed = parseDuration(text);
  if (parsed.ok) return formatProtoDuration(parsed.value);
  findings.add('LTN1006', path, { value: show(text) });
  return undefined;
}

function readTimestamp(value: unknown, path: string, findings: Findings): string | undefined {
  const text = readString(value, path, findings);
  if (text === undefined) return undefined;
  if (TIMESTAMP.test(text) && !Number.isNaN(Date.parse(text))) return text;
  findings.add('LTN1014', path, { value: show(text) });
  return undefined;
}

/** A user's free-form JSON with keys in byte order and without prototypes; bounded in depth and size. */
export function readFreeForm(value: unknown, path: string, findings: Findings): unknown {
  let values = 0;
  let tooMuch = false;
  function copy(item: unknown, depth: number): unknown {
    values++;
    if (depth > MAX_FREE_FORM_DEPTH || values > MAX_FREE_FORM_VALUES) {
      tooMuch = true;
      return null;
    }
    if (Array.isArray(item)) return item.map((child) => copy(child, depth + 1));
    if (!isJsonObject(item)) return item;
    const entries = new Map<string, unknown>();
    for (const key of Object.keys(item)) entries.set(key, copy(item[key], depth + 1));
    return inKeyOrder(entries, Object.create(null));
  }
  const result = copy(value, 0);
  if (!tooMuch) return result;
  findings.add('LTN1009', path, { limit: `depth ${MAX_FREE_FORM_DEPTH}, ${MAX_FREE_FORM_VALUES} values` });
  return undefined;
}

/** Puts the entries into `target` in byte order of keys, so that equal objects print equally. */
export function inKeyOrder(
  entries: ReadonlyMap<string, unknown>,
  target: Record<string, unknown>,
): JsonObject {
  for (const key of [...entries.keys()].sort(compareBytes)) target[key] = entries.get(key);
  return target;
}
