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
import { createEnvoyFilterModel } from '#model/envoy-filter.ts';
import { createExternalAuthorizers } from '#model/external-authorizer.ts';
import { createDescribedProxies } from '#model/described-proxy.ts';
import { admittedObjects, type HeldBack } from '#model/held-back.ts';
import { createWantedKeySets, type KeySetState, type WantedKeySets } from '#model/jwt-key-set.ts';
import { DEFAULT_MESH_FLAGS, type MeshFlags } from '#model/mesh-flags.ts';
import { localServiceOf } from '#model/local-service.ts';
import { createPeerAuthenticationModel } from '#model/peer-authentication.ts';
import type { Proxy } from '#model/proxy.ts';
import {
  createRequestAuthenticationModel,
  type RequestAuthenticationModel,
} from '#model/request-authentication.ts';
import { createRouteModel } from '#model/route-model.ts';
import type { ResolvedName } from '#model/resolved-name.ts';
import type { SecretAccess } from '#model/secret-access.ts';
import { createServiceModel, type ServiceModel } from '#model/service-model.ts';
import { createServiceTargets, type ServiceTarget } from '#model/service-target.ts';
import { createStreamRoutes } from '#model/stream-routes.ts';
import { createTracers } from '#model/tracing.ts';
import { createTrafficExtensionModel } from '#model/traffic-extension.ts';
import type { TrustAnchors } from '#model/trust-bundle.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { createExtensionScope } from '#scope/extension.ts';
import { createInboundScope } from '#scope/inbound.ts';
import { createGatewayTlsDefaults } from '#scope/gateway-facts.ts';
import { createListenerDialects } from '#scope/listener-dialect.ts';
import { createListenerFacts } from '#scope/listener-facts.ts';
import { createOutboundScope } from '#scope/outbound-host-model.ts';
import { createListenerViews } from '#scope/outbound-listener-view.ts';
import { createRequestPolicyScope } from '#scope/request-policy.ts';
import { createServerMutualTls } from '#scope/server-mutual-tls.ts';
import { createClusters } from './clusters/outbound-clusters.ts';
import { createEndpointViews } from './endpoints/endpoint-view.ts';
import { createEndpoints } from './endpoints/outbound-endpoints.ts';
import { createExtensionResources } from './extensions/extension-resources.ts';
import { createFindings, findingsBeside } from './mesh-findings.ts';
import { createGatewayResources } from './gateway-resources.ts';
import { createGrpcResources } from './grpc/grpc-resources.ts';
import { createInboundResources } from './inbound.ts';
import { createNameTables } from './nametable/name-tables.ts';
import { createOutboundListeners } from './outbound-listeners.ts';
import { idlePatches } from './patches/idle-patches.ts';
import { createPatches } from './patches/proxy-patches.ts';
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
import { createTlsConflicts, type TlsConflictSources } from './tls/mutual-tls-conflicts.ts';
import { createTrustBundle, type TrustBundleIndex } from './trust-bundle.ts';

/** Everything that comes from outside. */
export interface MeshGraphSources {
  /** The source collection of a kind, `objects.of`. */
  readonly objects: <S>(kind: string) => Collection<MeshObject<S>>;
  readonly heldBack: Collection<HeldBack>;
  readonly meshConfig: Collection<MeshConfigJson>;
  /** One value under MESH_KEY; nothing without. */
  readonly meshNetworks?: Collection<MeshNetworks>;
  /** Addresses of `serviceModel.gatewayNames`, under the names; nothing without. */
  readonly resolvedNames?: Collection<ResolvedName>;
  readonly proxies: SourceCollection<Proxy>;
  readonly localReplicas: Collection<LocalReplica>;
  /** Outcome of fetching `wantedKeySets`, under their keys. */
  readonly keySets: Collection<KeySetState>;
  readonly secretAccess: Collection<SecretAccess>;
  readonly demands: Collection<Demand>;
  /** By the name of their source. */
  readonly trustAnchors: Collection<TrustAnchors>;
  readonly clusterId?: string;
  readonly clusterDomain?: string;
  /** Defaults where absent. */
  readonly flags?: MeshFlags;
  /** The control plane's own variables, of which mesh config may name some. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** False where only addresses count that are recorded in statuses of ServiceEntries. */
  readonly derivesAddresses?: boolean;
  /** False where proxies are told with all that is known about them, and no workload is to be asked. */
  readonly describesProxies?: boolean;
}

/** What questions about who may call whom are answered from, outside of what proxies are sent. */
export interface SecurityModel extends TlsConflictSources {
  readonly serviceModel: ServiceModel;
  readonly requestAuthentication: RequestAuthenticationModel;
}

export interface MeshGraph {
  readonly serviceModel: ServiceModel;
  /** Keyed by proxy id. */
  readonly snapshots: Collection<ProxySnapshot>;
  /** Key sets of token issuers that somebody has to fetch. */
  readonly wantedKeySets: WantedKeySets;
  /** What is wrong with objects among others, keyed `Kind/namespace/name`; only where something is. */
  readonly findings: Collection<readonly Diagnostic[]>;
  readonly security: SecurityModel;
  /** Who wants secrets now. */
  readonly secretWishes: Collection<SecretWish>;
  /** What agents are told about whom to believe, in the bucket MESH_KEY. */
  readonly trustBundle: TrustBundleIndex;
  /** Counts what was built and encoded. */
  readonly interner: Interner;
  /** Findings about EnvoyFilters' patches that change nothing at any connected proxy; see patches/idle-patches.ts. */
  idlePatches(): readonly Diagnostic[];
}

/** Builds the graph on an engine. Pure; costs nothing until sources are set and proxies connect. */
export function createMeshGraph(engine: Engine, sources: MeshGraphSources): MeshGraph {
  const interner = new Interner();
  const models = createModels(engine, sources);
  const { proxies, serviceModel, scope, routeModel } = models;
  const extended = createExtensions(engine, sources, { ...models, interner });
  const listeners = createListenerModels(engine, sources, models, { ...extended, interner });
  const scopes = createScopes(engine, { ...models, ...listeners });
  const { inbound, policies, targetsOf, ...seen } = scopes;
  const { dialects, listenerViews } = listeners;
  const gateways = createGateways(engine, sources, models, { interner, targetsOf, dialects });
  const { forwarders } = gateways;
  const { demands } = sources;
  const shared = { engine, interner, proxies, serviceModel, scope, forwarders, gateways, ...seen };
  const clusters = createClusters(shared);
  const { clustersWithSecrets } = clusters;
  const { facts, tlsDefaults } = models;
  const patches = createPatches({ engine, interner, proxies, facts, model: models.envoyFilters });
  const users = { ...scope, clustersWithSecrets, gateways, patchSets: patches.sets };
  const secrets = createSecrets(engine, sources, { ...shared, ...users });
  const routes = createOutboundRoutes({ ...models, engine, interner, model: routeModel, proxies, ...scope });
  const { endpoints, meshFacts } = serviceModel;
  const mesh = { clusterFacts: meshFacts.clusters, meshConfig: sources.meshConfig, tlsDefaults };
  const trustBundle = createTrustBundle(engine, sources.trustAnchors);
  const localServices = (fetch: Fetch, proxy: Proxy) => localServiceOf(targetsOf(fetch, proxy));
  const snapshots = createProxySnapshots(engine, {
    proxies,
    listenerViews,
    ...mesh,
    interner,
    scope,
    clusters,
    endpoints: createEndpoints({ ...shared, localServiceOf: localServices }),
    routes,
    outboundListeners: createOutboundListeners(engine, { ...listeners, ...scope, endpoints, interner }),
    inbound: createInboundResources(engine, { ...mesh, ...extended, inbound, policies, interner }),
    gateways,
    secrets,
    nameTables: createNameTables({ ...shared, demands, sidecars: models.sidecars }),
    trustBundle,
    grpc: createGrpcResources({ ...shared, demands, routes, inbound, policies }),
    patches: patches.of,
    ...extended,
  });
  const security = securityOf(models);
  const parts = [routeModel, gateways, secrets].map(({ diagnostics }) => diagnostics);
  const conflicts = createTlsConflicts(engine, security);
  const findings = createFindings(engine, [...parts, conflicts, findingsBeside(engine, policies)]);
  const { wantedKeySets } = models;
  return {
    serviceModel,
    snapshots,
    interner,
    findings,
    secretWishes: secrets.wishes,
    wantedKeySets,
    security,
    trustBundle,
    idlePatches: () => idlePatches(patches.sets.all(), snapshots.all()),
  };
}

type Models = ReturnType<typeof createModels>;

function securityOf({ serviceModel, scope, peerAuthentication, policies, facts }: Models): SecurityModel {
  const { requestAuthentication } = policies;
  const { destinationRules } = scope;
  return { serviceModel, destinationRules, peerAuthentication, requestAuthentication, facts };
}

/** What proxies see, by feature. */
function createScopes(engine: Engine, models: Models & ReturnType<typeof createListenerModels>) {
  const { proxies, serviceModel, scope, facts, peerAuthentication } = models;
  const { workloadOf, targetsOf } = createTargets(engine, serviceModel);
  return {
    targetsOf,
    inbound: createInboundScope(engine, { ...models, ...scope, workloadOf }),
    policies: createRequestPolicyScope(engine, { proxies, facts, policies: models.policies }),
    serverMutualTls: createServerMutualTls({ peerAuthentication, facts }),
    endpointViews: createEndpointViews({ engine, proxies, serviceModel, scope }),
  };
}

function createGateways(
  engine: Engine,
  sources: MeshGraphSources,
  { routeModel, proxies, scope, facts, tlsDefaults, policies, extensions, envoyFilters }: Models,
  more: Pick<Parameters<typeof createGatewayResources>[0], 'interner' | 'targetsOf' | 'dialects'>,
) {
  return createGatewayResources({
    engine,
    model: routeModel,
    proxies,
    scope,
    meshConfig: sources.meshConfig,
    facts,
    tlsDefaults,
    policies,
    extensions,
    envoyFilters,
    referenceGrants: sources.objects('ReferenceGrant'),
    flags: sources.flags ?? DEFAULT_MESH_FLAGS,
    ...more,
  });
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

/** What listeners take from mesh config and flags, and who gets which of the outbound ones. */
function createListenerModels(
  engine: Engine,
  { meshConfig, flags = DEFAULT_MESH_FLAGS }: MeshGraphSources,
  models: Models,
  more: Pick<ReturnType<typeof createExtensions>, 'extensions'> & { readonly interner: Interner },
) {
  const dialects = createListenerDialects(engine, { ...models, ...more, meshConfig, flags });
  const streamRoutes = createStreamRoutes(engine, models.routeModel.virtualServices);
  const parts = { ...models, ...models.scope, ...more, dialects, streamRoutes };
  const listenerViews = createListenerViews(engine, parts);
  return { dialects, streamRoutes, listenerViews };
}

type ExtensionUsers = Pick<Models, 'proxies' | 'extensions' | 'facts'>;

/** Extensions as proxies have them: what stands in their listeners, and the configurations that they ask for. */
function createExtensions(
  engine: Engine,
  { objects }: MeshGraphSources,
  { proxies, extensions: model, facts, interner }: ExtensionUsers & { readonly interner: Interner },
) {
  const extensions = createExtensionScope(engine, { proxies, facts, model });
  const secrets = objects<SecretSpec>('Secret');
  return {
    extensions,
    extensionResources: createExtensionResources(engine, { model, secrets, scope: extensions, interner }),
  };
}

type SecretUsers = Pick<
  ProxySecretSources,
  'proxies' | 'viewerOf' | 'clustersWithSecrets' | 'gateways' | 'patchSets'
>;

function createSecrets(
  engine: Engine,
  sources: MeshGraphSources,
  { interner, ...users }: SecretUsers & { readonly interner: Interner },
): ProxySecrets {
  const admitted = admittedBy(engine, sources);
  const secrets = admitted<SecretSpec>('Secret');
  const configMaps = admitted<ConfigMapSpec>('ConfigMap');
  const credentials = createCredentials({ interner, secrets, configMaps });
  return createProxySecrets({ engine, credentials, access: sources.secretAccess, ...users });
}

/** What the objects mean, before anybody looks: models by feature, and who sees what. */
function createModels(engine: Engine, sources: MeshGraphSources) {
  const admitted = admittedBy(engine, sources);
  const { meshConfig } = sources;
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
    ...serviceOptions(sources),
  });
  const { clusterDomain } = serviceModel;
  const proxies = describedProxies(engine, sources, serviceModel);
  const { servicesByHostname } = serviceModel;
  const { flags = DEFAULT_MESH_FLAGS, environment = {} } = sources;
  const tracers = createTracers(engine, { meshConfig, servicesByHostname, environment });
  const destinationRules = admitted<object>('DestinationRule');
  return {
    proxies,
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
    tracers,
    tlsDefaults: createGatewayTlsDefaults(engine, meshConfig, serviceModel.servicesByHostname),
    facts: createListenerFacts(engine, { meshConfig, meshNetworks: sources.meshNetworks, tracers, flags }),
    envoyFilters: createEnvoyFilterModel(engine, admitted('EnvoyFilter')),
    peerAuthentication: createPeerAuthenticationModel(engine, admitted('PeerAuthentication')),
    ...createPolicies(engine, sources, serviceModel),
    extensions: createTrafficExtensionModel(engine, admitted('TrafficExtension'), admitted('WasmPlugin')),
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

/** Who may do what: rules, authorizers, tokens and the keys that they need. */
function createPolicies(engine: Engine, sources: MeshGraphSources, { servicesByHostname }: ServiceModel) {
  const admitted = admittedBy(engine, sources);
  const { meshConfig, keySets } = sources;
  const authorizers = createExternalAuthorizers(engine, meshConfig, servicesByHostname);
  const requestAuthentications = admitted<object>('RequestAuthentication');
  return {
    policies: {
      authorization: createAuthorizationModel(
        engine,
        admitted('AuthorizationPolicy'),
        authorizers,
        sources.flags?.severalAuthorizers,
      ),
      requestAuthentication: createRequestAuthenticationModel(engine, requestAuthentications, keySets),
    },
    wantedKeySets: createWantedKeySets(engine, requestAuthentications),
  };
}

function describedProxies(engine: Engine, sources: MeshGraphSources, { workloads }: ServiceModel) {
  const { proxies, describesProxies = true } = sources;
  return describesProxies ? createDescribedProxies(engine, proxies, workloads) : proxies;
}

/** Those of the options that were given: the others have defaults of their own. */
function serviceOptions(sources: MeshGraphSources) {
  const { clusterId, clusterDomain, flags, derivesAddresses, meshNetworks, resolvedNames } = sources;
  return {
    ...(resolvedNames === undefined ? {} : { resolvedNames }),
    ...(meshNetworks === undefined ? {} : { meshNetworks }),
    ...(clusterId === undefined ? {} : { clusterId }),
    ...(clusterDomain === undefined ? {} : { clusterDomain }),
    ...(flags === undefined ? {} : { flags }),
    ...(derivesAddresses === undefined ? {} : { derivesAddresses }),
  };
}
