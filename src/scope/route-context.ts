/**
 * What all outbound virtual hosts of a viewer depend on alike, as one record: one dependency for each of them instead
 * of several. Changes when a view, an alias or a wildcard comes or goes, which is rare.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarSpec } from '#api/sidecar.ts';
import type { Destination } from '#api/virtual-service.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Collection, Engine, Index } from '#collections/collection.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import type { RouteModel } from '#model/route-model.ts';
import { type EgressListener, egressListeners, takesAllPorts } from './egress-listener.ts';
import type { OutboundHost } from './outbound-host.ts';
import { type RouteFacts, routeFacts, type UnknownHosts } from '#model/route-facts.ts';
import type { RouteView, RouteViews } from './route-view.ts';
import type { Viewer } from './viewer.ts';

/** Keyed by viewer. */
export interface RouteContext {
  readonly viewer: Viewer;
  /** In order of their keys. */
  readonly views: readonly RouteView[];
  /** Keys of the views in which HTTP proxy requests arrive: some proxy, or the Sidecar, has such a listener. */
  readonly httpProxyViews: ReadonlySet<string>;
  /** Wildcard hosts of VirtualServices for sidecars, most specific first. */
  readonly wildcards: readonly string[];
  /** Full host name -> host names of ExternalName services that stand for it. */
  readonly aliases: ReadonlyMap<string, readonly string[]>;
  readonly facts: RouteFacts;
  /** Which listener's tables it is for: '' for those of ports, else the place in `egress` of one that takes all ports. */
  readonly listener: string;
  /** Egress listeners of the viewer's Sidecar object; undefined without one. */
  readonly egress: readonly EgressListener[] | undefined;
  /** What becomes of requests for unknown hosts: the Sidecar's word, else the mesh's. */
  readonly unknownHosts: UnknownHosts;
  /** Where unknown hosts are sent instead of where they were going; undefined as a rule. */
  readonly egressProxy: Destination | undefined;
  /** `.svc.` and the cluster's domain. */
  readonly clusterSuffix: string;
}

export interface RouteContextDeps {
  readonly engine: Engine;
  readonly viewers: Collection<Viewer>;
  readonly hosts: Collection<OutboundHost>;
  readonly routeViews: RouteViews;
  readonly model: RouteModel;
  readonly sidecars: Collection<MeshObject<SidecarSpec>>;
}

/** Derives the context of every viewer. */
export function createRouteContexts(deps: RouteContextDeps): Collection<RouteContext> {
  const { engine, model } = deps;
  const aliasesByViewer: Index<OutboundHost> = engine.index('scope.aliases.byViewer', deps.hosts, (host) =>
    host.service.externalName === '' ? [] : [host.viewer],
  );
  const { viewsByViewer, httpProxyByViewer } = deps.routeViews;
  return engine.derive('scope.routeContexts', deps.viewers, (fetch, viewer) => {
    const sidecar = viewer.sidecar === '' ? undefined : fetch.get(deps.sidecars, viewer.sidecar);
    const facts = fetch.get(model.facts, MESH_KEY) ?? routeFacts({});
    const policy = sidecar?.spec.outboundTrafficPolicy;
    const egress = sidecar === undefined ? undefined : egressListeners(sidecar, viewer.namespace);
    const views = fetch.bucket(viewsByViewer, viewer.key);
    return {
      viewer,
      listener: '',
      views: [...views.values()],
      httpProxyViews: new Set(fetch.bucket(httpProxyByViewer, viewer.key).keys()),
      wildcards: [...fetch.all(model.meshWildcards).keys()].sort(compareSpecificity),
      aliases: aliasesOf(fetch.bucket(aliasesByViewer, viewer.key).values()),
      facts,
      egress,
      unknownHosts: policy === undefined ? facts.unknownHosts : (policy.mode ?? 'REGISTRY_ONLY'),
      egressProxy: policy?.egressProxy,
      clusterSuffix: `.svc.${model.clusterDomain}`,
    };
  });
}

/** The context itself, and one for each listener that takes all ports: it decides for every port. */
export function listenerContexts(context: RouteContext): readonly RouteContext[] {
  const own = (context.egress ?? []).flatMap((egress, place): RouteContext[] =>
    takesAllPorts(egress)
      ? [
          {
            ...context,
            listener: String(place),
            egress: [{ ...egress, isCatchAll: true }],
            httpProxyViews: new Set(context.views.map(({ key }) => key)),
          },
        ]
      : [],
  );
  return own.length === 0 ? [context] : [context, ...own];
}

/** Exact names before wildcards, longer before shorter, then by bytes. Source: istio host.MoreSpecific. */
export function compareSpecificity(a: string, b: string): number {
  const wildcards = Number(a.startsWith('*')) - Number(b.startsWith('*'));
  return wildcards || b.length - a.length || compareBytes(a, b);
}

/** Aliases by the host that they end at; those that end nowhere, in a circle, are left out. */
function aliasesOf(hosts: Iterable<OutboundHost>): ReadonlyMap<string, readonly string[]> {
  const targets = new Map(Array.from(hosts, ({ service }) => [service.hostname, service.externalName]));
  const aliases = new Map<string, string[]>();
  for (const alias of [...targets.keys()].sort(compareBytes)) {
    const host = lastTarget(targets, alias);
    if (host === undefined) continue;
    const names = aliases.get(host);
    if (names === undefined) aliases.set(host, [alias]);
    else names.push(alias);
  }
  return aliases;
}

/** Source: istio push_context.go resolveServiceAliases. */
function lastTarget(targets: ReadonlyMap<string, string>, alias: string): string | undefined {
  const seen = new Set([alias]);
  for (let host = targets.get(alias); host !== undefined; host = targets.get(host)) {
    if (!targets.has(host)) return host;
    if (seen.has(host)) return undefined;
    seen.add(host);
  }
  return undefined;
}
