/**
 * From where a proxy looks up names: its viewer, and what of itself decides which addresses it may be told. Proxies with
 * equal views get the same name table. Views exist for those that asked for a table only.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarSpec } from '#api/sidecar.ts';
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import type { Demand } from '#model/demand.ts';
import type { Proxy } from '#model/proxy.ts';
import { type EgressListener, egressListeners } from '#scope/egress-listener.ts';
import type { OutboundScope } from '#scope/outbound-host-model.ts';
import type { Viewer } from '#scope/viewer.ts';

/** Keyed by `key`, `viewer@place`. */
export interface NameView {
  readonly key: string;
  readonly viewer: string;
  /** False for gateways and waypoints: they have a table, but an empty one. */
  readonly hasNames: boolean;
  /** The listeners of the viewer's Sidecar object; undefined without one. */
  readonly imports: readonly EgressListener[] | undefined;
  readonly place: NamePlace;
}

/** What decides about the addresses behind a name. */
export interface NamePlace {
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** Names without an address of their own get the one that was allocated for them. */
  readonly autoAllocated: boolean;
  readonly clusterId: string;
  readonly network: string;
}

export interface NameViewDeps {
  readonly engine: Engine;
  readonly proxies: Collection<Proxy>;
  readonly demands: Collection<Demand>;
  readonly sidecars: Collection<MeshObject<SidecarSpec>>;
  readonly scope: Pick<OutboundScope, 'viewers' | 'viewerOf'>;
}

export interface NameViews {
  readonly views: Collection<NameView>;
  /** Key of the proxy's view; undefined when it has not asked for names. */
  viewOf(fetch: Fetch, proxy: Proxy): string | undefined;
}

/** Derives the views of the proxies that ask for names. */
export function createNameViews(deps: NameViewDeps): NameViews {
  const placeFor = (fetch: Fetch, proxy: Proxy): NamePlace =>
    placeOf(proxy, fetch.get(deps.scope.viewers, deps.scope.viewerOf(fetch, proxy))?.ipFamilies ?? 'v4');
  const viewOf = (fetch: Fetch, proxy: Proxy): string | undefined =>
    fetch.get(deps.demands, proxy.id)?.nameTable === true
      ? keyOf(deps.scope.viewerOf(fetch, proxy), placeFor(fetch, proxy))
      : undefined;
  const views = deps.engine.deriveMany('xds.nameViews', deps.proxies, (fetch, proxy) => {
    const key = viewOf(fetch, proxy);
    if (key === undefined) return [];
    const viewer = deps.scope.viewerOf(fetch, proxy);
    const sidecarKey = fetch.get(deps.scope.viewers, viewer)?.sidecar ?? '';
    const sidecar = sidecarKey === '' ? undefined : fetch.get(deps.sidecars, sidecarKey);
    const view: NameView = {
      key,
      viewer,
      hasNames: proxy.type === 'sidecar',
      imports: sidecar === undefined ? undefined : egressListeners(sidecar, proxy.namespace),
      place: placeFor(fetch, proxy),
    };
    return [[key, view]];
  });
  return { views, viewOf };
}

/** Source: Istio pilot/pkg/model/service.go nodeUsesAutoallocatedIPs (allocation is on by default), getAllAddressesForProxy. */
function placeOf(proxy: Proxy, families: Viewer['ipFamilies']): NamePlace {
  return {
    ipv4: families !== 'v6',
    ipv6: families !== 'v4',
    autoAllocated: proxy.dnsCapture || proxy.type === 'waypoint',
    clusterId: proxy.clusterId,
    network: proxy.network,
  };
}

/** Cluster and network are free text; '|' ends the view in keys of collections. */
function keyOf(viewer: string, place: NamePlace): string {
  const families = `${place.ipv4 ? '4' : ''}${place.ipv6 ? '6' : ''}`;
  const parts = [families, place.autoAllocated ? 'auto' : '', place.clusterId, place.network];
  return `${viewer}@${parts.map((part) => encodeURIComponent(part)).join(',')}`;
}
