/**
 * Prints objects as kubectl does for `get -o yaml` and `-o json`: keys in byte order, lists not indented under their
 * key, several objects as a List. What is printed can be applied again. Values of Secrets are never printed (law 11).
 */
import { dump } from 'js-yaml';
import { isJsonObject, type JsonObject } from './json-scalar.ts';
import { kindInfo } from './kind-registry.ts';
import type { MeshObject } from './mesh-object.ts';
import { printStatus } from './object-status.ts';
import { inKeyOrder } from './well-known-decode.ts';

/** Output formats of printObject. */
export type ObjectFormat = 'yaml' | 'json';

const REDACTED = '[redacted]';

/** The object in the form that Kubernetes gives it: apiVersion, kind, metadata and the kind's own root fields. */
export function toKubernetesForm(object: MeshObject): JsonObject {
  const { labels, annotations, name, namespace, createdAtMs } = object;
  const metadata = {
    name,
    ...(namespace === '' ? {} : { namespace }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    ...(createdAtMs === 0
      ? {}
      : { creationTimestamp: new Date(createdAtMs).toISOString().replace('.000Z', 'Z') }),
  };
  const info = kindInfo(object.kind);
  const fields = info === undefined ? { spec: object.spec } : info.encode(redact(object));
  const isProjection = info !== undefined && !info.group.endsWith('istio.io');
  const body = isProjection ? (withoutEmpty(fields) as JsonObject) : fields;
  const status = object.status === undefined ? {} : { status: printStatus(object.status) };
  const { apiVersion, kind } = object;
  return sortKeys({ apiVersion, kind, metadata, ...body, ...status }) as JsonObject;
}

/** One object as YAML or JSON text, ending in a newline. */
export function printObject(object: MeshObject, format: ObjectFormat): string {
  return printValue(toKubernetesForm(object), format);
}

/** Several objects as a List. */
export function printObjects(objects: Iterable<MeshObject>, format: ObjectFormat): string {
  const items = [...objects].map(toKubernetesForm);
  return printValue({ apiVersion: 'v1', items, kind: 'List', metadata: { resourceVersion: '' } }, format);
}

/** Any plain value in the same style. */
export function printValue(value: unknown, format: ObjectFormat): string {
  if (format === 'json') return `${JSON.stringify(value, null, 4)}\n`;
  return dump(value, { seqNoIndent: true, lineWidth: -1, noRefs: true, quoteStyle: 'double' });
}

function redact(object: MeshObject): unknown {
  if (object.kind !== 'Secret' || !isJsonObject(object.spec)) return object.spec;
  const data = object.spec['data'];
  const names = isJsonObject(data) ? Object.keys(data) : [];
  const hidden = Object.create(null) as Record<string, string>;
  for (const name of names) hidden[name] = REDACTED;
  return { ...object.spec, data: hidden };
}

/** Projections hold every field; those without content are left out again. What users name (maps without prototype) stays. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (!isJsonObject(value) || Object.getPrototypeOf(value) === null) return value;
  const entries = new Map<string, unknown>();
  for (const key of Object.keys(value)) {
    const item = withoutEmpty(value[key]);
    const isEmpty =
      item === '' || item === undefined || (typeof item === 'object' && Object.keys(item ?? {}).length === 0);
    if (!isEmpty) entries.set(key, item);
  }
  return inKeyOrder(entries, {});
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (!isJsonObject(value)) return value;
  const entries = new Map<string, unknown>();
  for (const key of Object.keys(value)) if (value[key] !== undefined) entries.set(key, sortKeys(value[key]));
  return inKeyOrder(entries, Object.create(null));
}
