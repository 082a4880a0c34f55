/**
 * The request policy of every connected proxy: proxies that the same policies select share everything built from it.
 * Costs per proxy a read of a bucket of each kind of policy per label and namespace; computed again only when one of those, a key set or an authorizer that
 * they name, or the mesh's trust domains changed.
 */
import type { Collection, Engine } from '#collections/collection.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { Proxy } from '#model/proxy.ts';
import { type RequestPolicy, type RequestPolicyModel, requestPolicyFor } from '#model/request-policy.ts';
import type { ListenerFacts } from './listener-facts.ts';

export interface RequestPolicyDeps {
  readonly proxies: Collection<Proxy>;
  readonly facts: Collection<ListenerFacts>;
  readonly policies: RequestPolicyModel;
}

/** Derives facet, causes and findings, keyed by proxy id. */
export function createRequestPolicyScope(engine: Engine, deps: RequestPolicyDeps): Collection<RequestPolicy> {
  return engine.derive('scope.requestPolicy', deps.proxies, (fetch, proxy) => {
    const facts = fetch.get(deps.facts, MESH_KEY);
    return facts === undefined ? undefined : requestPolicyFor(fetch, deps.policies, facts, proxy);
  });
}
