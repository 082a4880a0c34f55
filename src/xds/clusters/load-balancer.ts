/**
 * How an outbound cluster picks an endpoint: simple policies, consistent hashing, slow start, panic threshold, weights
 * between localities. Source: Istio pilot/pkg/networking/core/cluster_traffic_policy.go applyLoadBalancer.
 */
import type { LoadBalancerSettings } from '#api/destination-rule.ts';
import {
  Cluster_LbPolicy as LbPolicy,
  type ClusterSchema,
} from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { HealthStatus } from '#proto/envoy/config/core/v3/health_check_pb.ts';
import { balancesByZone } from '#xds/endpoints/locality-settings.ts';
import { parseDuration } from '#xds/routes/duration.ts';
import { utilizationPolicy } from './backend-utilization.ts';
import type { ClusterInput } from './cluster-input.ts';
import type { InitOf } from '#xds/message-init.ts';

type ClusterInit = InitOf<typeof ClusterSchema>;
type LbInit = Pick<ClusterInit, 'lbPolicy' | 'lbConfig' | 'loadBalancingPolicy'>;
type CommonLbInit = NonNullable<ClusterInit['commonLbConfig']>;

const DEFAULT_RING_SIZE = 1024;
const LINEAR = 1;
const DEFAULT_MINIMUM_PERCENT = 10;
/** Istio's runtime key for slow start: one that no runtime layer can hold, since Envoy demands one. */
const NO_RUNTIME_KEY = '(';

/** Policy and its parameters. ORIGINAL_DST and dynamic clusters bring their own. */
export function loadBalancer(input: ClusterInput): LbInit {
  if (input.discovery === 'ORIGINAL_DST') {
    if (input.upstreamPort === 0) return { lbPolicy: LbPolicy.CLUSTER_PROVIDED };
    const value = { upstreamPortOverride: input.upstreamPort };
    return { lbPolicy: LbPolicy.CLUSTER_PROVIDED, lbConfig: { case: 'originalDstLbConfig', value } };
  }
  if (input.discovery === 'DYNAMIC') return { lbPolicy: LbPolicy.CLUSTER_PROVIDED };
  // Requests for one key have to go to one server.
  if (input.facts.flags.redisFilter && input.protocol === 'Redis') return { lbPolicy: LbPolicy.MAGLEV };
  const settings = input.policy.loadBalancer;
  if (settings?.backendUtilization !== undefined) {
    return {
      lbPolicy: LbPolicy.LOAD_BALANCING_POLICY_CONFIG,
      loadBalancingPolicy: utilizationPolicy(settings.backendUtilization, isWeightedByLocality(input)),
    };
  }
  return { ...simple(settings), ...consistentHash(settings?.consistentHash) };
}

function simple(settings: LoadBalancerSettings | undefined): LbInit {
  const slowStartConfig = slowStart(settings);
  switch (settings?.simple) {
    case 'RANDOM':
      return { lbPolicy: LbPolicy.RANDOM };
    case 'ROUND_ROBIN':
      return {
        lbPolicy: LbPolicy.ROUND_ROBIN,
        ...(slowStartConfig === undefined
          ? {}
          : { lbConfig: { case: 'roundRobinLbConfig', value: { slowStartConfig } } }),
      };
    default:
      return {
        lbPolicy: LbPolicy.LEAST_REQUEST,
        ...(slowStartConfig === undefined
          ? {}
          : { lbConfig: { case: 'leastRequestLbConfig', value: { slowStartConfig } } }),
      };
  }
}

function slowStart(settings: LoadBalancerSettings | undefined) {
  const warmup = settings?.warmup;
  if (warmup !== undefined) {
    return {
      ...(warmup.duration === undefined ? {} : { slowStartWindow: parseDuration(warmup.duration) }),
      aggression: { defaultValue: Number(warmup.aggression ?? LINEAR), runtimeKey: NO_RUNTIME_KEY },
      minWeightPercent: { value: Number(warmup.minimumPercent ?? DEFAULT_MINIMUM_PERCENT) },
    };
  }
  const duration = settings?.warmupDurationSecs;
  return duration === undefined ? undefined : { slowStartWindow: parseDuration(duration) };
}

function consistentHash(hash: LoadBalancerSettings['consistentHash']): LbInit {
  if (hash === undefined) return {};
  if (hash.maglev !== undefined) {
    const tableSize = BigInt(hash.maglev.tableSize ?? 0);
    if (tableSize === 0n) return { lbPolicy: LbPolicy.MAGLEV, lbConfig: { case: undefined } };
    return { lbPolicy: LbPolicy.MAGLEV, lbConfig: { case: 'maglevLbConfig', value: { tableSize } } };
  }
  const minimumRingSize = BigInt((hash.ringHash ?? hash).minimumRingSize ?? 0);
  if (hash.ringHash !== undefined && minimumRingSize === 0n) {
    return { lbPolicy: LbPolicy.RING_HASH, lbConfig: { case: undefined } };
  }
  const value = { minimumRingSize: minimumRingSize || BigInt(DEFAULT_RING_SIZE) };
  return { lbPolicy: LbPolicy.RING_HASH, lbConfig: { case: 'ringHashLbConfig', value } };
}

/**
 * Panic stays off unless a rule asks for it: endpoints that are not ready are sent too, so that Envoy knows how many
 * there are, and must never be used. Localities are weighted where a rule or the mesh distributes or fails over.
 */
export function commonLoadBalancing(input: ClusterInput): CommonLbInit | undefined {
  if (input.discovery === 'DYNAMIC') return undefined;
  const outlier = input.policy.outlierDetection;
  const panicPercent = input.neverPanics ? 0 : (outlier?.minHealthPercent ?? 0);
  return {
    ...(panicPercent < 0 ? {} : { healthyPanicThreshold: { value: panicPercent } }),
    ...localityConfig(input),
    ...(input.keepsDraining ? { overrideHostStatus: { statuses: [...OVERRIDABLE] } } : {}),
  };
}

/** A session may go on with an endpoint in these states; new requests go to healthy ones alone. */
const OVERRIDABLE = [
  HealthStatus.HEALTHY,
  HealthStatus.DRAINING,
  HealthStatus.UNKNOWN,
  HealthStatus.DEGRADED,
] as const;

function localityConfig(input: ClusterInput): Pick<CommonLbInit, 'localityConfigSpecifier'> {
  // A policy by utilization weighs localities itself.
  if (input.policy.loadBalancer?.backendUtilization !== undefined) return {};
  const { localityLb } = input;
  if (localityLb?.kind !== 'zoneAware') {
    return isWeightedByLocality(input)
      ? { localityConfigSpecifier: { case: 'localityWeightedLbConfig', value: {} } }
      : {};
  }
  const { minClusterSize } = localityLb.setting;
  const value = {
    // Envoy balances by zone as soon as it knows its own cluster, so it must be told not to.
    ...(balancesByZone(localityLb.setting) ? {} : { routingEnabled: { value: 0 } }),
    ...(minClusterSize === undefined ? {} : { minClusterSize: BigInt(minClusterSize) }),
  };
  return { localityConfigSpecifier: { case: 'zoneAwareLbConfig', value } };
}

function isWeightedByLocality(input: ClusterInput): boolean {
  if (input.facts.flags.localityWeightedLb) return true;
  const lb = input.localityLb;
  if (lb?.kind !== 'locality') return false;
  const { distribute = [], failover = [], failoverPriority = [] } = lb.setting;
  const failsOver = lb.alwaysFailsOver || input.policy.outlierDetection !== undefined;
  return distribute.length > 0 || (failsOver && (failover.length > 0 || failoverPriority.length > 0));
}
