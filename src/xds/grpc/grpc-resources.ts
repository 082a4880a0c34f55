/**
 * What proxyless gRPC clients get: exactly what they ask for by name, nothing of the rest of the mesh. Names that lead
 * nowhere have no resource. A change costs the names that it touches, for the clients that asked for them.
 * Source: Istio pilot/pkg/networking/grpcgen (generator `grpc`).
 */
import type { Cause } from '#base/cause.ts';
import type { Collection, Engine, Fetch, Index } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import type { Demand } from '#model/demand.ts';
import { shardOf } from '#model/host-shard.ts';
import { clusterFacts, meshFact } from '#model/mesh-facts.ts';
import type { Proxy } from '#model/proxy.ts';
import type { RequestPolicy } from '#model/request-policy.ts';
import { serviceKey } from '#model/service-hostname.ts';
import type { ServiceModel } from '#model/service-model.ts';
import { TLS_MODE_LABEL } from '#model/workload-labels.ts';
import type { InboundScope } from '#scope/inbound.ts';
import type { OutboundHost } from '#scope/outbound-host.ts';
import { routedSession } from '#scope/route-destination.ts';
import type { OutboundScope } from '#scope/outbound-host-model.ts';
import { virtualHostName } from '#scope/route-domains.ts';
import { viewerKey } from '#scope/viewer.ts';
import { NO_POLICY, planClusters, traitsOf } from '#xds/clusters/cluster-plan.ts';
import { outboundClusterName, parseClusterName } from '#xds/names.ts';
import { isSameEntry } from '#xds/resource-entry.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { hostShardKey, variantFor } from '#xds/routes/host-shard.ts';
import type { OutboundRoutes } from '#xds/routes/outbound-routes.ts';
import { causesOf } from '#xds/routes/outbound-virtual-host.ts';
import { encodeGrpcCluster } from './grpc-cluster.ts';
import {
  encodeGrpcClientListener,
  encodeGrpcServerListener,
  serverSpeaksMutualTls,
} from './grpc-listener.ts';
import { hostCandidates, parseHostPort, SERVER_LISTENER_PREFIX } from './grpc-name.ts';
import { encodeGrpcRoutes } from './grpc-routes.ts';

/** Parts of a snapshot that are made by name. */
export type GrpcPart = 'listeners' | 'routes' | 'clusters';

const PARTS: readonly GrpcPart[] = ['listeners', 'routes', 'clusters'];

export interface GrpcDeps {
  readonly engine: Engine;
  readonly interner: Interner;
  readonly proxies: Collection<Proxy>;
  readonly demands: Collection<Demand>;
  readonly serviceModel: Pick<ServiceModel, 'endpointSummaries' | 'meshFacts'>;
  readonly scope: Pick<OutboundScope, 'viewers' | 'viewerOf' | 'hosts'>;
  readonly routes: OutboundRoutes;
  readonly inbound: Collection<InboundScope>;
  readonly policies: Collection<RequestPolicy>;
}

export interface GrpcResources {
  /** By `partKey`; inner key is the resource's name. */
  readonly resources: Index<ResourceEntry>;
}

/** One name that a client asks for. */
interface Wish {
  readonly proxy: Proxy;
  readonly part: GrpcPart;
  readonly name: string;
}

/** The bucket of a client's resources of one kind. Node ids are free text. */
export function partKey(part: GrpcPart, proxyId: string): string {
  return `${part}|${encodeURIComponent(proxyId)}`;
}

/** Derives the resources of all clients with the generator `grpc`. */
export function createGrpcResources(deps: GrpcDeps): GrpcResources {
  const { engine } = deps;
  const wishes = engine.deriveMany('xds.grpcWishes', deps.proxies, (fetch, proxy, id) => {
    const demand = proxy.generator === 'grpc' ? fetch.get(deps.demands, id) : undefined;
    if (demand === undefined) return [];
    return PARTS.flatMap((part) =>
      demand[part].map((name) => [`${partKey(part, id)}|${name}`, { proxy, part, name }] as const),
    );
  });
  const builder = new GrpcBuilder(deps);
  const resources = engine.derive('xds.grpcResources', wishes, (fetch, wish) => builder.build(fetch, wish), {
    equals: isSameEntry,
  });
  return {
    resources: engine.index(
      'xds.grpcResourcesByClient',
      resources,
      (_entry, key) => [key.split('|', 2).join('|')],
      (entry) => entry.resource.name,
    ),
  };
}

/** Finds what a name stands for, and makes its resource. */
class GrpcBuilder {
  readonly #deps: GrpcDeps;

  constructor(deps: GrpcDeps) {
    this.#deps = deps;
  }

  build(fetch: Fetch, wish: Wish): ResourceEntry | undefined {
    if (wish.part === 'clusters') return this.#cluster(fetch, wish);
    if (wish.part === 'routes') return this.#routes(fetch, wish);
    return wish.name.startsWith(SERVER_LISTENER_PREFIX)
      ? this.#serverListener(fetch, wish)
      : this.#clientListener(fetch, wish);
  }

  #clientListener(fetch: Fetch, { proxy, name }: Wish): ResourceEntry | undefined {
    const dialled = parseHostPort(name);
    if (dialled === undefined) return undefined;
    const { port } = dialled;
    const hosts = hostCandidates(dialled.host, proxy.namespace, proxy.dnsDomain);
    const found = hosts.map((hostname) => this.#host(fetch, proxy, hostname));
    const service = found.find((host) => host?.service.ports.some(({ number }) => number === port))?.service;
    if (service === undefined) return undefined;
    const routeName = outboundClusterName(port, '', service.hostname);
    const session = routedSession(service);
    const { addresses } = service;
    const input = { name, addresses, port, routeName, ...(session === undefined ? {} : { session }) };
    return this.#entry('grpcClientListener', input, encodeGrpcClientListener, [service.cause]);
  }

  #serverListener(fetch: Fetch, { proxy, name }: Wish): ResourceEntry | undefined {
    const listening = parseHostPort(name.slice(SERVER_LISTENER_PREFIX.length));
    const scope = fetch.get(this.#deps.inbound, proxy.id);
    const target = scope?.inbound.ports.find(({ port }) => port === listening?.port);
    if (listening === undefined || scope === undefined || target === undefined) return undefined;
    const policy = fetch.get(this.#deps.policies, proxy.id);
    const { trustDomains = [], policies = [] } = policy?.facet ?? {};
    const hasLabel = Object.hasOwn(proxy.labels, TLS_MODE_LABEL) && proxy.labels[TLS_MODE_LABEL] === 'istio';
    const input = {
      name,
      address: listening.host,
      port: listening.port,
      isMutualTls: serverSpeaksMutualTls(target.mode, hasLabel),
      authorization: { trustDomains, policies, mayAskSeveral: false, authorizers: [] },
    };
    const causes = [...scope.causes, ...(policy?.causes ?? [])];
    return this.#entry('grpcServerListener', input, encodeGrpcServerListener, causes);
  }

  #routes(fetch: Fetch, { proxy, name }: Wish): ResourceEntry | undefined {
    const parsed = parseClusterName(name);
    if (parsed?.direction !== 'outbound') return undefined;
    const { hostname, port } = parsed;
    const { routes, scope } = this.#deps;
    const viewer = scope.viewerOf(fetch, proxy);
    const shard = fetch.get(routes.hostShards, hostShardKey(viewer, port, shardOf(hostname)));
    const variant = shard === undefined ? undefined : variantFor(shard, routes.viewOf(fetch, proxy));
    const hostName = virtualHostName(hostname, port);
    const host = variant?.hosts.find(({ encoded }) => encoded.name === hostName);
    if (host === undefined) return undefined;
    const resource = this.#deps.interner.intern('grpcRoutes', { name, port, hash: host.encoded.hash }, () =>
      encodeGrpcRoutes(name, port, host.encoded),
    );
    return { resource, causes: causesOf(host) };
  }

  #cluster(fetch: Fetch, { proxy, name }: Wish): ResourceEntry | undefined {
    const parsed = parseClusterName(name);
    if (parsed?.direction !== 'outbound') return undefined;
    const host = this.#host(fetch, proxy, parsed.hostname);
    const viewer = fetch.get(this.#deps.scope.viewers, this.#deps.scope.viewerOf(fetch, proxy));
    if (host === undefined || viewer === undefined) return undefined;
    const { serviceModel } = this.#deps;
    const { service, policy = NO_POLICY } = host;
    const facts = meshFact(fetch, serviceModel.meshFacts.clusters, clusterFacts);
    const planned = planClusters({ service, policy, traits: traitsOf(viewer), facts }).find(
      (one) => one.name === name,
    );
    if (planned === undefined) return undefined;
    const { rulePolicy } = planned;
    const isMutual = rulePolicy.tls?.mode === 'ISTIO_MUTUAL';
    const summary = isMutual
      ? fetch.get(serviceModel.endpointSummaries, serviceKey(service.namespace, service.hostname))
      : undefined;
    const input = {
      name,
      loadBalancer: rulePolicy.loadBalancer,
      maxRequests: rulePolicy.connectionPool?.http?.http2MaxRequests ?? 0,
      identities: isMutual ? (summary?.identities ?? []) : undefined,
    };
    return this.#entry('grpcCluster', input, encodeGrpcCluster, planned.causes);
  }

  #host(fetch: Fetch, proxy: Proxy, hostname: string): OutboundHost | undefined {
    const { scope } = this.#deps;
    return fetch.get(scope.hosts, viewerKey(scope.viewerOf(fetch, proxy), hostname));
  }

  #entry<I>(
    kind: string,
    input: I,
    encode: (input: I) => ResourceEntry['resource'],
    causes: readonly Cause[],
  ): ResourceEntry {
    return { resource: this.#deps.interner.intern(kind, input, encode), causes };
  }
}
