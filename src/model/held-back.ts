/**
 * Objects that Envoy refused, kept out of the model one by one (law 9). The verdict is input like any object: a source
 * collection, so that every replica and every restart comes to the same bytes. It names the hash of what was refused,
 * so a new spec lifts it by itself.
 * Table kind -> effect: docs/decisions/004-held-back-objects.md.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import { type ObjectRef, objectKey } from '#base/object-ref.ts';
import type { Collection, Engine } from '#collections/collection.ts';

/** One object held back. Keyed `Kind/namespace/name` in the source collection `heldBack`. */
export interface HeldBack extends ObjectRef {
  /** Hash of the object that was refused (MeshObject.hash). */
  readonly refusedHash: string;
  /** The Envoy version that refused it. */
  readonly envoyVersion: string;
  /** Envoy's own words, bounded in length. */
  readonly reason: string;
  /** When the verdict was made, RFC 3339; shown to people, never used to decide. */
  readonly since: string;
  /** The last form that Envoy took, undefined when there was none. */
  readonly lastGood: MeshObject | undefined;
}

/**
 * The objects of one kind as the model may see them: a held-back object is replaced by its last good form, or, where
 * there was none, by the effect of its kind (`withoutObject`).
 */
export function admittedObjects<S>(
  engine: Engine,
  objects: Collection<MeshObject<S>>,
  heldBack: Collection<HeldBack>,
): Collection<MeshObject<S>> {
  return engine.derive(`admitted.${objects.name}`, objects, (fetch, object) => {
    const verdict = fetch.get(heldBack, objectKey(object));
    if (verdict === undefined || verdict.refusedHash !== object.hash) return object;
    return (verdict.lastGood as MeshObject<S> | undefined) ?? withoutObject(object);
  });
}

/**
 * What stands in for a refused object that never had a good form. Kinds that add routes or settings fall away; kinds
 * that restrict fail closed for what they select: the policy denies everything there under its own name, so that the
 * denial in the log names it.
 */
function withoutObject<S>(object: MeshObject<S>): MeshObject<S> | undefined {
  const spec = object.spec as Readonly<Record<string, unknown>>;
  const selection = { selector: spec['selector'], targetRefs: spec['targetRefs'], targetRef: spec['targetRef'] };
  if (object.kind === 'AuthorizationPolicy') {
    return { ...object, spec: { ...selection, action: 'DENY', rules: [{}] } as S };
  }
  if (object.kind === 'PeerAuthentication') {
    return { ...object, spec: { selector: spec['selector'], mtls: { mode: 'STRICT' } } as S };
  }
  if (object.kind === 'DestinationRule' && hasTls(spec)) {
    return { ...object, spec: { host: spec['host'], trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' } } } as S };
  }
  return undefined;
}

/** True when a DestinationRule says anything about TLS, at any of its levels. */
function hasTls(spec: Readonly<Record<string, unknown>>): boolean {
  const seen = (value: unknown, depth: number): boolean => {
    if (depth > 8 || typeof value !== 'object' || value === null) return false;
    if (!Array.isArray(value) && Object.hasOwn(value, 'tls')) return true;
    return Object.values(value).some((inner) => seen(inner, depth + 1));
  };
  return seen(spec, 0);
}
