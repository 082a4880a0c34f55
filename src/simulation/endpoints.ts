/**
 * Which endpoints a cluster may choose, and how often: by priority and health, then locality weights, then own weights. What a
 * load balancer makes of load or hashes is not played; under it the shares are those of equal load.
 * Source: envoy source/extensions/load_balancing_policies/common/load_balancer_impl.cc (recalculatePerPriorityState).
 */
import { parseIp } from '#base/cidr.ts';
import { type Cluster, Cluster_DiscoveryType } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { HealthStatus } from '#proto/envoy/config/core/v3/health_check_pb.ts';
import type { ClusterLoadAssignment } from '#proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import type {
  LbEndpoint,
  LocalityLbEndpoints,
} from '#proto/envoy/config/endpoint/v3/endpoint_components_pb.ts';
import type { CallConnection } from './call.ts';
import type { FoundCluster } from './cluster.ts';
import type { Evaluation } from './evaluation.ts';
import type { RequestHeaders } from './headers.ts';
import { decodeEndpoints } from './resources.ts';
import type { EndpointChoice, EndpointShare } from './simulated-call.ts';

/** The endpoints of a cluster. `headers` are there for HTTP. */
export function chooseEndpoints(
  evaluation: Evaluation,
  { cluster }: FoundCluster,
  connection: CallConnection,
  headers: RequestHeaders | undefined,
): EndpointChoice {
  if (cluster.lbSubsetConfig !== undefined) {
    evaluation.notEvaluated('endpoint', cluster.name, 'subset load balancing');
  }
  if (cluster.clusterDiscoveryType.case !== 'type') return { kind: 'unknown' };
  switch (cluster.clusterDiscoveryType.value) {
    case Cluster_DiscoveryType.ORIGINAL_DST:
      return { kind: 'known', endpoints: [originalDestination(cluster, connection, headers)] };
    case Cluster_DiscoveryType.EDS: {
      const name = cluster.edsClusterConfig?.serviceName || cluster.name;
      const entry = evaluation.snapshot.endpoints.get(name);
      const assignment = entry === undefined ? undefined : decodeEndpoints(entry.resource);
      return { kind: 'known', endpoints: assignment === undefined ? [] : shares(cluster, assignment) };
    }
    default: {
      const { loadAssignment } = cluster;
      const endpoints = loadAssignment === undefined ? [] : shares(cluster, loadAssignment);
      const hasNames = endpoints.some(({ address }) => parseIp(address) === undefined);
      return hasNames ? { kind: 'unknown' } : { kind: 'known', endpoints };
    }
  }
}

function originalDestination(
  { lbConfig }: Cluster,
  connection: CallConnection,
  headers: RequestHeaders | undefined,
): EndpointShare {
  const settings = lbConfig.case === 'originalDstLbConfig' ? lbConfig.value : undefined;
  const port = settings?.upstreamPortOverride ?? connection.port;
  const named =
    settings?.useHttpHeader === true ? headers?.get(settings.httpHeaderName || ORIGINAL_DST) : undefined;
  const [, address, ownPort] = /^\[?(.+?)\]?:(\d+)$/.exec(named ?? '') ?? [];
  if (address !== undefined)
    return { address, port: settings?.upstreamPortOverride ?? Number(ownPort), share: 1 };
  return { address: connection.address, port, share: 1 };
}

const ORIGINAL_DST = 'x-envoy-original-dst-host';
const DEFAULT_OVERPROVISIONING = 140;
const DEFAULT_PANIC_THRESHOLD = 50;

interface LocalityHealth {
  readonly locality: LocalityLbEndpoints;
  readonly healthy: readonly LbEndpoint[];
  /** 0 to 1, with overprovisioning. */
  readonly availability: number;
}

function shares(cluster: Cluster, assignment: ClusterLoadAssignment): readonly EndpointShare[] {
  const factor = (assignment.policy?.overprovisioningFactor ?? DEFAULT_OVERPROVISIONING) / 100;
  const localities = assignment.endpoints.map((locality): LocalityHealth => {
    const healthy = locality.lbEndpoints.filter(isHealthy);
    const total = locality.lbEndpoints.length;
    const availability = total === 0 ? 0 : Math.min(1, (factor * healthy.length) / total);
    return { locality, healthy, availability };
  });
  const priorities = Map.groupBy(localities, ({ locality }) => locality.priority);
  const ordered = [...priorities].sort((a, b) => a[0] - b[0]).map(([, members]) => members);
  const loads = priorityLoads(ordered, factor);
  const isWeighted = cluster.commonLbConfig?.localityConfigSpecifier.case === 'localityWeightedLbConfig';
  const found = ordered.flatMap((members, at) => localityShares(members, loads[at] ?? 0, isWeighted));
  if (found.length > 0) return found;
  // In panic unhealthy endpoints are better than none.
  const threshold = cluster.commonLbConfig?.healthyPanicThreshold?.value ?? DEFAULT_PANIC_THRESHOLD;
  const all = ordered[0]?.flatMap(({ locality }) => locality.lbEndpoints) ?? [];
  return threshold > 0 ? endpointShares(all, 1) : [];
}

/** How much of the load each priority takes: what it is healthy for, of what those before it have left. */
function priorityLoads(
  priorities: readonly (readonly LocalityHealth[])[],
  factor: number,
): readonly number[] {
  const health = priorities.map((members) => {
    const total = members.reduce((sum, { locality }) => sum + locality.lbEndpoints.length, 0);
    const healthy = members.reduce((sum, member) => sum + member.healthy.length, 0);
    return total === 0 ? 0 : Math.min(1, (factor * healthy) / total);
  });
  const available = Math.min(
    1,
    health.reduce((sum, one) => sum + one, 0),
  );
  let left = 1;
  return health.map((one) => {
    const load = available === 0 ? 0 : Math.min(left, one / available);
    left -= load;
    return load;
  });
}

function localityShares(
  members: readonly LocalityHealth[],
  load: number,
  isWeighted: boolean,
): readonly EndpointShare[] {
  if (load === 0) return [];
  if (!isWeighted)
    return endpointShares(
      members.flatMap(({ healthy }) => healthy),
      load,
    );
  const weights = members.map(
    ({ locality, availability }) => (locality.loadBalancingWeight ?? 0) * availability,
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return members.flatMap(({ healthy }, at) => {
    const weight = weights[at] ?? 0;
    return weight === 0 ? [] : endpointShares(healthy, (load * weight) / total);
  });
}

function endpointShares(endpoints: readonly LbEndpoint[], load: number): readonly EndpointShare[] {
  const total = endpoints.reduce((sum, endpoint) => sum + weightOf(endpoint), 0);
  return endpoints.flatMap((endpoint) => {
    const place = placeOf(endpoint);
    return place === undefined ? [] : [{ ...place, share: (load * weightOf(endpoint)) / total }];
  });
}

function weightOf({ loadBalancingWeight }: LbEndpoint): number {
  return loadBalancingWeight ?? 1;
}

function isHealthy({ healthStatus }: LbEndpoint): boolean {
  return healthStatus === HealthStatus.HEALTHY || healthStatus === HealthStatus.UNKNOWN;
}

function placeOf({ hostIdentifier }: LbEndpoint): Pick<EndpointShare, 'address' | 'port'> | undefined {
  const address = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined;
  if (address?.case === 'pipe') return { address: address.value.path, port: 0 };
  if (address?.case !== 'socketAddress') return undefined;
  const { portSpecifier } = address.value;
  return {
    address: address.value.address,
    port: portSpecifier.case === 'portValue' ? portSpecifier.value : 0,
  };
}
