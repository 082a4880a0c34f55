/**
 * Who gets which outbound listeners. All sidecars of a viewer share them, except where a VirtualService tells clients of byte streams
 * apart by labels, or a proxy's own settings or extensions shape listeners: then a viewer has several views, one for each difference
 * that is made.
 */
import { sortedBy } from '#base/bytes-order.ts';
import { canonicalJson } from '#base/canonical-json.ts';
import { hashHex } from '#base/hash.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarSpec } from '#api/sidecar.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import type { Proxy } from '#model/proxy.ts';
import { policyOnOneMachine, type UnknownHosts } from '#model/route-facts.ts';
import { isVisibleTo } from '#model/service-visibility.ts';
import { ALL_STREAM_ROUTES, streamLabelPairs, type StreamRoutes } from '#model/stream-routes.ts';
import { extensionsOnSide, NO_WORKLOAD_EXTENSIONS, type WorkloadExtensions } from './extension.ts';
import type { ListenerDialect } from './listener-dialect.ts';
import type { ListenerFacts } from './listener-facts.ts';
import type { OutboundHost } from './outbound-host.ts';
import { tracedFacts } from './tracing.ts';
import type { Viewer } from './viewer.ts';

/** Keyed by `key`; exists while a proxy has it. */
export interface ListenerView {
  /** The viewer's key, and a suffix where the view differs from the viewer's plain one. Holds no '|'. */
  readonly key: string;
  readonly viewer: string;
  readonly namespace: string;
  /** Those labels that some VirtualService asks for and the proxies have. */
  readonly labels: Readonly<Record<string, string>>;
  /** With the Sidecar object's word on unknown destinations. */
  readonly facts: ListenerFacts;
  /** What stands in the listeners; one object per content. */
  readonly extensions: Pick<WorkloadExtensions, 'facet' | 'causes'>;
}

export interface ListenerViews {
  readonly views: Collection<ListenerView>;
  readonly viewsByViewer: Index<ListenerView>;
  /** Key of a sidecar's view; undefined while its facts are not known. */
  readonly viewOf: (fetch: Fetch, proxy: Proxy) => string | undefined;
}

export interface ListenerViewDeps {
  readonly proxies: Collection<Proxy>;
  readonly viewers: Collection<Viewer>;
  readonly viewerOf: (fetch: Fetch, proxy: Proxy) => string;
  readonly hosts: Collection<OutboundHost>;
  readonly sidecars: Collection<MeshObject<SidecarSpec>>;
  readonly dialects: Collection<ListenerDialect>;
  /** By proxy id, for those that have any. */
  readonly extensions: Collection<WorkloadExtensions>;
  readonly streamRoutes: StreamRoutes;
  readonly interner: Interner;
}

/** Derives the views of all connected sidecars. */
export function createListenerViews(engine: Engine, deps: ListenerViewDeps): ListenerViews {
  const labelPairs = engine.derive('scope.streamLabels', deps.viewers, (fetch, viewer) => {
    const asking = [...fetch.bucket(deps.streamRoutes.bySourceLabels, ALL_STREAM_ROUTES).values()];
    const visible = asking.filter((object) => isVisibleTo(object.visibility, viewer.namespace));
    return sortedBy(new Set(visible.flatMap(streamLabelPairs)), (pair) => pair);
  });
  const placeOf = (fetch: Fetch, proxy: Proxy): ViewPlace | undefined => {
    const dialect = fetch.get(deps.dialects, proxy.id);
    return dialect === undefined ? undefined : viewPlace(fetch, deps, labelPairs, { proxy, dialect });
  };
  const views = engine.deriveMany('scope.listenerViews', deps.proxies, (fetch, proxy) => {
    if (proxy.type !== 'sidecar' || proxy.generator === 'grpc') return [];
    const place = placeOf(fetch, proxy);
    const viewer = place === undefined ? undefined : fetch.get(deps.viewers, place.viewer);
    if (place === undefined || viewer === undefined) return [];
    const sidecar = viewer.sidecar === '' ? undefined : fetch.get(deps.sidecars, viewer.sidecar);
    const { key, pairs, dialect, extensions } = place;
    const facts = tracedFacts(fetch, deps.hosts, viewer.key, dialect.facts);
    const view: ListenerView = {
      key,
      viewer: viewer.key,
      namespace: viewer.namespace,
      labels: Object.fromEntries(pairs.map(splitPair)),
      facts: withOutboundPolicy(facts, sidecar?.spec, deps.interner),
      extensions,
    };
    return [[key, view] as const];
  });
  return {
    views,
    viewsByViewer: engine.index('scope.listenerViews.byViewer', views, (view) => [view.viewer]),
    viewOf: (fetch, proxy) => placeOf(fetch, proxy)?.key,
  };
}

/** What tells a proxy's view from others of its viewer. */
interface ViewPlace extends Pick<ListenerView, 'key' | 'viewer' | 'extensions'> {
  readonly pairs: readonly string[];
  readonly dialect: ListenerDialect;
}

function viewPlace(
  fetch: Fetch,
  deps: ListenerViewDeps,
  labelPairs: Collection<readonly string[]>,
  { proxy, dialect }: { readonly proxy: Proxy; readonly dialect: ListenerDialect },
): ViewPlace {
  const viewer = deps.viewerOf(fetch, proxy);
  const pairs = (fetch.get(labelPairs, viewer) ?? []).filter((pair) => hasPair(proxy.labels, pair));
  // What stands in inbound listeners only does not set outbound ones apart.
  const own = fetch.get(deps.extensions, proxy.id) ?? NO_WORKLOAD_EXTENSIONS;
  const { facet, causes } = extensionsOnSide(own, 'CLIENT');
  const differences = [
    ...(dialect.key === '' ? [] : [dialect.key]),
    ...(facet.length === 0 ? [] : [`extensions=${canonicalJson(facet)}`]),
    ...pairs,
  ];
  const key = differences.length === 0 ? viewer : `${viewer}~${hashHex(differences.join('\n'))}`;
  const extensions = { facet: deps.interner.intern('extensionFacet', facet, (one) => one), causes };
  return { key, viewer, pairs, dialect, extensions };
}

/** A Sidecar object may have its own word on unknown destinations. Source: istio pilot/pkg/model/sidecar.go, OutboundTrafficPolicy. */
function withOutboundPolicy(
  facts: ListenerFacts,
  sidecar: SidecarSpec | undefined,
  interner: Interner,
): ListenerFacts {
  const own = sidecar?.outboundTrafficPolicy;
  const mode: UnknownHosts = own === undefined ? facts.outboundPolicy : (own.mode ?? 'REGISTRY_ONLY');
  const { host = '', subset = '', port } = own?.egressProxy ?? {};
  const isUsed = host !== '' && mode !== 'REGISTRY_ONLY';
  const egressProxy = isUsed ? { hostname: host, port: port?.number ?? 0, subset } : undefined;
  const outboundPolicy = facts.onOneMachine && !isUsed ? policyOnOneMachine(mode) : mode;
  if (outboundPolicy === facts.outboundPolicy && egressProxy === undefined) return facts;
  return interner.intern('listenerFacts', { ...facts, outboundPolicy, egressProxy }, (one) => one);
}

function hasPair(labels: Readonly<Record<string, string>>, pair: string): boolean {
  const [key, value] = splitPair(pair);
  return Object.hasOwn(labels, key) && labels[key] === value;
}

/** Label keys hold no '='. */
function splitPair(pair: string): [string, string] {
  const at = pair.indexOf('=');
  return [pair.slice(0, at), pair.slice(at + 1)];
}
