// Generates src/api/crds.gen.ts: Istio's CustomResourceDefinitions as data, without their prose.
// Run: node tools/gen-crds.ts [--check]. Source: kubernetes/customresourcedefinitions.gen.yaml of the Go module
// istio.io/api, pinned in proto.lock.json. Names, versions, columns, schemas and validation rules are kept in
// the source's order; every description is dropped; equal schemas of several versions are written once.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { fetchGoModule } from './gen-proto/istio-module.ts';
import { readSourceLock } from './gen-proto/source-lock.ts';

type Schema = Readonly<Record<string, unknown>>;

interface SourceColumn {
  readonly name: string;
  readonly type: string;
  readonly jsonPath: string;
  readonly format?: string;
  readonly priority?: number;
}

interface SourceCrd {
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: {
      readonly kind: string;
      readonly listKind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames?: readonly string[];
      readonly categories?: readonly string[];
    };
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
      readonly additionalPrinterColumns?: readonly SourceColumn[];
      readonly subresources?: { readonly status?: object };
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
}

const TYPES = `
/** One node of a structural schema, as Kubernetes defines it for CustomResourceDefinitions. */
export interface CrdSchema {
  readonly type?: 'array' | 'boolean' | 'integer' | 'number' | 'object' | 'string';
  readonly format?: string;
  readonly nullable?: boolean;
  readonly enum?: readonly (string | number | boolean)[];
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, CrdSchema>>;
  readonly additionalProperties?: boolean | CrdSchema;
  readonly required?: readonly string[];
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly items?: CrdSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly not?: CrdSchema;
  readonly allOf?: readonly CrdSchema[];
  readonly anyOf?: readonly CrdSchema[];
  readonly oneOf?: readonly CrdSchema[];
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'map' | 'set';
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-validations'?: readonly CrdRule[];
}

/** A CEL rule of a schema node; \`message\` and \`messageExpression\` say what is wrong when it is false. */
export interface CrdRule {
  readonly rule: string;
  readonly message?: string;
  readonly messageExpression?: string;
  readonly reason?: string;
  readonly fieldPath?: string;
}

/** A column of \`kubectl get\`. */
export interface CrdPrinterColumn {
  readonly name: string;
  readonly type: string;
  readonly jsonPath: string;
  readonly format?: string;
  readonly priority?: number;
}

/** One version of a kind; exactly one per kind has \`storage\`. */
export interface CrdVersion {
  readonly name: string;
  readonly served: boolean;
  readonly storage: boolean;
  readonly hasStatus: boolean;
  readonly printerColumns: readonly CrdPrinterColumn[];
  readonly schema: CrdSchema;
}

/** A CustomResourceDefinition, flattened: \`name\` is \`plural.group\`. */
export interface Crd {
  readonly name: string;
  readonly group: string;
  readonly kind: string;
  readonly listKind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly scope: 'Cluster' | 'Namespaced';
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly versions: readonly CrdVersion[];
}
`;

const NODE_KEYS = new Set(['additionalProperties', 'items', 'not']);
const NODE_LIST_KEYS = new Set(['allOf', 'anyOf', 'oneOf']);
/** Keys with a value that is no schema node: copied as they are. */
const VALUE_KEYS = new Set([
  'type',
  'format',
  'nullable',
  'enum',
  'default',
  'required',
  'pattern',
  'minimum',
  'maximum',
  'minProperties',
  'maxProperties',
  'minItems',
  'maxItems',
  'minLength',
  'maxLength',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-list-type',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-validations',
]);

function main(): void {
  const projectRoot = join(import.meta.dirname, '..');
  const lock = readSourceLock(projectRoot).istioApi;
  const source = join(fetchGoModule(lock), 'kubernetes', 'customresourcedefinitions.gen.yaml');
  const crds = (loadAll(readFileSync(source, 'utf8')) as (SourceCrd | null)[]).filter((crd) => crd !== null);
  const text = crdsText(crds, `${lock.module}@${lock.version}`);
  const versionCount = crds.reduce((sum, crd) => sum + crd.spec.versions.length, 0);
  console.log(`${crds.length} kinds, ${versionCount} versions, ${Buffer.byteLength(text)} bytes`);
  const output = join(projectRoot, 'src', 'api', 'crds.gen.ts');
  const isSame = existsSync(output) && readFileSync(output, 'utf8') === text;
  if (process.argv.includes('--check')) {
    if (isSame) return;
    console.error('src/api/crds.gen.ts is not what the source gives: run node tools/gen-crds.ts');
    process.exitCode = 1;
  } else if (!isSame) {
    writeFileSync(output, text);
  }
}

function crdsText(crds: readonly SourceCrd[], origin: string): string {
  const schemaNames = new Map<string, string>();
  const entries = crds.map((crd) => crdText(crd, schemaNames));
  const schemas = [...schemaNames].map(([json, name]) => `const ${name}: CrdSchema = ${json};`);
  return [
    `// generated by tools/gen-crds.ts from ${origin}; do not edit`,
    TYPES,
    ...schemas,
    '',
    '/** Every CustomResourceDefinition of the Istio API, in the order of its source. */',
    'export const ISTIO_CRDS: readonly Crd[] = [',
    ...entries,
    '];',
    '',
  ].join('\n');
}

/** One kind as source text; adds its schemas to `schemaNames` (JSON -> constant). */
function crdText({ metadata, spec }: SourceCrd, schemaNames: Map<string, string>): string {
  const { kind, listKind, plural, singular, shortNames = [], categories = [] } = spec.names;
  const { labels = {}, annotations = {} } = metadata;
  const head = {
    name: metadata.name,
    group: spec.group,
    kind,
    listKind,
    plural,
    singular,
    shortNames,
    categories,
  };
  const versions = spec.versions.map((version) => {
    const json = JSON.stringify(withoutDescriptions(version.schema.openAPIV3Schema, metadata.name));
    const schemaName = schemaNames.get(json) ?? `${singular}Schema${capitalise(version.name)}`;
    schemaNames.set(json, schemaName);
    const columns = (version.additionalPrinterColumns ?? []).map(
      ({ name, type, jsonPath, format, priority }) => ({ name, type, jsonPath, format, priority }),
    );
    const { name, served, storage } = version;
    const hasStatus = version.subresources?.status !== undefined;
    const facts = JSON.stringify({ name, served, storage, hasStatus, printerColumns: columns });
    return `${facts.slice(0, -1)},"schema":${schemaName}}`;
  });
  const facts = JSON.stringify({ ...head, scope: spec.scope, labels, annotations });
  return `  ${facts.slice(0, -1)},"versions":[\n    ${versions.join(',\n    ')},\n  ]},`;
}

/** Copies a schema node without prose; a key that nobody has looked at stops the generator. */
function withoutDescriptions(node: Schema, where: string): Schema {
  const copy: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(node)) {
    if (key === 'description') continue;
    if (key === 'properties') {
      const properties = Object.entries(value as Record<string, Schema>);
      copy[key] = Object.fromEntries(
        properties.map(([name, child]) => [name, withoutDescriptions(child, `${where}.${name}`)]),
      );
    } else if (NODE_LIST_KEYS.has(key)) {
      copy[key] = (value as Schema[]).map((child) => withoutDescriptions(child, where));
    } else if (NODE_KEYS.has(key)) {
      copy[key] = typeof value === 'boolean' ? value : withoutDescriptions(value as Schema, where);
    } else if (VALUE_KEYS.has(key)) {
      copy[key] = value;
    } else {
      throw new Error(`unknown schema key ${key} at ${where}`);
    }
  }
  return copy;
}

function capitalise(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}

main();
