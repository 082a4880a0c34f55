/**
 * Kubernetes Secret: certificates for gateways and destinations. Printed only by print-object.ts, which hides the values.
 */
import type { Findings } from './findings.ts';
import { fieldPath } from './field-path.ts';
import { type JsonObject, readBase64, readObject } from './json-scalar.ts';
import { reportUnknown } from './shape-decode.ts';
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
  for (const part of ['data', 'stringData'] as const) {
    const fields = readObject(root[part] ?? {}, part, findings) ?? {};
    for (const key of Object.keys(fields)) {
      const path = fieldPath(part, key);
      const value = fields[key];
      if (typeof value !== 'string')
        findings.add('LTN1003', path, { expected: 'a text', found: 'another type' });
      else if (part === 'data') values.set(key, readBase64(value, path, findings) ?? '');
      else values.set(key, Buffer.from(value).toString('base64'));
    }
  }
  const type = typeof root['type'] === 'string' ? root['type'] : 'Opaque';
  return { type, data: inKeyOrder(values, Object.create(null)) as Readonly<Record<string, string>> };
}
