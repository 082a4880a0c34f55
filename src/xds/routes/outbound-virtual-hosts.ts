/**
 * Derives the virtual hosts of every viewer, shard by shard: a change of one VirtualService or service computes again the
 * shards that its hosts are in, where all but what really changed is found built already.
 */
import { sortedBy } from '#base/bytes-order.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import type { RouteModel } from '#model/route-model.ts';
import { comparePrecedenceIn, type VirtualService } from '#model/virtual-service.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import { seesService, type VirtualServiceLookup, virtualServicesFor } from '#scope/route-binding.ts';
import { createHostClaims, isRoutable } from '#scope/route-claims.ts';
import { listenerContexts, type RouteContext } from '#scope/route-context.ts';
import { serviceDomains, virtualHostName, virtualServiceDomains } from '#scope/route-domains.ts';
import { type HostShard, hostShardKey, internHosts, type ShardVariant } from './host-shard.ts';
import { type HostTarget, OutboundHostBuilder } from './outbound-host-builder.ts';

export interface OutboundVirtualHostDeps {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly model: RouteModel;
  readonly contexts: Collection<RouteContext>;
  readonly hosts: Collection<OutboundHost>;
  readonly hostsByViewer: Index<OutboundHost>;
  readonly hostsByTableShard: Index<OutboundHost>;
}

/** All virtual hosts, by shard; hosts that only VirtualServices name are shards of their own behind the others. */
export function createHostShards(deps: OutboundVirtualHostDeps): Collection<HostShard> {
  const { engine } = deps;
  return engine.union('xds.hostShards', [createServiceShards(deps), createClaimShards(deps)]);
}

function createServiceShards(deps: OutboundVirtualHostDeps): Collection<HostShard> {
  const { engine } = deps;
  const groups = engine.group('xds.hostGroups', deps.hostsByTableShard);
  return engine.deriveMany('xds.serviceShards', groups, (fetch, group, key) => {
    const [first] = group.values();
    const context = first === undefined ? undefined : fetch.get(deps.contexts, first.viewer);
    if (context === undefined) return [];
    const shard = key.slice(-2);
    const lookup = shardLookup(fetch, deps.model, shard);
    return listenerContexts(context).flatMap((own) => {
      const targets = [...group.values()].flatMap((host) => serviceTargets(host, own, lookup));
      return shardsByPort(deps, fetch, own, targets, shard);
    });
  });
}

function createClaimShards(deps: OutboundVirtualHostDeps): Collection<HostShard> {
  const { engine } = deps;
  const claims = engine.group('xds.hostClaims', createHostClaims(deps));
  return engine.deriveMany('xds.claimShards', claims, (fetch, group) => {
    const [first] = group.values();
    const ofViewer = first === undefined ? undefined : fetch.get(deps.contexts, first.viewer);
    if (first === undefined || ofViewer === undefined) return [];
    const context = listenerContexts(ofViewer).find(({ listener }) => listener === first.listener);
    if (context === undefined) return [];
    const bound = [...group.values()]
      .map((claim) => claim.virtualService)
      .sort((a, b) => comparePrecedenceIn(context.viewer.namespace, a, b));
    const target: HostTarget = {
      name: virtualHostName(first.host, first.port),
      port: first.port,
      bound,
      domains: virtualServiceDomains(first.host),
      host: undefined,
      hasOwnTable: false,
    };
    // Behind all shards of services: no shard's name begins with '~'.
    return shardsByPort(deps, fetch, context, [target], `~${first.host}`);
  });
}

/** Hosts of the shard come from one bucket, read once; wildcards from their own. */
function shardLookup(fetch: Fetch, model: RouteModel, shard: string): VirtualServiceLookup {
  const byHost = new Map<string, VirtualService[]>();
  for (const object of fetch.bucket(model.byMeshShard, shard).values()) {
    for (const host of object.hosts) {
      const known = byHost.get(host);
      if (known === undefined) byHost.set(host, [object]);
      else known.push(object);
    }
  }
  return (host) =>
    host.startsWith('*') ? fetch.bucket(model.byMeshHost, host).values() : (byHost.get(host) ?? []);
}

function serviceTargets(
  host: OutboundHost,
  context: RouteContext,
  lookup: VirtualServiceLookup,
): readonly HostTarget[] {
  const { service } = host;
  if (service.resolution === 'ALIAS') return [];
  const ports = service.ports.filter(
    (port) => isRoutable(port) && seesService(context, service, port.number),
  );
  if (ports.length === 0) return [];
  const aliases = context.aliases.get(service.hostname) ?? [];
  const { viewer, clusterSuffix, facts } = context;
  const { absoluteDomains } = facts;
  const domains = serviceDomains(service, aliases, {
    namespace: viewer.namespace,
    ipFamilies: viewer.ipFamilies,
    clusterSuffix,
    absoluteDomains,
  });
  return ports.map((port) => ({
    name: virtualHostName(service.hostname, port.number),
    port: port.number,
    bound: virtualServicesFor(lookup, context, service.hostname, port.number),
    domains,
    host,
    // Their listeners are at addresses: the service's own, or those of its endpoints.
    hasOwnTable:
      port.protocol === 'Unsupported' && (service.addresses.length > 0 || service.resolution === 'NONE'),
  }));
}

function shardsByPort(
  deps: OutboundVirtualHostDeps,
  fetch: Fetch,
  context: RouteContext,
  targets: readonly HostTarget[],
  shard: string,
): readonly (readonly [string, HostShard])[] {
  const byPort = Map.groupBy(
    sortedBy(targets, (target) => target.name),
    (target) => target.port,
  );
  const builder = new OutboundHostBuilder(deps, fetch, context);
  return [...byPort].map(([port, ofPort]) => {
    const variants = context.views.flatMap((view): ShardVariant[] => {
      const hosts = ofPort.flatMap((target) => builder.build(target, view) ?? []);
      if (hosts.length === 0) return [];
      return [
        {
          view: view.key,
          hosts,
          encoded: internHosts(
            deps.interner,
            hosts.map((host) => host.encoded),
          ),
        },
      ];
    });
    const { viewer, listener } = context;
    const key = hostShardKey(viewer.key, port, shard, listener);
    return [key, { viewer: viewer.key, listener, port, variants }] as const;
  });
}
