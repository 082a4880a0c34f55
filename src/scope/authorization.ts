/**
 * The authorization facet of every connected proxy: proxies that the same policies select share everything built from it.
 * Costs per proxy a read of two policy buckets; computed again only when one of those or the mesh's trust domains changed.
 */
import type { Collection, Engine } from '#collections/collection.ts';
import {
  type AuthorizationModel,
  authorizationFor,
  type WorkloadAuthorization,
} from '#model/authorization.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { Proxy } from '#model/proxy.ts';
import type { ListenerFacts } from './listener-facts.ts';

export interface AuthorizationDeps {
  readonly proxies: Collection<Proxy>;
  readonly facts: Collection<ListenerFacts>;
  readonly authorization: AuthorizationModel;
}

/** Derives facet, causes and findings, keyed by proxy id. */
export function createAuthorizationScope(
  engine: Engine,
  deps: AuthorizationDeps,
): Collection<WorkloadAuthorization> {
  return engine.derive('scope.authorization', deps.proxies, (fetch, proxy) => {
    const facts = fetch.get(deps.facts, MESH_KEY);
    return facts === undefined ? undefined : authorizationFor(fetch, deps.authorization, facts, proxy);
  });
}
