/**
 * Derives every virtual host of every viewer, each on its own: a change of one VirtualService or service computes again
 * the hosts that it concerns and nothing else.
 */
import type { Cause } from '#base/cause.ts';
import { sortedBy } from '#base/bytes-order.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import type { RouteModel } from '#model/route-model.ts';
import type { ServicePort } from '#model/service.ts';
import { comparePrecedenceIn, type VirtualService } from '#model/virtual-service.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import { seesService, virtualServicesFor } from '#scope/route-binding.ts';
import { createHostClaims, isRoutable } from '#scope/route-claims.ts';
import type { RouteContext } from '#scope/route-context.ts';
import { type HostFacts, type PortInference, servicePortHash } from '#scope/route-destination.ts';
import {
  type HostDomains,
  serviceDomains,
  virtualHostName,
  virtualServiceDomains,
} from '#scope/route-domains.ts';
import { type SelectedRule, selectRules } from '#scope/route-selection.ts';
import type { RouteView } from '#scope/route-view.ts';
import { viewerKey } from '#scope/viewer.ts';
import { outboundClusterName } from '../names.ts';
import {
  type HostRoutes,
  type HostVariant,
  internVirtualHost,
  type OutboundVirtualHost,
} from './outbound-virtual-host.ts';
import { routeListInput } from './virtual-host-routes.ts';

export interface OutboundVirtualHostDeps {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly model: RouteModel;
  readonly contexts: Collection<RouteContext>;
  readonly hosts: Collection<OutboundHost>;
  readonly hostsByViewer: Index<OutboundHost>;
}

/** All virtual hosts, keyed `viewer|host:port`. */
export function createOutboundVirtualHosts(deps: OutboundVirtualHostDeps): Collection<OutboundVirtualHost> {
  const { engine } = deps;
  const ofServices = engine.deriveMany('xds.serviceVirtualHosts', deps.hosts, (fetch, host) => {
    const context = fetch.get(deps.contexts, host.viewer);
    if (context === undefined || host.service.resolution === 'ALIAS') return [];
    return host.service.ports
      .filter((port) => isRoutable(port) && seesService(context, host.service, port.number))
      .map((port) => serviceVirtualHost({ deps, fetch, context }, host, port));
  });
  const claims = engine.group('xds.hostClaims', createHostClaims(deps));
  const ofVirtualServices = engine.deriveMany('xds.claimedVirtualHosts', claims, (fetch, group) => {
    const [first] = [...group.values()];
    const context = first === undefined ? undefined : fetch.get(deps.contexts, first.viewer);
    if (first === undefined || context === undefined) return [];
    const bound = [...group.values()]
      .map((claim) => claim.virtualService)
      .sort((a, b) => comparePrecedenceIn(context.viewer.namespace, a, b));
    return claimedVirtualHost({ deps, fetch, context }, bound, first.host, first.port);
  });
  return engine.union('xds.virtualHosts', [ofServices, ofVirtualServices]);
}

/** What the virtual hosts of one derivation have in common. */
interface Building {
  readonly deps: OutboundVirtualHostDeps;
  readonly fetch: Fetch;
  readonly context: RouteContext;
}

/** One host and port to build. */
interface Target {
  readonly name: string;
  readonly port: number;
  readonly names: HostDomains;
  /** VirtualServices in order of precedence; the first with routes for the asker wins. */
  readonly bound: readonly VirtualService[];
  /** The service, undefined for a host that only VirtualServices name. */
  readonly host: OutboundHost | undefined;
}

type Entry = readonly [string, OutboundVirtualHost];

function serviceVirtualHost(building: Building, host: OutboundHost, port: ServicePort): Entry {
  const { context } = building;
  const { service } = host;
  const aliases = context.aliases.get(service.hostname) ?? [];
  const target: Target = {
    name: virtualHostName(service.hostname, port.number),
    port: port.number,
    bound: virtualServicesFor(building.fetch, building.deps.model, context, {
      host: service.hostname,
      port: port.number,
    }),
    names: serviceDomains(service, aliases, context.viewer.namespace, context.clusterSuffix),
    host,
  };
  const hasOwnTable = port.protocol === 'Unsupported' && service.addresses.length > 0;
  return entry(
    building,
    target,
    hasOwnTable,
    context.views.map((view) => serviceVariant(building, target, view)),
  );
}

function claimedVirtualHost(
  building: Building,
  bound: readonly VirtualService[],
  host: string,
  port: number,
): readonly Entry[] {
  const target: Target = {
    name: virtualHostName(host, port),
    port,
    bound,
    names: virtualServiceDomains(host),
    host: undefined,
  };
  const variants = building.context.views.flatMap((view) => {
    const choice = choose(target, view);
    return choice === undefined ? [] : [routedVariant(building, target, view, choice)];
  });
  return variants.length === 0 ? [] : [entry(building, target, false, variants)];
}

function entry(
  building: Building,
  target: Target,
  hasOwnTable: boolean,
  variants: readonly HostVariant[],
): Entry {
  const { viewer } = building.context;
  const host: OutboundVirtualHost = {
    viewer: viewer.key,
    namespace: viewer.namespace,
    name: target.name,
    port: target.port,
    hasOwnTable,
    variants,
  };
  return [viewerKey(viewer.key, target.name), host];
}

function serviceVariant(building: Building, target: Target, view: RouteView): HostVariant {
  const choice = choose(target, view);
  if (choice !== undefined) return routedVariant(building, target, view, choice);
  const { service, policy } = target.host as OutboundHost;
  const hash = servicePortHash(policy, target.port);
  const encoded = intern(building, target, view, {
    kind: 'default',
    cluster: outboundClusterName(target.port, '', service.hostname),
    hash,
    defaultRetries: building.context.facts.defaultRetries,
  });
  return {
    view: view.key,
    name: target.name,
    ...target.names,
    encoded,
    forHttpProxy: building.context.httpProxyViews.has(view.key) ? encoded : undefined,
    rank: { virtualService: undefined, isService: true, name: target.name },
    causes: hash === undefined ? [service.cause] : [service.cause, ...(policy?.causes ?? [])],
  };
}

interface Choice {
  readonly virtualService: VirtualService;
  readonly rules: readonly SelectedRule[];
}

/** The first VirtualService that has a route for the view on the port. */
function choose(target: Target, view: RouteView): Choice | undefined {
  const asker = { port: target.port, gateway: 'mesh', namespace: view.namespace, labels: view.labels };
  for (const virtualService of target.bound) {
    const rules = selectRules(virtualService, asker);
    if (rules.length > 0) return { virtualService, rules };
  }
  return undefined;
}

function routedVariant(building: Building, target: Target, view: RouteView, choice: Choice): HostVariant {
  const { context } = building;
  const seen = new Map<string, HostFacts>();
  const routes = (inference: PortInference): HostRoutes => {
    const lookup = (hostname: string): HostFacts | undefined => {
      const facts = building.fetch.get(building.deps.hosts, viewerKey(context.viewer.key, hostname));
      if (facts !== undefined) seen.set(hostname, facts);
      return facts;
    };
    const list = routeListInput(
      choice.virtualService,
      choice.rules,
      { lookup, listenerPort: target.port, inference },
      {
        isTls: false,
        defaultRetries: context.facts.defaultRetries,
        appendForwardedHost: view.appendsForwardedHost,
      },
    );
    return { kind: 'virtual-service', list };
  };
  return {
    view: view.key,
    name: target.name,
    ...target.names,
    encoded: intern(building, target, view, routes('listener')),
    forHttpProxy: context.httpProxyViews.has(view.key)
      ? intern(building, target, view, routes('single-port'))
      : undefined,
    rank: { virtualService: choice.virtualService, isService: target.host !== undefined, name: target.name },
    causes: [
      ...(target.host === undefined ? [] : [target.host.service.cause]),
      ...ruleCauses(choice.rules),
      ...sortedBy(seen, ([hostname]) => hostname).flatMap(([, facts]) => facts.policy?.causes ?? []),
    ],
  };
}

/** The rules and matches that became routes, as causes with field paths. */
export function ruleCauses(rules: readonly SelectedRule[]): readonly Cause[] {
  return rules.map(({ rule, matchPath }) => ({ ...rule.cause, path: `${rule.cause.path}${matchPath}` }));
}

function intern(
  building: Building,
  target: Target,
  view: RouteView,
  routes: HostRoutes,
): HostVariant['encoded'] {
  return internVirtualHost(building.deps.interner, {
    name: target.name,
    domains: target.names.domains,
    routes,
    includeAttemptCount: view.includesAttemptCount,
  });
}
