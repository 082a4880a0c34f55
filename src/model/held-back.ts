/**
 * Objects that Envoy refused, kept out of the model one by one (law 9). The verdict is input like any object: a source
 * collection, so that every replica and every restart comes to the same bytes. It names the hash of what was refused,
 * so a new spec lifts it by itself.
 * Table kind -> effect: docs/decisions/004-held-back-objects.md.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import { type ObjectRef, objectKey } from '#base/object-ref.ts';
import type { Collection, Engine } from '#collections/collection.ts';
import { isDryRun } from './authorization.ts';

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

/** Deeper than any field of a DestinationRule. */
const MAX_DEPTH = 8;

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
 * that restrict fail closed for what they select, in the smallest form of their own kind that does so and under their own
 * name, so that the denial in the log names the object. No text of the refused spec is in it but what says whom it is for.
 */
export function withoutObject<S>(object: MeshObject<S>): MeshObject<S> | undefined {
  const spec = object.spec as Spec;
  const stands = standIn(object, spec);
  return stands === undefined ? undefined : { ...object, spec: stands as S };
}

type Spec = Readonly<Record<string, unknown>>;

function standIn(object: MeshObject, spec: Spec): Spec | undefined {
  switch (object.kind) {
    case 'AuthorizationPolicy':
      return closedPolicy(object, spec);
    case 'PeerAuthentication':
      return { ...pick(spec, ['selector']), mtls: { mode: 'STRICT' } };
    case 'RequestAuthentication':
      return { ...pick(spec, ['selector', 'targetRef', 'targetRefs']), jwtRules: keylessRules(spec) };
    case 'DestinationRule':
      if (!asksForTls(spec, 0)) return undefined;
      return {
        ...pick(spec, ['host', 'exportTo', 'workloadSelector']),
        trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' } },
      };
    case 'WasmPlugin':
      return pick(spec, [...EXTENSION_FIELDS, ...MODULE_FIELDS]);
    case 'TrafficExtension':
      return modulelessExtension(spec);
    default:
      return undefined;
  }
}

/** Whom an extension is for and where it stands. */
const EXTENSION_FIELDS = ['selector', 'targetRef', 'targetRefs', 'phase', 'priority', 'match'];
/** Of a module: what happens without it. */
const MODULE_FIELDS = ['type', 'failStrategy'];

/**
 * An extension without a module does what its failure policy says. A script has none: among the filters that restrict
 * nothing passes without it, elsewhere everything.
 */
function modulelessExtension(spec: Spec): Spec | undefined {
  const extension = pick(spec, EXTENSION_FIELDS);
  const { wasm, phase } = spec;
  if (wasm !== undefined) return { ...extension, wasm: pick(wasm as Spec, MODULE_FIELDS) };
  return phase === 'AUTHN' || phase === 'AUTHZ' ? { ...extension, wasm: {} } : undefined;
}

/** ALLOW grants nothing more, DENY and CUSTOM deny everything; what only watches (AUDIT, a dry run) falls away. */
function closedPolicy({ annotations }: MeshObject, spec: Spec): Spec | undefined {
  const action = spec['action'] ?? 'ALLOW';
  if (action === 'AUDIT' || isDryRun(annotations)) return undefined;
  const selection = pick(spec, ['selector', 'targetRef', 'targetRefs']);
  return action === 'ALLOW' ? { ...selection, action } : { ...selection, action: 'DENY', rules: [{}] };
}

/** The issuers with no key at all: no token of theirs is valid, and requests without a token go on as before. */
function keylessRules(spec: Spec): readonly Spec[] {
  const rules = Array.isArray(spec['jwtRules']) ? (spec['jwtRules'] as readonly Spec[]) : [];
  return rules.map((rule) => ({ ...pick(rule, ['issuer']), jwks: '{"keys":[]}' }));
}

/** True when a DestinationRule asks for TLS at any of its levels: without it connections might go out in plain text. */
function asksForTls(value: unknown, depth: number): boolean {
  if (depth > MAX_DEPTH || typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, inner]) =>
    key === 'tls' ? encrypts(inner as Spec | null) : asksForTls(inner, depth + 1),
  );
}

/** DISABLE is the default of the field. */
function encrypts(tls: Spec | null): boolean {
  return (tls?.['mode'] ?? 'DISABLE') !== 'DISABLE';
}

function pick(spec: Spec, fields: readonly string[]): Spec {
  return Object.fromEntries(
    fields.flatMap((field) => (spec[field] === undefined ? [] : [[field, spec[field]]])),
  );
}
