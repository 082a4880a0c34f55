/** For tests: routes and gateways on the sources of service-model-rig.ts, and a readable form of what proxies get. */
import { type DescMessage, fromBinary, type JsonObject, toJson } from '@bufbuild/protobuf';
import type { GatewaySpec } from '#api/gateway.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { VirtualServiceSpec } from '#api/virtual-service.ts';
import type { Fetch, SourceCollection } from '#collections/collection.ts';
import { Interner } from '#collections/interner.ts';
import type { Proxy } from '#model/proxy.ts';
import { DEFAULT_MESH_FLAGS, type MeshFlags } from '#model/mesh-flags.ts';
import { createRouteModel, type RouteModel } from '#model/route-model.ts';
import {
  kubernetesService,
  object,
  port,
  READER,
  type ServiceModelRig,
  serviceModelRig,
} from '#model/service-model-rig.ts';
import { createServiceTargets } from '#model/service-target.ts';
import { createTracers } from '#model/tracing.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '#proto/envoy/config/route/v3/route_pb.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';
import { createGatewayScopes } from '#scope/gateway-scope.ts';
import { createGatewayViews } from '#scope/gateway-view.ts';
import { createGatewayTlsDefaults } from '#scope/gateway-facts.ts';
import { createListenerDialects } from '#scope/listener-dialect.ts';
import { createListenerFacts } from '#scope/listener-facts.ts';
import { createOutboundScope } from '#scope/outbound-host-model.ts';
import { createGatewayListeners, type GatewayListeners } from '#xds/listeners/gateway-listeners.ts';
import type { ResourceEntry } from '#xds/resource.ts';
import { createGatewayRoutes } from './gateway-routes.ts';
import { createOutboundRoutes } from './outbound-routes.ts';

export interface RouteRig extends ServiceModelRig {
  readonly interner: Interner;
  readonly routeModel: RouteModel;
  readonly gateways: SourceCollection<MeshObject<GatewaySpec>>;
  readonly gatewayDiagnostics: GatewayListeners['diagnostics'];
  connect(...proxies: readonly Proxy[]): void;
  disconnect(proxy: Proxy): void;
  /** Route tables of a proxy, by name. */
  routeEntries(proxy: Proxy): ReadonlyMap<string, ResourceEntry>;
  /** A gateway proxy's listeners, by name. */
  listenerEntries(proxy: Proxy): ReadonlyMap<string, ResourceEntry>;
  /** One table as JSON. */
  table(proxy: Proxy, name: string): TableJson;
  listener(proxy: Proxy, name: string): JsonObject;
}

/** The parts of a RouteConfiguration that tests look at. */
export interface TableJson {
  readonly name: string;
  readonly virtualHosts?: readonly VirtualHostJson[];
  readonly ignorePortInHostMatching?: boolean;
}

export interface VirtualHostJson {
  readonly name: string;
  readonly domains: readonly string[];
  readonly routes?: readonly JsonObject[];
  readonly requireTls?: string;
}

/** A VirtualService in `default`. */
export function virtualService(
  name: string,
  spec: VirtualServiceSpec,
  meta: Parameters<typeof object>[3] = {},
): MeshObject<VirtualServiceSpec> {
  return object('VirtualService', name, spec, meta);
}

/** A rule that sends everything to one host. */
export function sendTo(host: string, extra: object = {}): NonNullable<VirtualServiceSpec['http']>[number] {
  return { route: [{ destination: { host } }], ...extra };
}

/** A Kubernetes Service with HTTP ports of these numbers and an address of its own. */
export function httpService(
  name: string,
  address: string,
  ports: readonly number[] = [80],
  namespace = 'default',
) {
  const spec = {
    clusterIP: address,
    clusterIPs: [address],
    ports: ports.map((n) => port(`http-${n}`, { port: n })),
  };
  return kubernetesService(name, spec, { namespace });
}

/** An empty mesh with routes and gateways. */
export function routeRig(flags: MeshFlags = DEFAULT_MESH_FLAGS): RouteRig {
  const rig = serviceModelRig(flags);
  const { engine } = rig;
  const proxies = engine.source<Proxy>('proxies');
  const gateways = engine.source<MeshObject<GatewaySpec>>('objects.Gateway');
  const interner = new Interner({ freezeInputs: true });
  const graph = createGraph({ rig, proxies, gateways, interner, flags });
  const { routeEntries, listenerEntries } = graph;
  return {
    ...rig,
    ...graph,
    interner,
    gateways,
    connect(...connected) {
      for (const each of connected) proxies.set(each.id, each);
      engine.settle();
    },
    disconnect(gone) {
      proxies.delete(gone.id);
      engine.settle();
    },
    table: (proxy, name) =>
      decoded(RouteConfigurationSchema, routeEntries(proxy).get(name)) as unknown as TableJson,
    listener: (proxy, name) => decoded(ListenerSchema, listenerEntries(proxy).get(name)),
  };
}

interface GraphSources {
  readonly rig: ServiceModelRig;
  readonly proxies: SourceCollection<Proxy>;
  readonly gateways: SourceCollection<MeshObject<GatewaySpec>>;
  readonly interner: Interner;
  readonly flags: MeshFlags;
}

type Graph = Pick<RouteRig, 'routeModel' | 'gatewayDiagnostics' | 'routeEntries' | 'listenerEntries'>;

function createGraph({ rig, proxies, gateways, interner, flags }: GraphSources): Graph {
  const { engine, model: serviceModel, meshConfig, of } = rig;
  const [virtualServices, sidecars] = [of<VirtualServiceSpec>('VirtualService'), of<object>('Sidecar')];
  const clusterDomain = 'cluster.local';
  const model = createRouteModel({ engine, virtualServices, gateways, meshConfig, clusterDomain });
  const destinationRules = of<object>('DestinationRule');
  const scope = createOutboundScope({
    engine,
    proxies,
    serviceModel,
    destinationRules,
    sidecars,
    virtualServices,
  });
  const outbound = createOutboundRoutes({ engine, interner, model, proxies, sidecars, ...scope });
  const workloadOf = createServiceTargets({ ...serviceModel, engine, workloadModel: serviceModel });
  const targetsOf = (fetch: Fetch, proxy: Proxy) => workloadOf(fetch, proxy).targets;
  const { servicesByHostname } = serviceModel;
  const tracers = createTracers(engine, { meshConfig, servicesByHostname, environment: {} });
  const words = { meshConfig, tracers, flags };
  const facts = createListenerFacts(engine, words);
  const dialects = createListenerDialects(engine, { ...words, proxies, facts, interner });
  const { viewerOf } = scope;
  const viewDeps = { engine, proxies, meshConfig, dialects, viewerOf, targetsOf };
  const { views, facts: factsOf, viewOf } = createGatewayViews(viewDeps);
  const scopes = createGatewayScopes({ engine, model, views, flags });
  const shared = { ...scope, engine, interner, model, scopes, meshConfig };
  const gatewayRoutes = createGatewayRoutes(shared);
  const tlsDefaults = createGatewayTlsDefaults(engine, meshConfig, serviceModel.servicesByHostname);
  const none = { httpFilters: [], connectionFilters: [], networkFilters: [], references: [] };
  const securityOf = () => ({ ...none, causes: [] });
  const { listeners, diagnostics } = createGatewayListeners({
    ...shared,
    tlsDefaults,
    facts: factsOf,
    securityOf,
    flags,
  });
  return {
    routeModel: model,
    gatewayDiagnostics: diagnostics,
    routeEntries: (proxy) =>
      new Map(
        proxy.type === 'router'
          ? gatewayRoutes.bucket(viewOf(READER, proxy))
          : outbound.routes.bucket(outbound.viewOf(READER, proxy)),
      ),
    listenerEntries: (proxy) => new Map(listeners.bucket(viewOf(READER, proxy))),
  };
}

function decoded(schema: DescMessage, entry: ResourceEntry | undefined): JsonObject {
  if (entry === undefined) return {};
  return toJson(schema, fromBinary(schema, entry.resource.bytes), {
    registry: envoyRegistry(),
  }) as JsonObject;
}
