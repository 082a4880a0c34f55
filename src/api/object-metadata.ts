/**
 * Reads metadata of an object: name, namespace, labels, annotations, creation time. The rules are those of a
 * Kubernetes API server, so that what works here works there.
 */
import { fieldPath } from './field-path.ts';
import { type Findings, show, typeOf } from './findings.ts';
import { isJsonObject, type JsonObject, readString } from './json-scalar.ts';
import type { KindInfo } from './kind-registry.ts';
import type { MeshObject } from './mesh-object.ts';
import {
  isIstioObjectName,
  isLowerDnsLabel,
  isObjectName,
  labelKeyProblem,
  labelValueProblem,
} from './name-rules.ts';
import { emptyMap, reportUnknown, textMap } from './shape-decode.ts';

/** What we keep of metadata besides the name. */
export type Metadata = Pick<MeshObject, 'labels' | 'annotations' | 'createdAtMs'>;

const KNOWN_FIELDS: ReadonlySet<string> = new Set([
  'name',
  'namespace',
  'labels',
  'annotations',
  'creationTimestamp',
  'deletionGracePeriodSeconds',
  'deletionTimestamp',
  'finalizers',
  'generateName',
  'generation',
  'managedFields',
  'ownerReferences',
  'resourceVersion',
  'selfLink',
  'uid',
]);

/** kubectl's copy of the whole object: it repeats the spec and says nothing about the mesh. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const MAX_ANNOTATIONS_BYTES = 256 * 1024;
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;
/** Kinds whose names become part of host names. */
const LABEL_NAMED: ReadonlySet<string> = new Set(['Service', 'Namespace', 'LocalWorkload']);

/** Reads metadata and adds findings about it; name and namespace are checked here and read by the caller. */
export function decodeMetadata(value: unknown, info: KindInfo, findings: Findings): Metadata {
  if (!isJsonObject(value)) {
    if (value === undefined || value === null) findings.missing('', 'metadata', 'metadata: {name: reviews}');
    else findings.add('LTN1003', 'metadata', { expected: 'an object', found: typeOf(value) });
    return { labels: emptyMap(), annotations: emptyMap(), createdAtMs: 0 };
  }
  reportUnknown(Object.keys(value), KNOWN_FIELDS, 'metadata', findings);
  checkName(value, info, findings);
  checkNamespace(value, info, findings);
  return {
    labels: readLabels(value['labels'], findings),
    annotations: readAnnotations(value['annotations'], findings),
    createdAtMs: readCreation(value['creationTimestamp']),
  };
}

function checkName(metadata: JsonObject, info: KindInfo, findings: Findings): void {
  const { name } = metadata;
  if (name === undefined || name === null || name === '') {
    findings.missing('metadata', 'name', 'name: reviews');
    return;
  }
  const text = readString(name, 'metadata.name', findings);
  if (text === undefined) return;
  if (LABEL_NAMED.has(info.kind)) {
    if (isLowerDnsLabel(text)) return;
    findings.add('LTN1106', 'metadata.name', { name: show(text), limit: '63', marks: '"-"' });
    return;
  }
  const isName = info.group.endsWith('.istio.io') ? isIstioObjectName : isObjectName;
  if (!isName(text))
    findings.add('LTN1106', 'metadata.name', { name: show(text), limit: '253', marks: '"-" and "."' });
}

function checkNamespace(metadata: JsonObject, info: KindInfo, findings: Findings): void {
  const { namespace } = metadata;
  if (namespace === undefined || namespace === null || namespace === '') return;
  const text = readString(namespace, 'metadata.namespace', findings);
  if (text === undefined) return;
  if (!info.namespaced)
    findings.add('LTN1110', 'metadata.namespace', { kind: info.kind, namespace: show(text) });
  else if (!isLowerDnsLabel(text)) findings.add('LTN1107', 'metadata.namespace', { namespace: show(text) });
}

function readLabels(value: unknown, findings: Findings): Metadata['labels'] {
  if (value === undefined || value === null) return emptyMap();
  const labels = textMap(value, 'metadata.labels', findings) ?? emptyMap();
  for (const key of Object.keys(labels)) {
    const problem = labelKeyProblem(key) || labelValueProblem(labels[key] ?? '');
    if (problem !== '')
      findings.add('LTN1108', fieldPath('metadata.labels', key), { label: show(key), problem });
  }
  return labels;
}

function readAnnotations(value: unknown, findings: Findings): Metadata['annotations'] {
  if (value === undefined || value === null) return emptyMap();
  const annotations = textMap(value, 'metadata.annotations', findings) ?? emptyMap();
  const kept = Object.create(null) as Record<string, string>;
  let sizeBytes = 0;
  for (const key of Object.keys(annotations)) {
    const text = annotations[key] ?? '';
    sizeBytes += Buffer.byteLength(key) + Buffer.byteLength(text);
    const path = fieldPath('metadata.annotations', key);
    const problem = labelKeyProblem(key);
    if (problem !== '') findings.add('LTN1109', path, { annotation: show(key), problem });
    if (key !== LAST_APPLIED) kept[key] = text;
  }
  if (sizeBytes > MAX_ANNOTATIONS_BYTES) {
    findings.add('LTN1009', 'metadata.annotations', { limit: `${MAX_ANNOTATIONS_BYTES} bytes` });
  }
  return kept;
}

/** Milliseconds of the creation time; 0 when it is absent or not a time (it decides order only). */
function readCreation(value: unknown): number {
  if (typeof value !== 'string' || !TIMESTAMP.test(value)) return 0;
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? 0 : ms;
}
