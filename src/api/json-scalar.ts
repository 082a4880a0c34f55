/**
 * Checks single JSON values against a scalar type and normalises them. Shared by the decoder that follows protobuf
 * descriptors (schema-decode.ts) and the one for hand-written projections (shape-decode.ts).
 * A value that does not fit gives a finding and `undefined`.
 */
import { type Findings, show, typeOf } from './findings.ts';

/** Plain JSON data as YAML or JSON text gives it. */
export type JsonObject = { readonly [key: string]: unknown };

const WORDS_HINT = 'Put quotes around the value: YAML reads y, n, yes, no, on and off as true or false.';
const DECIMAL = /^-?\d{1,20}$/;
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/** True for a JSON object: neither null nor a list. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A text; numbers and booleans are refused with the quoted form as cure, as a Kubernetes API server does. */
export function readString(value: unknown, path: string, findings: Findings): string | undefined {
  if (typeof value === 'string') return value;
  const quoted = typeof value === 'number' ? JSON.stringify(String(value)) : '';
  const hint = typeof value === 'boolean' ? WORDS_HINT : '';
  findings.add('LTN1003', path, { expected: 'a text', found: typeOf(value), quoted, hint });
  return undefined;
}

/** true or false. */
export function readBoolean(value: unknown, path: string, findings: Findings): boolean | undefined {
  if (typeof value === 'boolean') return value;
  findings.add('LTN1003', path, { expected: 'true or false', found: typeOf(value) });
  return undefined;
}

/** A whole number from `min` to `max`; text that is one is taken with a warning, as proto3 JSON reads it. */
export function readInteger(
  value: unknown,
  min: number,
  max: number,
  path: string,
  findings: Findings,
): number | undefined {
  let number = value;
  if (typeof value === 'string' && DECIMAL.test(value)) {
    findings.add('LTN1008', path);
    number = Number(value);
  }
  if (typeof number !== 'number' || !Number.isInteger(number)) {
    findings.add('LTN1003', path, { expected: 'a whole number', found: typeOf(value) });
    return undefined;
  }
  if (number < min || number > max) {
    findings.add('LTN1007', path, { value: show(value), min: String(min), max: String(max) });
    return undefined;
  }
  return number === 0 ? 0 : number;
}

/** A 64-bit whole number as decimal text, which is its form in proto3 JSON. */
export function readInteger64(
  value: unknown,
  unsigned: boolean,
  path: string,
  findings: Findings,
): string | undefined {
  const min = unsigned ? 0n : -(2n ** 63n);
  const max = unsigned ? 2n ** 64n - 1n : 2n ** 63n - 1n;
  const isInteger =
    typeof value === 'number'
      ? Number.isSafeInteger(value)
      : typeof value === 'string' && DECIMAL.test(value);
  if (!isInteger) {
    findings.add('LTN1003', path, { expected: 'a whole number', found: typeOf(value) });
    return undefined;
  }
  const number = BigInt(value as number | string);
  if (number < min || number > max) {
    findings.add('LTN1007', path, { value: show(value), min: String(min), max: String(max) });
    return undefined;
  }
  return number.toString();
}

/** A finite number. */
export function readNumber(value: unknown, path: string, findings: Findings): number | undefined {
  if (typeof value === 'number' && Number.isFinite(value)) return value === 0 ? 0 : value;
  const fromText = typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN;
  if (Number.isFinite(fromText)) {
    findings.add('LTN1008', path);
    return fromText;
  }
  findings.add('LTN1003', path, { expected: 'a number', found: typeOf(value) });
  return undefined;
}

/** Bytes in base64 (standard or URL alphabet), returned in the standard alphabet with padding. */
export function readBase64(value: unknown, path: string, findings: Findings): string | undefined {
  const text = readString(value, path, findings);
  if (text === undefined) return undefined;
  const compact = text.replace(/\s/g, '');
  if (!BASE64.test(compact) || compact.replace(/=+$/, '').length % 4 === 1) {
    findings.add('LTN1010', path);
    return undefined;
  }
  const body = compact.replace(/=+$/, '').replaceAll('-', '+').replaceAll('_', '/');
  return body.padEnd(Math.ceil(body.length / 4) * 4, '=');
}

/** A JSON object; anything else gives a finding. */
export function readObject(value: unknown, path: string, findings: Findings): JsonObject | undefined {
  if (isJsonObject(value)) return value;
  findings.add('LTN1003', path, { expected: 'an object', found: typeOf(value) });
  return undefined;
}

/** A list; anything else gives a finding. */
export function readList(value: unknown, path: string, findings: Findings): readonly unknown[] | undefined {
  if (Array.isArray(value)) return value;
  findings.add('LTN1003', path, { expected: 'a list', found: typeOf(value) });
  return undefined;
}
