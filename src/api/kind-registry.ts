/**
 * The kinds that the program knows: one row per kind, with its names, its decoder and its validator.
 * Everything that depends on a kind (decode, collections, printing, the CLI's arguments) starts from this table.
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import { CORE_KINDS } from './core-kinds.ts';
import type { Findings } from './findings.ts';
import { ISTIO_KINDS } from './istio-kinds.ts';
import type { JsonObject } from './json-scalar.ts';
import type { MeshObject } from './mesh-object.ts';
import { suggest } from './suggestion.ts';

/** One kind of object. */
export interface KindInfo {
  readonly kind: string;
  /** API group, '' for core. */
  readonly group: string;
  /** Served versions, the preferred one first; all have the same schema. */
  readonly versions: readonly string[];
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly namespaced: boolean;
  /**
   * Reads what MeshObject.spec holds out of a whole object (`root`), normalised, with defaults where the kind fills
   * them in. undefined when nothing useful is left; each problem is a finding.
   */
  decode(
    root: JsonObject,
    findings: Findings,
    metadata: Pick<MeshObject, 'labels' | 'annotations'>,
  ): unknown | undefined;
  /** Root fields of the object as Kubernetes has them, from MeshObject.spec: the inverse of decode. */
  encode(spec: unknown): JsonObject;
  /** Findings about an object beyond its schema. */
  validate(object: MeshObject): readonly Diagnostic[];
}

/** All kinds: Istio's, core Kubernetes', ours. */
export const KINDS: readonly KindInfo[] = [...ISTIO_KINDS, ...CORE_KINDS];

const BY_KIND: ReadonlyMap<string, KindInfo> = new Map(KINDS.map((info) => [info.kind, info] as const));
const BY_NAME: ReadonlyMap<string, KindInfo> = new Map(
  KINDS.flatMap((info) => namesOf(info).map((name) => [name, info] as const)),
);

function namesOf(info: KindInfo): string[] {
  const group = info.group === '' ? [] : [`${info.plural}.${info.group}`, `${info.singular}.${info.group}`];
  return [info.kind.toLowerCase(), info.plural, info.singular, ...info.shortNames, ...group];
}

/** The row of exactly that kind; undefined for kinds that are not known. */
export function kindInfo(kind: string): KindInfo | undefined {
  return BY_KIND.get(kind);
}

/** The kind that a person means by its name, plural, singular or short name, in any case, with or without group. */
export function findKind(nameOrPluralOrShort: string): KindInfo | undefined {
  return BY_NAME.get(nameOrPluralOrShort.toLowerCase());
}

/** The known kind nearest to a misspelled one; undefined when none is near. */
export function suggestKind(text: string): string | undefined {
  const nearest = suggest(text, BY_NAME.keys());
  return nearest === undefined ? undefined : BY_NAME.get(nearest)?.kind;
}
