/**
 * The whole pure middle in one place: from objects, mesh config and connected proxies to what each proxy should hold.
 * Everything is derived; only what a connected proxy needs exists. The same function serves the control plane, the
 * tests and the simulator, and two graphs fed alike come to the same bytes.
 */
import type { ConfigMapSpec } from '#api/config-map.ts';
import type { MeshNetworks } from '#api/mesh-networks.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { SecretSpec } from '#api/secret.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import type { Collection, Engine, Fetch, SourceCollection } from '#collections/collection.ts';
import { Interner } from '#collections/interner.ts';
import { createAuthorizationModel } from '#model/authorization.ts';
import type { Demand } from '#model/demand.ts';
import type { LocalReplica } from '#model/endpoint.ts';
import { createExternalAuthorizers } from '#model/external-authorizer.ts';
import { admittedObjects, type HeldBack } from '#model/held-back.ts';
import { createWantedKeySets, type KeySetState, type WantedKeySets } from '#model/jwt-key-set.ts';
import { DEFAULT_MESH_FLAGS, type MeshFlags } from '#model/mesh-flags.ts';
import { createPeerAuthenticationModel } from '#model/peer-authentication.ts';
import type { Proxy } from '#model/proxy.ts';
import { createRequestAuthenticationModel } from '#model/request-authentication.ts';
import { createRouteModel } from '#model/route-model.ts';
import type { SecretAccess } from '#model/secret-access.ts';
import { createServiceModel, type ServiceModel } from '#model/service-model.ts';
import { createServiceTargets, type ServiceTarget } from '#model/service-target.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { createInboundScope } from '#scope/inbound.ts';
import { createListenerFacts, createViewerListenerFacts } from '#scope/listener-facts.ts';
import { createOutboundScope } from '#scope/outbound-host-model.ts';
import { createRequestPolicyScope } from '#scope/request-policy.ts';
import { createServerMutualTls } from '#scope/server-mutual-tls.ts';
import { createClusters } from './clusters/outbound-clusters.ts';
import { createEndpointViews } from './endpoints/endpoint-view.ts';
import { createEndpoints } from './endpoints/outbound-endpoints.ts';
import { createFindings, findingsBeside } from './mesh-findings.ts';
import { createGatewayResources } from './gateway-resources.ts';
import { createGrpcResources } from './grpc/grpc-resources.ts';
import { createInboundResources } from './inbound.ts';
import { createNameTables } from './nametable/name-tables.ts';
import { createOutboundListeners } from './outbound-listeners.ts';
import type { ProxySnapshot } from './proxy-snapshot.ts';
import { createProxySnapshots } from './proxy-snapshots.ts';
import { createCredentials } from './secrets/credentials.ts';
import {
  createProxySecrets,
  type ProxySecretSources,
  type ProxySecrets,
  type SecretWish,
} from './secrets/proxy-secrets.ts';
import { createOutboundRoutes } from './routes/outbound-routes.ts';

/** Everything that comes from outside. */
export interface MeshGraphSources {
  /** The source collection of a kind, `objects.of`. */
  readonly objects: <S>(kind: string) => Collection<MeshObject<S>>;
  readonly heldBack: Collection<HeldBack>;
  readonly meshConfig: Collection<MeshConfigJson>;
  /** One value under MESH_KEY; nothing without. */
  readonly meshNetworks?: Collection<MeshNetworks>;
  readonly proxies: SourceCollection<Proxy>;
  readonly localReplicas: Collection<LocalReplica>;
  /** Outcome of fetching `wantedKeySets`, under their keys. */
  readonly keySets: Collection<KeySetState>;
  readonly secretAccess: Collection<SecretAccess>;
  readonly demands: Collection<Demand>;
  readonly clusterId?: string;
  readonly clusterDomain?: string;
  /** Defaults where absent. */
  readonly flags?: MeshFlags;
}

export interface MeshGraph {
  readonly serviceModel: ServiceModel;
  /** Keyed by proxy id. */
  readonly snapshots: Collection<ProxySnapshot>;
  /** Key sets of token issuers that somebody has to fetch. */
  readonly wantedKeySets: WantedKeySets;
  /** What is wrong with objects among others, keyed `Kind/namespace/name`; only where something is. */
  readonly findings: Collection<readonly Diagnostic[]>;
  /** Who wants secrets now. */
  readonly secretWishes: Collection<SecretWish>;
  /** Counts what was built and encoded. */
  readonly interner: Interner;
}

/** Builds the graph on an engine. Pure; costs nothing until sources are set and proxies connect. */
export function createMeshGraph(engine: Engine, sources: MeshGraphSources): MeshGraph {
  const interner = new Interner();
  const { meshConfig, proxies, demands } = sources;
  const models = createModels(engine, sources);
  const { serviceModel, scope, facts, peerAuthentication, routeModel } = models;
  const { endpoints } = serviceModel;
  const { workloadOf, targetsOf } = createTargets(engine, serviceModel);
  const inbound = createInboundScope(engine, { proxies, facts, peerAuthentication, workloadOf });
  const policies = createRequestPolicyScope(engine, { proxies, facts, policies: models.policies });
  const viewerFacts = createViewerListenerFacts(engine, { ...scope, sidecars: models.sidecars, facts });
  const serverMutualTls = createServerMutualTls({ peerAuthentication, facts });
  const endpointViews = createEndpointViews({ engine, proxies, serviceModel, scope });
  const gateways = createGatewayResources({
    engine,
    interner,
    model: routeModel,
    proxies,
    scope,
    meshConfig,
    facts,
    targetsOf,
    policies: models.policies,
    referenceGrants: sources.objects('ReferenceGrant'),
    flags: sources.flags ?? DEFAULT_MESH_FLAGS,
  });
  const { forwarders } = gateways;
  const shared = {
    engine,
    interner,
    proxies,
    serviceModel,
    scope,
    serverMutualTls,
    endpointViews,
    forwarders,
  };
  const clusters = createClusters(shared);
  const { clustersWithSecrets } = clusters;
  const secrets = createSecrets(engine, sources, { interner, ...scope, clustersWithSecrets, gateways });
  const routes = createOutboundRoutes({ ...models, engine, interner, model: routeModel, proxies, ...scope });
  const snapshots = createProxySnapshots(engine, {
    proxies,
    viewerFacts,
    interner,
    scope,
    clusters,
    endpoints: createEndpoints(shared),
    routes,
    outboundListeners: createOutboundListeners(engine, { ...scope, endpoints, viewerFacts, interner }),
    inbound: createInboundResources(engine, { inbound, policies, facts, interner }),
    gateways,
    secrets,
    nameTables: createNameTables({ ...shared, demands, sidecars: models.sidecars }),
    grpc: createGrpcResources({ ...shared, demands, routes, inbound, policies }),
  });
  const parts = [routeModel, gateways, secrets].map(({ diagnostics }) => diagnostics);
  const findings = createFindings(engine, [...parts, findingsBeside(engine, policies)]);
  const { wantedKeySets } = models;
  return { serviceModel, snapshots, interner, findings, secretWishes: secrets.wishes, wantedKeySets };
}

/** The services that a proxy's workload serves. */
function createTargets(engine: Engine, serviceModel: ServiceModel) {
  const { services, endpoints } = serviceModel;
  const workloadOf = createServiceTargets({ engine, services, endpoints, workloadModel: serviceModel });
  const targetsOf = (fetch: Fetch, proxy: Proxy): readonly ServiceTarget[] =>
    workloadOf(fetch, proxy).targets;
  return { workloadOf, targetsOf };
}

/** Objects of a kind without those that are held back. */
function admittedBy(engine: Engine, { objects, heldBack }: MeshGraphSources) {
  return <S>(kind: string): Collection<MeshObject<S>> => admittedObjects(engine, objects<S>(kind), heldBack);
}

type SecretUsers = Pick<ProxySecretSources, 'viewerOf' | 'clustersWithSecrets' | 'gateways'>;

function createSecrets(
  engine: Engine,
  sources: MeshGraphSources,
  { interner, ...users }: SecretUsers & { readonly interner: Interner },
): ProxySecrets {
  const admitted = admittedBy(engine, sources);
  const secrets = admitted<SecretSpec>('Secret');
  const configMaps = admitted<ConfigMapSpec>('ConfigMap');
  const credentials = createCredentials({ interner, secrets, configMaps });
  const { proxies, secretAccess: access } = sources;
  return createProxySecrets({ engine, proxies, credentials, access, ...users });
}

/** What the objects mean, before anybody looks: models by feature, and who sees what. */
function createModels(engine: Engine, sources: MeshGraphSources) {
  const admitted = admittedBy(engine, sources);
  const { meshConfig, proxies } = sources;
  const virtualServices = admitted<object>('VirtualService');
  const sidecars = admitted<object>('Sidecar');
  const serviceModel = createServiceModel({
    engine,
    services: admitted('Service'),
    serviceEntries: admitted('ServiceEntry'),
    endpointSlices: sources.objects('EndpointSlice'),
    namespaces: sources.objects('Namespace'),
    pods: sources.objects('Pod'),
    nodes: sources.objects('Node'),
    workloadEntries: admitted('WorkloadEntry'),
    localWorkloads: admitted('LocalWorkload'),
    localReplicas: sources.localReplicas,
    meshConfig,
    ...(sources.clusterId === undefined ? {} : { clusterId: sources.clusterId }),
    ...(sources.clusterDomain === undefined ? {} : { clusterDomain: sources.clusterDomain }),
  });
  const { clusterDomain } = serviceModel;
  const destinationRules = admitted<object>('DestinationRule');
  const requestAuthentications = admitted<object>('RequestAuthentication');
  return {
    sidecars,
    serviceModel,
    scope: createOutboundScope({
      engine,
      proxies,
      serviceModel,
      destinationRules,
      sidecars,
      virtualServices,
    }),
    facts: createListenerFacts(engine, meshConfig),
    peerAuthentication: createPeerAuthenticationModel(engine, admitted('PeerAuthentication')),
    policies: {
      authorization: createAuthorizationModel(
        engine,
        admitted('AuthorizationPolicy'),
        createExternalAuthorizers(engine, meshConfig, serviceModel.servicesByHostname),
      ),
      requestAuthentication: createRequestAuthenticationModel(
        engine,
        requestAuthentications,
        sources.keySets,
      ),
    },
    wantedKeySets: createWantedKeySets(engine, requestAuthentications),
    routeModel: createRouteModel({
      engine,
      virtualServices,
      gateways: admitted('Gateway'),
      ...(sources.flags === undefined ? {} : { flags: sources.flags }),
      meshConfig,
      clusterDomain,
    }),
  };
}
