/**
 * What owners of a namespace let others refer to (ReferenceGrant of Gateway API). Keyed by the object's `namespace/name`.
 * Source: Gateway API ReferenceGrant; istio pilot/pkg/config/kube/gateway SecretAllowed.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { ReferenceGrantSpec } from '#api/reference-grant.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';

/** Who refers, by group, kind and namespace. */
export interface Referrer {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
}

/** What is referred to; group '' is the core one. */
export interface Referent extends Referrer {
  readonly name: string;
}

/** Grants by the namespace that they are in. */
export function indexGrants(
  engine: Engine,
  grants: Collection<MeshObject<ReferenceGrantSpec>>,
): Index<MeshObject<ReferenceGrantSpec>> {
  return engine.index('model.referenceGrants.byNamespace', grants, ({ namespace }) => [namespace]);
}

/** True when a grant in the referent's namespace allows the reference. */
export function isReferenceGranted(
  fetch: Fetch,
  byNamespace: Index<MeshObject<ReferenceGrantSpec>>,
  from: Referrer,
  to: Referent,
): boolean {
  return [...fetch.bucket(byNamespace, to.namespace).values()].some(
    ({ spec }) =>
      spec.from.some(
        ({ group, kind, namespace }) =>
          group === from.group && kind === from.kind && namespace === from.namespace,
      ) &&
      spec.to.some(
        ({ group, kind, name }) =>
          group === to.group && kind === to.kind && (name === '' || name === to.name),
      ),
  );
}
