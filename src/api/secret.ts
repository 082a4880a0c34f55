/**
 * Kubernetes Secret: certificates for gateways and destinations. Printed only by print-object.ts, which hides the values.
 */
import type { Findings } from './findings.ts';
import { fieldPath } from './field-path.ts';
import { type JsonObject, readBase64, readObject } from './json-scalar.ts';
import { reportUnknown, textMap } from './shape-decode.ts';
import { inKeyOrder } from './well-known-decode.ts';

/** The root fields of a Secret; stringData is merged into data. */
export interface SecretSpec {
  readonly type: string;
  /** Values in base64. */
  readonly data: Readonly<Record<string, string>>;
}

const KNOWN_FIELDS = new Set(['apiVersion', 'kind', 'metadata', 'type', 'data', 'stringData', 'immutable']);

/** Reads the root fields of a Secret. Findings never show values. */
export function decodeSecretSpec(root: JsonObject, findings: Findings): SecretSpec {
  reportUnknown(Object.keys(root), KNOWN_FIELDS, '', findings);
  const values = new Map<string, string>();
  const data = readObject(root['data'] ?? {}, 'data', findings) ?? {};
  for (const key of Object.keys(data)) {
    const path = fieldPath('data', key);
    if (typeof data[key] !== 'string')
      findings.add('LTN1003', path, { expected: 'a text', found: 'another type' });
    else values.set(key, readBase64(data[key], path, findings) ?? '');
  }
  const plain = textMap(root['stringData'] ?? {}, 'stringData', findings) ?? {};
  for (const key of Object.keys(plain)) values.set(key, Buffer.from(plain[key] ?? '').toString('base64'));
  const type = typeof root['type'] === 'string' ? root['type'] : 'Opaque';
  return { type, data: inKeyOrder(values, Object.create(null)) as Readonly<Record<string, string>> };
}
