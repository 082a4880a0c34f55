/**
 * Turns one parsed document into a MeshObject: apiVersion, kind, metadata, then the kind's own decoder and validator.
 * The only maker of MeshObjects. A document with an error gives no `object`; what could be read of it is in `refused`,
 * for analyzers and for sources that keep the last good version of the same object.
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import { sha256Hex } from '#base/hash.ts';
import type { ObjectRef } from '#base/object-ref.ts';
import { fieldPath } from './field-path.ts';
import { Findings, show, typeOf } from './findings.ts';
import { ignoredKindAdvice } from './ignored-kinds.ts';
import { isJsonObject, type JsonObject } from './json-scalar.ts';
import { type KindInfo, kindInfo, suggestKind } from './kind-registry.ts';
import type { MeshObject } from './mesh-object.ts';
import { decodeMetadata, type Metadata } from './object-metadata.ts';
import { readStatus } from './object-status.ts';

const MAX_LIST_ITEMS = 100_000;
const UNKNOWN_FIELD = 'LTN1002';

/** What decoding needs to know besides the document. */
export interface DecodeOptions {
  /** Namespace of objects that name none. */
  readonly defaultNamespace: string;
  /** Fields that the kind does not have are told and left out, as an API server does; otherwise they refuse the object. */
  readonly dropsUnknownFields?: boolean;
}

/** The outcome of one document. */
export interface DecodedObject {
  /** The object, when no finding is an error. */
  readonly object?: MeshObject;
  /** The object as far as it could be read, when a finding is an error. */
  readonly refused?: MeshObject;
  /** Which object the document means, when kind and name are readable. */
  readonly ref?: ObjectRef;
  readonly diagnostics: readonly Diagnostic[];
}

/** Decodes one document, a plain JSON value. Errors: none; every problem is a diagnostic. */
export function decodeObject(json: unknown, options: DecodeOptions): DecodedObject {
  const early = new Findings();
  if (!isJsonObject(json)) {
    early.add('LTN1101', '', { found: typeOf(json) });
    return { diagnostics: early.all };
  }
  const info = findInfo(json, early);
  if (info === undefined) return { diagnostics: early.all };
  const ref = readRef(json, info, options);
  const findings = new Findings(ref);
  checkApiVersion(json, info, findings);
  const metadata = decodeMetadata(json['metadata'], info, findings);
  const spec = info.decode(json, findings, metadata);
  if (spec === undefined) return { ref, diagnostics: findings.all };
  const object = buildObject(json, info, ref, metadata, spec);
  const refuses = ({ code, severity }: Diagnostic): boolean =>
    severity === 'error' && !(code === UNKNOWN_FIELD && options.dropsUnknownFields === true);
  const diagnostics = [...findings.all, ...(findings.all.some(refuses) ? [] : checkMeaning(object, info))];
  const isRefused = diagnostics.some(refuses);
  return isRefused ? { refused: object, ref, diagnostics } : { object, ref, diagnostics };
}

/** Decodes one document that may be a Kubernetes List: each item becomes a result of its own. */
export function decodeObjects(json: unknown, options: DecodeOptions): readonly DecodedObject[] {
  if (!isJsonObject(json) || !isList(json)) return [decodeObject(json, options)];
  const items = json['items'];
  if (!Array.isArray(items)) return [];
  return items.slice(0, MAX_LIST_ITEMS).map((item, index) => inList(decodeObject(item, options), index));
}

/** Paths of findings in a List begin at its item, so that the place in the file is found. */
function inList(decoded: DecodedObject, index: number): DecodedObject {
  const prefix = `items[${index}]`;
  const diagnostics = decoded.diagnostics.map((diagnostic) => {
    const path = diagnostic.path ?? '';
    return {
      ...diagnostic,
      path: path === '' || path.startsWith('[') ? `${prefix}${path}` : `${prefix}.${path}`,
    };
  });
  return { ...decoded, diagnostics };
}

/** `kind: List`, and lists of one kind (ServiceList) as an API server gives them. */
function isList(json: JsonObject): boolean {
  const { kind, items } = json;
  return kind === 'List' || (typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items));
}

/** The row of the document's kind; undefined with a finding for kinds that are unknown or not ours. */
function findInfo(json: JsonObject, findings: Findings): KindInfo | undefined {
  const { kind, apiVersion } = json;
  if (typeof kind !== 'string' || kind === '') {
    findings.missing('', 'kind', 'kind: VirtualService');
    return undefined;
  }
  if (typeof apiVersion !== 'string' || apiVersion === '') {
    findings.missing(
      '',
      'apiVersion',
      `apiVersion: ${preferredApiVersion(kindInfo(kind)) ?? 'networking.istio.io/v1'}`,
    );
    return undefined;
  }
  const slash = apiVersion.indexOf('/');
  const group = slash < 0 ? '' : apiVersion.slice(0, slash);
  const info = kindInfo(kind);
  const advice = ignoredKindAdvice(group, kind);
  if (advice !== undefined && info?.group !== group) findings.add('LTN1104', 'kind', { kind, advice });
  else if (info === undefined)
    findings.add('LTN1103', 'kind', { kind: show(kind), suggestion: suggestKind(kind) ?? '' });
  else return info;
  return undefined;
}

function preferredApiVersion(info: KindInfo | undefined): string | undefined {
  if (info === undefined) return undefined;
  const version = info.versions[0] ?? '';
  return info.group === '' ? version : `${info.group}/${version}`;
}

function checkApiVersion(json: JsonObject, info: KindInfo, findings: Findings): void {
  const apiVersion = json['apiVersion'] as string;
  const known = info.versions.map((version) => (info.group === '' ? version : `${info.group}/${version}`));
  if (known.includes(apiVersion)) return;
  findings.add('LTN1105', 'apiVersion', {
    kind: info.kind,
    apiVersion: show(apiVersion),
    known: known.join(' or '),
  });
}

function readRef(json: JsonObject, info: KindInfo, options: DecodeOptions): ObjectRef {
  const metadata = isJsonObject(json['metadata']) ? json['metadata'] : {};
  const { name, namespace } = metadata;
  const written = typeof namespace === 'string' && namespace !== '' ? namespace : options.defaultNamespace;
  return {
    kind: info.kind,
    namespace: info.namespaced ? written : '',
    name: typeof name === 'string' ? name : '',
  };
}

function buildObject(
  json: JsonObject,
  info: KindInfo,
  ref: ObjectRef,
  metadata: Metadata,
  spec: unknown,
): MeshObject {
  const { labels, annotations, createdAtMs } = metadata;
  const apiVersion = typeof json['apiVersion'] === 'string' ? json['apiVersion'] : '';
  const status = readStatus(info.kind, json);
  const parts = [apiVersion, info.kind, labels, annotations, spec];
  const hash = sha256Hex(JSON.stringify(status === undefined ? parts : [...parts, status]));
  const object = { ...ref, apiVersion, labels, annotations, createdAtMs, spec, hash };
  return status === undefined ? object : { ...object, status };
}

const DRY_RUN = 'istio.io/dry-run';
/** Annotations that Istio keeps for objects that it makes itself, and the one that refuses an object for a test. */
const FORBIDDEN_ANNOTATIONS: readonly string[] = [
  'internal.istio.io/parents',
  'internal.istio.io/parent-namespace',
  'istio.io/webhook-always-reject',
];
const BOOLEAN_WORDS: ReadonlySet<string> = new Set([
  '1',
  't',
  'T',
  'TRUE',
  'true',
  'True',
  '0',
  'f',
  'F',
  'FALSE',
  'false',
  'False',
]);

/** The kind's rules, and those for annotations that Istio's webhook applies to all its kinds. */
function checkMeaning(object: MeshObject, info: KindInfo): readonly Diagnostic[] {
  if (!info.group.endsWith('istio.io')) return info.validate(object);
  const findings = new Findings(object);
  for (const annotation of FORBIDDEN_ANNOTATIONS) {
    if (!Object.hasOwn(object.annotations, annotation)) continue;
    findings.add('LTN1111', fieldPath('metadata.annotations', annotation), { annotation });
  }
  const dryRun = object.annotations[DRY_RUN];
  if (dryRun !== undefined) checkDryRun(object, dryRun, findings);
  return [...findings.all, ...info.validate(object)];
}

/** Only ALLOW and DENY policies can be tried without effect. */
function checkDryRun(object: MeshObject, value: string, findings: Findings): void {
  const path = fieldPath('metadata.annotations', DRY_RUN);
  const action = isJsonObject(object.spec) ? (object.spec['action'] ?? 'ALLOW') : 'ALLOW';
  const isAllowed = object.kind === 'AuthorizationPolicy' && (action === 'ALLOW' || action === 'DENY');
  if (!isAllowed) findings.add('LTN1111', path, { annotation: DRY_RUN });
  else if (!BOOLEAN_WORDS.has(value)) {
    findings.add('LTN1112', path, { annotation: DRY_RUN, value: show(value), expected: 'true or false' });
  }
}
