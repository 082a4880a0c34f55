/**
 * From one host as a viewer sees it to the inputs of its clusters: one per port and subset. The plan also serves
 * endpoints, so that the two agree on names, subsets and policies.
 * Source: Istio pilot/pkg/networking/core/cluster.go buildOutboundClusters, convertResolution.
 */
import type { Subset } from '#api/destination-rule.ts';
import type { Cause } from '#base/cause.ts';
import type { ClusterFacts } from '#model/mesh-facts.ts';
import type { MountedCertificates } from '#model/mounted-certificates.ts';
import type { Service, ServicePort } from '#model/service.ts';
import { isWildcardHost } from '#model/service-hostname.ts';
import type { DestinationPolicy } from '#scope/outbound-host.ts';
import type { Viewer } from '#scope/viewer.ts';
import { outboundClusterName } from '#xds/names.ts';
import type { Discovery } from './cluster-input.ts';
import { type PortPolicy, servicePolicy, subsetPolicy, withMeshDefaults } from './traffic-policy.ts';

/** One cluster of a host. */
export interface PlannedCluster {
  readonly name: string;
  readonly port: ServicePort;
  readonly subset: Subset | undefined;
  readonly discovery: Discovery;
  /** The policy in force, with the mesh's defaults. */
  readonly policy: PortPolicy;
  /** The same without the mesh's defaults: endpoints look at rules alone, as Istio does. */
  readonly rulePolicy: PortPolicy;
  readonly causes: readonly Cause[];
}

/** What of a viewer makes a difference for its clusters: few combinations for a whole mesh. */
export interface ClientTraits {
  readonly isGateway: boolean;
  readonly hasOriginalDestination: boolean;
  readonly ipFamilies: Viewer['ipFamilies'];
  readonly preservesHeaderCase: boolean;
  readonly secretServers: Viewer['secretServers'];
  readonly clientCertificates: MountedCertificates | undefined;
}

/** The traits of a viewer's proxies. */
export function traitsOf(viewer: Viewer): ClientTraits {
  return {
    isGateway: viewer.proxyType === 'router',
    hasOriginalDestination: viewer.hasOriginalDestination,
    ipFamilies: viewer.ipFamilies,
    preservesHeaderCase: viewer.preservesHeaderCase,
    secretServers: viewer.secretServers,
    clientCertificates: viewer.clientCertificates,
  };
}

/** A host's policy; `NO_POLICY` where no rule applies. */
export type HostPolicy = DestinationPolicy;

export const NO_POLICY: HostPolicy = {
  trafficPolicy: undefined,
  subsets: [],
  causes: [],
  clientSelector: undefined,
  subsetCauses: [],
};

/** What a plan is made from. */
export interface PlanInput {
  readonly service: Service;
  readonly policy: HostPolicy;
  readonly traits: ClientTraits;
  readonly facts: ClusterFacts;
}

/** The clusters of a host. UDP ports and aliases (ExternalName) have none. */
export function planClusters(input: PlanInput): readonly PlannedCluster[] {
  const { service } = input;
  if (service.resolution === 'ALIAS') return [];
  return service.ports
    .filter((port) => port.protocol !== 'UDP')
    .flatMap((port) => clustersOfPort(port, input));
}

function clustersOfPort(port: ServicePort, input: PlanInput): readonly PlannedCluster[] {
  const { service, policy, facts } = input;
  if (isDynamic(service) && !DYNAMIC_PROTOCOLS.has(port.protocol)) return [];
  const ofRule = servicePolicy(policy, port.number);
  const ofService = withMeshDefaults(ofRule, facts);
  const causes = [service.cause, ...service.mergedFrom, ...policy.causes];
  const whole: PlannedCluster = {
    name: outboundClusterName(port.number, '', service.hostname),
    port,
    subset: undefined,
    discovery: discoveryOf(ofService, input),
    policy: ofService,
    rulePolicy: ofRule,
    causes,
  };
  if (whole.discovery === 'DYNAMIC') return [whole];
  const subsets = policy.subsets.map((subset, i): PlannedCluster => {
    const merged = subsetPolicy(ofService, subset.trafficPolicy, port.number);
    const subsetCause = policy.subsetCauses[i];
    const isPassthrough = whole.discovery === 'ORIGINAL_DST';
    return {
      name: outboundClusterName(port.number, subset.name ?? '', service.hostname),
      port,
      subset,
      discovery: isPassthrough ? 'ORIGINAL_DST' : discoveryOf(merged, input),
      policy: merged,
      rulePolicy: subsetPolicy(ofRule, subset.trafficPolicy, port.number),
      causes: subsetCause === undefined ? causes : [...causes, subsetCause],
    };
  });
  return [whole, ...subsets];
}

/** Protocols whose requests name the host that is to be resolved. */
const DYNAMIC_PROTOCOLS: ReadonlySet<string> = new Set(['HTTP', 'TLS', 'GRPC', 'HTTP2']);

function isDynamic(service: Service): boolean {
  return service.resolution === 'DYNAMIC_DNS' && isWildcardHost(service.hostname);
}

/**
 * Headless services and ServiceEntries without resolution go to the address that the application asked for. Gateways
 * never know that address, nor do proxies without interception: there the endpoints are sent instead. The second is our
 * own: Istio leaves such clusters without a destination.
 */
function discoveryOf(policy: PortPolicy, { service, traits, facts }: PlanInput): Discovery {
  const isBalanced = service.registry === 'Kubernetes' && facts.flags.edsForHeadlessServices;
  const knowsDestination = !traits.isGateway && traits.hasOriginalDestination && !isBalanced;
  const isPassthrough = policy.loadBalancer?.simple === 'PASSTHROUGH';
  if (isDynamic(service)) return 'DYNAMIC';
  if (isPassthrough && traits.hasOriginalDestination) return 'ORIGINAL_DST';
  switch (service.resolution) {
    case 'DNS':
      return service.racesConnections ? 'LOGICAL_DNS' : 'STRICT_DNS';
    case 'DNS_ROUND_ROBIN':
      return 'LOGICAL_DNS';
    case 'NONE':
      return knowsDestination ? 'ORIGINAL_DST' : 'EDS';
    default:
      return 'EDS';
  }
}
