/**
 * Which patches meet a proxy, in the order in which they apply: the facet of a proxy's EnvoyFilters. Proxies that the
 * same patches meet have the same object, so that whatever is patched is shared by them.
 * Costs per proxy a walk over the EnvoyFilters of two namespaces; computed again when one of these changes.
 * Source: istio pilot/pkg/model/push_context.go EnvoyFilters, envoyfilter.go proxyMatch, policyattachment.go.
 */
import type { Cause } from '#base/cause.ts';
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import {
  compareEnvoyFilters,
  type EnvoyFilter,
  type EnvoyFilterModel,
  type PlacedPatch,
  type ProxyMatch,
} from '#model/envoy-filter.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { Proxy } from '#model/proxy.ts';
import type { ListenerFacts } from './listener-facts.ts';

/** A patch that meets a proxy, and the object that asks for it. */
export type MetPatch = Pick<PlacedPatch, 'patch' | 'cause'>;

/** The patches of a proxy. Equal ones are the same object. */
export interface PatchSet {
  readonly patches: readonly MetPatch[];
}

export interface EnvoyFilterDeps {
  readonly proxies: Collection<Proxy>;
  readonly facts: Collection<ListenerFacts>;
  readonly model: EnvoyFilterModel;
  readonly interner: Interner;
}

/** Label by which a proxy says which Gateway (gateway.networking.k8s.io) it serves. */
const GATEWAY_LABEL = 'gateway.networking.k8s.io/gateway-name';
const GATEWAY_GROUP = 'gateway.networking.k8s.io';

/** Derives the facets, keyed by proxy id; a proxy that no patch meets has none. */
export function createEnvoyFilterScope(engine: Engine, deps: EnvoyFilterDeps): Collection<PatchSet> {
  return engine.derive(
    'scope.envoyFilters',
    deps.proxies,
    (fetch, proxy) => {
      const rootNamespace = fetch.get(deps.facts, MESH_KEY)?.rootNamespace ?? '';
      const filters = envoyFiltersFor(fetch, deps.model, rootNamespace, proxy);
      const met = filters.flatMap(({ patches }) => patches.filter((placed) => meets(placed.proxy, proxy)));
      return met.length === 0 ? undefined : internSet(deps.interner, met);
    },
    { equals: (a, b) => a === b },
  );
}

/** The EnvoyFilters of the root namespace and the proxy's own that select the proxy, in the order in which they apply. */
export function envoyFiltersFor(
  fetch: Fetch,
  model: EnvoyFilterModel,
  rootNamespace: string,
  proxy: Pick<Proxy, 'namespace' | 'labels'>,
): readonly EnvoyFilter[] {
  return [...new Set([rootNamespace, proxy.namespace])]
    .flatMap((namespace) => [...fetch.bucket(model.byNamespace, namespace).values()])
    .filter((filter) => isFor(filter, proxy))
    .sort(compareEnvoyFilters(rootNamespace));
}

function internSet(interner: Interner, met: readonly PlacedPatch[]): PatchSet {
  const content = met.map(({ patch, cause }) => [patch.id, placeOf(cause)]);
  return interner.intern('patchSet', content, () => ({
    patches: met.map(({ patch, cause }) => ({ patch, cause })),
  }));
}

function placeOf({ namespace, name, path }: Cause): string {
  return `${namespace}/${name}/${path}`;
}

/** An EnvoyFilter with targets is for the gateways that it names, and for nothing else. */
function isFor(
  { namespace, labels, targetRefs }: EnvoyFilter,
  proxy: Pick<Proxy, 'namespace' | 'labels'>,
): boolean {
  if (targetRefs.length === 0) {
    return Object.entries(labels).every(
      ([label, value]) => Object.hasOwn(proxy.labels, label) && proxy.labels[label] === value,
    );
  }
  const gateway = proxy.labels[GATEWAY_LABEL];
  return (
    gateway !== undefined &&
    namespace === proxy.namespace &&
    targetRefs.some(
      (target) =>
        target.group === GATEWAY_GROUP &&
        target.kind === 'Gateway' &&
        target.name === gateway &&
        ((target.namespace ?? '') === '' || target.namespace === namespace),
    )
  );
}

/** A proxy that does not say its version matches no expression. */
function meets({ version, metadata }: ProxyMatch, proxy: Proxy): boolean {
  if (version === 'none') return false;
  if (version !== undefined && (proxy.istioVersion === '' || !version.matcher(proxy.istioVersion).find()))
    return false;
  for (const [key, value] of metadata) {
    if (!Object.hasOwn(proxy.metadata, key) || proxy.metadata[key] !== value) return false;
  }
  return true;
}
