/**
 * From a planned cluster and the facts around it to the input that the builder sees: TLS is decided, inline endpoints are
 * chosen, everything that does not matter is left out. Pure.
 * Source: Istio pilot/pkg/networking/core/cluster_builder.go, cluster_tls.go.
 */
import type { ClusterFacts } from '#model/mesh-facts.ts';
import { type Service, telemetryName } from '#model/service.ts';
import type { ClientPlace } from '#xds/endpoints/endpoint-view.ts';
import { mutualTlsCheck, ruleTlsMode, selectEndpoints } from '#xds/endpoints/endpoint-selection.ts';
import { groupByLocality, type LocalityGroup } from '#xds/endpoints/locality-group.ts';
import { prioritize } from '#xds/endpoints/locality-priority.ts';
import { localityLbOf } from '#xds/endpoints/locality-settings.ts';
import { serverMutualCheck } from '#xds/endpoints/served-endpoints.ts';
import { sniName } from '#xds/names.ts';
import { type UpstreamTls, upstreamTls } from '#xds/tls/upstream-settings.ts';
import type { ClusterInput } from './cluster-input.ts';
import type { ClientTraits, HostPolicy, PlannedCluster } from './cluster-plan.ts';
import type { Destination } from './destination.ts';

/** One host, for one kind of client. */
export interface HostContext {
  readonly service: Service;
  readonly policy: HostPolicy;
  readonly traits: ClientTraits;
  readonly facts: ClusterFacts;
  readonly destination: Destination;
  /** Where the client is, when inline endpoints are to be ordered by distance from there. */
  readonly place?: ClientPlace;
}

/** The input of one cluster; undefined for a DNS cluster without endpoints, which Envoy would refuse. */
export function clusterInput(planned: PlannedCluster, context: HostContext): ClusterInput | undefined {
  const { service, traits, facts } = context;
  const isDns = planned.discovery === 'STRICT_DNS' || planned.discovery === 'LOGICAL_DNS';
  const endpoints = isDns ? inlineEndpoints(planned, context) : [];
  if (isDns && endpoints.length === 0) return undefined;
  return {
    name: planned.name,
    service: { host: service.hostname, name: telemetryName(service), namespace: service.namespace },
    subset: planned.subset?.name ?? '',
    meshExternal: service.meshExternal,
    port: { number: planned.port.number, name: planned.port.name },
    protocol: planned.port.protocol,
    discovery: planned.discovery,
    upstreamPort:
      service.resolution === 'NONE' && service.registry === 'External' ? planned.port.targetPort : 0,
    endpoints,
    policy: planned.policy,
    tls: tlsOf(planned, context),
    localityLb: localityLbOf(planned.policy.loadBalancer, service.trafficDistribution, facts),
    neverPanics: service.trafficDistribution !== '' || facts.flags.sendUnhealthyEndpoints,
    followsDownstreamProtocol: !traits.isGateway,
    ipFamilies: traits.ipFamilies,
    preservesHeaderCase: traits.preservesHeaderCase,
    keepsDraining: service.persistentSession !== undefined,
    racesConnections: service.racesConnections,
    facts,
  };
}

/** LOGICAL_DNS takes exactly one endpoint. */
function inlineEndpoints(planned: PlannedCluster, context: HostContext): readonly LocalityGroup[] {
  const { service, policy, destination } = context;
  const { port, rulePolicy } = planned;
  const query = {
    service,
    port,
    subsetLabels: planned.subset?.labels ?? {},
    policy: rulePolicy,
    clientNode: '',
    flags: context.facts.flags,
    networkView: [],
  };
  const all = selectEndpoints(destination.inline.endpoints, query, true);
  const usable = planned.discovery === 'LOGICAL_DNS' ? all.slice(0, 1) : all;
  const ruleMode = ruleTlsMode(policy, planned.subset?.name ?? '', port.number);
  const isMutualTls = mutualTlsCheck(ruleMode, serverMutualCheck(destination.inline));
  const groups = groupByLocality(usable, isMutualTls);
  const { place, facts } = context;
  if (place === undefined) return groups.map(({ labels: _labels, places: _places, ...group }) => group);
  const lb = localityLbOf(planned.policy.loadBalancer, service.trafficDistribution, facts);
  return prioritize(groups, lb, place, planned.policy.outlierDetection !== undefined);
}

function tlsOf(planned: PlannedCluster, context: HostContext): UpstreamTls | undefined {
  const { service, policy, traits, facts, destination } = context;
  const { summary } = destination;
  const { port } = planned;
  const isPassthrough = service.resolution === 'NONE' || planned.discovery === 'ORIGINAL_DST';
  // All or nothing where no endpoint metadata can decide: one endpoint without a sidecar means plain text for all.
  const hasPlainEndpoint = isPassthrough && !summary.mutualTlsPorts.includes(port.number);
  return upstreamTls({
    settings: planned.policy.tls,
    autoMtls: facts.autoMtls,
    meshExternal: service.meshExternal,
    serverMode: hasPlainEndpoint ? 'DISABLE' : destination.serverMode,
    sni:
      planned.discovery === 'DYNAMIC'
        ? ''
        : sniName(port.number, planned.subset?.name ?? '', service.hostname),
    identities: summary.identities,
    defaultSubjectAltNames: service.registry === 'External' ? summary.identities : [],
    mounted: traits.clientCertificates,
    prefersRule: service.meshExternal && facts.flags.ruleTlsForExternal,
    mayUseCredentials: traits.isGateway || policy.clientSelector !== undefined,
    secretServers: traits.secretServers,
  });
}
