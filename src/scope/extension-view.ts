/**
 * Outbound listeners of one viewer under different extensions: a view is a viewer and the extensions that stand in them.
 * Nearly all proxies have none and share the viewer's plain view; a view more costs its listeners, nothing else of the viewer.
 */
import { canonicalJson } from '#base/canonical-json.ts';
import type { Cause } from '#base/cause.ts';
import { hashHex } from '#base/hash.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { Proxy } from '#model/proxy.ts';
import {
  type ExtensionFacet,
  extensionsOnSide,
  NO_WORKLOAD_EXTENSIONS,
  type WorkloadExtensions,
} from './extension.ts';

/** Keyed by `key`; exists while a connected proxy has it. */
export interface ExtensionView {
  /** The viewer's key, and a hash where there are extensions. */
  readonly key: string;
  readonly viewer: string;
  readonly facet: ExtensionFacet;
  readonly causes: readonly Cause[];
}

export interface ExtensionViews {
  readonly byViewer: Index<ExtensionView>;
  /** Key of a proxy's view. */
  readonly viewOf: (fetch: Fetch, proxy: Proxy) => string;
}

export interface ExtensionViewDeps {
  readonly proxies: Collection<Proxy>;
  readonly viewerOf: (fetch: Fetch, proxy: Proxy) => string;
  /** By proxy id. */
  readonly extensions: Collection<WorkloadExtensions>;
}

/** Derives the views of all connected sidecars. */
export function createExtensionViews(engine: Engine, deps: ExtensionViewDeps): ExtensionViews {
  const views = engine.deriveMany('scope.extensionViews', deps.proxies, (fetch, proxy) => {
    if (proxy.type !== 'sidecar') return [];
    const view = extensionView(fetch, proxy, deps);
    return [[view.key, view] as const];
  });
  return {
    byViewer: engine.index('scope.extensionViewsByViewer', views, ({ viewer }) => [viewer]),
    viewOf: (fetch, proxy) => extensionView(fetch, proxy, deps).key,
  };
}

function extensionView(fetch: Fetch, proxy: Proxy, deps: ExtensionViewDeps): ExtensionView {
  const viewer = deps.viewerOf(fetch, proxy);
  // What stands in inbound listeners only does not set outbound ones apart.
  const extensions = fetch.get(deps.extensions, proxy.id) ?? NO_WORKLOAD_EXTENSIONS;
  const { facet, causes } = extensionsOnSide(extensions, 'CLIENT');
  const key = facet.length === 0 ? viewer : `${viewer}~extensions=${hashHex(canonicalJson(facet))}`;
  return { key, viewer, facet, causes };
}
