/**
 * Who gets which outbound routes. All proxies of a viewer share them, except where a VirtualService asks for source
 * labels or a proxy's own ProxyConfig changes virtual hosts: then a viewer has several views, one for each difference
 * that is really made. Labels that no VirtualService mentions never split a viewer.
 */
import { sortedBy } from '#base/bytes-order.ts';
import { hashHex } from '#base/hash.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import { isOnOneMachine, type Proxy } from '#model/proxy.ts';
import type { RouteFacts } from '#model/route-facts.ts';
import type { RouteModel } from '#model/route-model.ts';
import { isVisibleTo } from '#model/service-visibility.ts';
import type { ProxyConfigJson } from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';
import { sourceLabelPairs } from './route-selection.ts';
import type { Viewer } from './viewer.ts';

/** Keyed by `key`; exists while a proxy has it. */
export interface RouteView {
  /** The viewer's key, and a suffix where the view differs from the viewer's plain one. */
  readonly key: string;
  readonly viewer: string;
  readonly namespace: string;
  /** Those labels that some VirtualService asks for and the proxy has. */
  readonly labels: Readonly<Record<string, string>>;
  /** Tell the upstream the attempt number (x-envoy-attempt-count). */
  readonly includesAttemptCount: boolean;
  /** Keep the old Host in x-forwarded-host where a route rewrites it. */
  readonly appendsForwardedHost: boolean;
  /** Where requests come in on one machine; 0 elsewhere. */
  readonly localProxyPort: number;
}

export interface RouteViews {
  readonly views: Collection<RouteView>;
  readonly viewsByViewer: Index<RouteView>;
  /** Views in which some proxy has an HTTP proxy listener. */
  readonly httpProxyViews: Collection<RouteView>;
  readonly httpProxyByViewer: Index<RouteView>;
  /** The view of a sidecar, for those who put its snapshot together. */
  readonly viewOf: (fetch: Fetch, proxy: Proxy) => RouteView;
}

export interface RouteViewDeps {
  readonly engine: Engine;
  readonly proxies: Collection<Proxy>;
  readonly viewers: Collection<Viewer>;
  readonly viewerOf: (fetch: Fetch, proxy: Proxy) => string;
  readonly model: RouteModel;
}

/** Derives the views of all connected sidecars. */
export function createRouteViews(deps: RouteViewDeps): RouteViews {
  const { engine, model } = deps;
  const labelPairs = engine.derive('scope.sourceLabels', deps.viewers, (fetch, viewer) => {
    const asking = [...fetch.bucket(model.bySourceLabels, 'mesh').values()];
    const visible = asking.filter((object) => isVisibleTo(object.visibility, viewer.namespace));
    return sortedBy(new Set(visible.flatMap(sourceLabelPairs)), (pair) => pair);
  });
  const viewOf = (fetch: Fetch, proxy: Proxy): RouteView => {
    const viewer = deps.viewerOf(fetch, proxy);
    return routeView(viewer, proxy, fetch.get(labelPairs, viewer) ?? [], fetch.get(model.facts, MESH_KEY));
  };
  const views = engine.deriveMany('scope.routeViews', deps.proxies, (fetch, proxy) => {
    if (proxy.type !== 'sidecar') return [];
    const view = viewOf(fetch, proxy);
    return [[view.key, view] as const];
  });
  const httpProxyViews = engine.deriveMany('scope.httpProxyViews', deps.proxies, (fetch, proxy) => {
    if (proxy.type !== 'sidecar' || !hasHttpProxy(fetch, proxy, model)) return [];
    const view = viewOf(fetch, proxy);
    return [[view.key, view] as const];
  });
  const viewsByViewer = engine.index('scope.routeViews.byViewer', views, (view) => [view.viewer]);
  const httpProxyByViewer = engine.index('scope.httpProxyViews.byViewer', httpProxyViews, (view) => [
    view.viewer,
  ]);
  return { views, viewsByViewer, httpProxyViews, httpProxyByViewer, viewOf };
}

function hasHttpProxy(fetch: Fetch, proxy: Proxy, model: RouteModel): boolean {
  return proxy.httpProxyPort > 0 || (fetch.get(model.facts, MESH_KEY)?.httpProxyPort ?? 0) > 0;
}

function routeView(
  viewer: string,
  proxy: Proxy,
  mentioned: readonly string[],
  facts: RouteFacts | undefined,
): RouteView {
  const own = proxy.proxyConfig as ProxyConfigJson;
  // The mesh's are for a proxy that does not say what it was started with.
  const headers = Object.keys(own).length > 0 ? own.proxyHeaders : facts?.proxyHeaders;
  const localProxyPort = isOnOneMachine(proxy) ? proxy.httpProxyPort || (facts?.httpProxyPort ?? 0) : 0;
  const includesAttemptCount = headers?.attemptCount?.disabled !== true;
  const appendsForwardedHost = headers?.xForwardedHost?.enabled === true;
  const pairs = mentioned.filter((pair) => hasPair(proxy.labels, pair));
  const differences = [
    ...pairs,
    ...(includesAttemptCount ? [] : ['no attempt count']),
    ...(appendsForwardedHost ? ['forwarded host'] : []),
    ...(localProxyPort === 0 ? [] : [`one machine ${localProxyPort}`]),
  ];
  return {
    key: differences.length === 0 ? viewer : `${viewer}~${hashHex(differences.join('\n'))}`,
    viewer,
    namespace: proxy.namespace,
    labels: Object.fromEntries(pairs.map(splitPair)),
    includesAttemptCount,
    appendsForwardedHost,
    localProxyPort,
  };
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
