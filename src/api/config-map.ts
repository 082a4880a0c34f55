/**
 * Kubernetes ConfigMap: CA certificates for destinations, mesh config on a cluster.
 */
import type { Findings } from './findings.ts';
import type { JsonObject } from './json-scalar.ts';
import { emptyMap, field, object, textMap } from './shape-decode.ts';

/** The root fields of a ConfigMap; binaryData values are base64. */
export interface ConfigMapSpec {
  readonly data: Readonly<Record<string, string>>;
  readonly binaryData: Readonly<Record<string, string>>;
}

const readRoot = object<ConfigMapSpec>(
  { data: field(textMap, emptyMap()), binaryData: field(textMap, emptyMap()) },
  { unknown: 'refuse', accept: ['apiVersion', 'kind', 'metadata', 'immutable'] },
);

/** Reads the root fields of a ConfigMap. */
export function decodeConfigMapSpec(root: JsonObject, findings: Findings): ConfigMapSpec | undefined {
  return readRoot(root, '', findings);
}
