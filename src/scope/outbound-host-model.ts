/**
 * Which hosts each viewer sees, and with which settings. Host names are spread over a fixed number of shards, and the
 * unit of work is one shard for one viewer: a changed service or DestinationRule costs (its hosts' shards) x viewers
 * instead of all hosts, a new viewer costs all hosts once, and there are few dependency edges (shards x viewers, not
 * hosts x viewers). Values keep their identity while nothing about them changes.
 */
import type { DestinationRuleSpec } from '#api/destination-rule.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { SidecarSpec } from '#api/sidecar.ts';
import type { VirtualServiceSpec } from '#api/virtual-service.ts';
import { deepEqual } from '#base/deep-equal.ts';
import { keyHash } from '#base/key-hash.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { PersistentMap } from '#collections/persistent-map.ts';
import {
  createDestinationRuleModel,
  type DestinationRuleModel,
  type HostRules,
  type MergedRule,
} from '#model/destination-rule.ts';
import { shardOf as tableShardOf } from '#model/host-shard.ts';
import { meshFact, policyFacts } from '#model/mesh-facts.ts';
import type { Proxy } from '#model/proxy.ts';
import type { Service } from '#model/service.ts';
import type { ServiceModel } from '#model/service-model.ts';
import { isVisibleTo } from '#model/service-visibility.ts';
import { exportedTo, ruleForClient, rulesForHost } from './destination-policy.ts';
import type { OutboundHost } from './outbound-host.ts';
import { allocatedAddresses } from './outbound-host-address.ts';
import { createHostCandidates, type HostCandidates } from './outbound-host-candidates.ts';
import { createImports, importedService, type Imports } from './outbound-host-imports.ts';
import { createViewers, type Viewer, viewerKey } from './viewer.ts';

/** What the scope is made of. */
export interface OutboundScopeSources {
  readonly engine: Engine;
  readonly proxies: Collection<Proxy>;
  readonly serviceModel: ServiceModel;
  readonly destinationRules: Collection<MeshObject<DestinationRuleSpec>>;
  readonly sidecars: Collection<MeshObject<SidecarSpec>>;
  readonly virtualServices: Collection<MeshObject<VirtualServiceSpec>>;
}

/** The hosts of one shard as one viewer sees them. Keyed `viewer|shard`. */
export interface HostShard {
  readonly viewer: Viewer;
  readonly shard: string;
  /** In byte order of host names. */
  readonly hosts: readonly OutboundHost[];
}

/** Viewers and the hosts that they see. */
export interface OutboundScope {
  readonly viewers: Collection<Viewer>;
  /** What Sidecar objects let their viewers see, by viewer. */
  readonly imports: Collection<Imports>;
  /** Key of the viewer that the proxy looks through. */
  viewerOf(fetch: Fetch, proxy: Proxy): string;
  /** Keyed `viewer|hostname`. */
  readonly hosts: Collection<OutboundHost>;
  /** The same by shard, for derivations that would need an item and edges per host and viewer; '0' is always there. */
  readonly hostShards: Collection<HostShard>;
  /** By viewer; inner key is the host name. */
  readonly hostsByViewer: Index<OutboundHost>;
  /** By `viewer|shard` of model/host-shard.ts: parts of large tables, the same on every replica. */
  readonly hostsByTableShard: Index<OutboundHost>;
  readonly destinationRules: DestinationRuleModel;
}

/** Enough that a shard is small in a large mesh (40 hosts of 10,000), few enough that empty ones cost nothing. */
const SHARDS = 256;
/** This shard of a viewer is there even when it has no hosts. */
export const FIRST_SHARD = '0';

/** Builds the collections. */
export function createOutboundScope(sources: OutboundScopeSources): OutboundScope {
  const { engine, serviceModel } = sources;
  const facts = serviceModel.meshFacts.policies;
  const { clusterDomain } = serviceModel;
  const rules = createDestinationRuleModel({ ...sources, policyFacts: facts, clusterDomain });
  const { viewers, viewerOf } = createViewers({
    ...sources,
    selectiveRulesByNamespace: rules.selectiveRulesByNamespace,
    policyFacts: facts,
    clusterFacts: serviceModel.meshFacts.clusters,
  });
  const candidates = createHostCandidates({ engine, services: serviceModel, rules, policyFacts: facts });
  const imports = createImports({ ...sources, viewers });
  const candidatesByShard = engine.index('scope.hostCandidatesByShard', candidates, (candidate) => [
    shardOf(candidate.hostname),
  ]);
  const allocated = allocatedAddresses();
  const shards = engine.deriveMany('scope.viewerShards', viewers, (_fetch, viewer) => shardsOf(viewer));
  const hostShards = engine.derive(
    'scope.hostShards',
    shards,
    (fetch, { viewer, shard }): HostShard | undefined => {
      const { rootNamespace } = meshFact(fetch, facts, policyFacts);
      const view: View = {
        viewer,
        rootNamespace,
        imports: viewer.sidecar === '' ? undefined : fetch.get(imports, viewer.key),
        wildcards: fetch.bucket(rules.wildcardRulesByNamespace, viewer.namespace),
        withAllocated: allocated[viewer.ipFamilies],
      };
      const hosts = [...hostsIn(fetch.bucket(candidatesByShard, shard), view)];
      return hosts.length === 0 && shard !== FIRST_SHARD ? undefined : { viewer, shard, hosts };
    },
  );
  const hosts = engine.deriveMany(
    'scope.hosts',
    hostShards,
    (_fetch, shard) =>
      shard.hosts.map((host) => [viewerKey(host.viewer, host.service.hostname), host] as const),
    { equals: isSameHost },
  );
  return {
    viewers,
    imports,
    viewerOf,
    destinationRules: rules,
    hosts,
    hostShards,
    hostsByViewer: engine.index(
      'scope.hostsByViewer',
      hosts,
      (host) => [host.viewer],
      (host) => host.service.hostname,
    ),
    hostsByTableShard: engine.index('scope.hostsByTableShard', hosts, (host) => [
      viewerKey(host.viewer, tableShardOf(host.service.hostname)),
    ]),
  };
}

/** Everything about the viewer that decides what it sees of a host. */
interface View {
  readonly viewer: Viewer;
  readonly rootNamespace: string;
  /** What the viewer's Sidecar object imports; undefined when it sees all that is visible. */
  readonly imports: Imports | undefined;
  readonly wildcards: PersistentMap<HostRules>;
  /** The service at the addresses that the viewer's proxies give it by DNS. */
  withAllocated(service: Service): Service;
}

/** The shard of a host name: any number, the same throughout this process. */
export function shardOf(hostname: string): string {
  return String((keyHash(hostname) >>> 0) % SHARDS);
}

function* shardsOf(viewer: Viewer): Generator<readonly [string, Omit<HostShard, 'hosts'>]> {
  for (let i = 0; i < SHARDS; i++) yield [viewerKey(viewer.key, String(i)), { viewer, shard: String(i) }];
}

function* hostsIn(candidates: PersistentMap<HostCandidates>, view: View): Generator<OutboundHost> {
  const { key, namespace } = view.viewer;
  for (const candidate of candidates.values()) {
    const seen = winner(candidate, view);
    if (seen === undefined) continue;
    const policy = policyFor(candidate, seen.exportedRules, view);
    const service = view.viewer.capturesDns ? view.withAllocated(seen.service) : seen.service;
    yield { viewer: key, viewerNamespace: namespace, service, policy };
  }
}

/** Parts are shared, so identity finds most equal hosts without reading them. */
function isSameHost(a: OutboundHost, b: OutboundHost): boolean {
  const isIdentical = a.service === b.service && a.policy === b.policy && a.viewer === b.viewer;
  return isIdentical || deepEqual(a, b);
}

interface SeenService {
  readonly service: Service;
  readonly exportedRules: readonly MergedRule[];
}

/**
 * The one service that stands for the host: for sidecars that of their own namespace, else the first in order of
 * precedence that is visible and imported.
 */
function winner(candidate: HostCandidates, view: View): SeenService | undefined {
  const { viewer } = view;
  let best: SeenService | undefined;
  for (const { service, exportedRules } of candidate.services) {
    const seen = seenService(service, view);
    if (seen === undefined) continue;
    const isOwn = viewer.proxyType === 'sidecar' && service.namespace === viewer.namespace;
    if (isOwn) return { service: seen, exportedRules };
    best ??= { service: seen, exportedRules };
  }
  return best;
}

function seenService(service: Service, view: View): Service | undefined {
  const isVisible = isVisibleTo(service.visibility, view.viewer.namespace);
  if (view.imports === undefined) return isVisible ? service : undefined;
  return importedService(view.imports, service, isVisible);
}

function policyFor(
  candidate: HostCandidates,
  serviceRules: readonly MergedRule[],
  view: View,
): MergedRule | undefined {
  const { namespace, selectiveRules } = view.viewer;
  const own = rulesForHost(
    { exact: candidate.exactRules.get(namespace), wildcards: view.wildcards },
    candidate.hostname,
    namespace === view.rootNamespace ? 'privateOnly' : 'local',
  );
  const client = { namespace, selectiveRules };
  if (own.length > 0) return ruleForClient(own, client);
  const ofService = exportedTo(serviceRules, namespace);
  return ruleForClient(ofService.length > 0 ? ofService : exportedTo(candidate.rootRules, namespace), client);
}
