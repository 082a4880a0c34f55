/**
 * Which locality load balancing is in force for a cluster: the DestinationRule's, else what the service's
 * trafficDistribution implies, else the mesh's; on each level zone-aware balancing wins over the other. Plain data.
 * Source: Istio pilot/pkg/networking/core/loadbalancer GetEffectiveLbSetting.
 */
import type { LocalityLoadBalancerSetting, LoadBalancerSettings } from '#api/destination-rule.ts';
import type { ClusterFacts } from '#model/mesh-facts.ts';
import {
  NETWORK_LABEL,
  NODE_LABEL,
  REGION_LABEL,
  SUBZONE_LABEL,
  ZONE_LABEL,
} from '#model/workload-labels.ts';
import type { ZoneAwareLoadBalancerSettingJson } from '#proto/istio/networking/v1alpha3/destination_rule_pb.ts';

/** The settings in force. */
export type LocalityLb =
  | {
      readonly kind: 'locality';
      readonly setting: LocalityLoadBalancerSetting;
      /** Endpoints fail over without outlier detection: health is then told by endpoint status. */
      readonly alwaysFailsOver: boolean;
    }
  | {
      readonly kind: 'zoneAware';
      readonly setting: ZoneAwareLoadBalancerSettingJson;
    };

const SAME_ZONE: LocalityLb = {
  kind: 'locality',
  setting: { failoverPriority: [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL] },
  alwaysFailsOver: true,
};
const SAME_NODE: LocalityLb = {
  kind: 'locality',
  setting: { failoverPriority: [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL, NODE_LABEL] },
  alwaysFailsOver: true,
};

/** By what trafficDistribution says. */
const DISTRIBUTIONS: ReadonlyMap<string, LocalityLb> = new Map([
  ['PreferSameZone', SAME_ZONE],
  ['PreferSameNode', SAME_NODE],
]);

/** Keys of labels that a service's trafficDistribution compares between client and endpoint. */
export function distributionLabelKeys(trafficDistribution: string): readonly string[] {
  return failoverLabelKeys(DISTRIBUTIONS.get(trafficDistribution)?.setting);
}

/** Decides; undefined when localities play no role. */
export function localityLbOf(
  loadBalancer: LoadBalancerSettings | undefined,
  trafficDistribution: string,
  mesh: Pick<ClusterFacts, 'localityLb' | 'zoneAwareLb'>,
): LocalityLb | undefined {
  const zoneAware = loadBalancer?.zoneAwareLbSetting;
  if (zoneAware !== undefined) return { kind: 'zoneAware', setting: zoneAware };
  const own = loadBalancer?.localityLbSetting;
  if (own !== undefined) {
    return own.enabled === false ? undefined : { kind: 'locality', setting: own, alwaysFailsOver: false };
  }
  const distribution = DISTRIBUTIONS.get(trafficDistribution);
  if (distribution !== undefined) return distribution;
  if (mesh.zoneAwareLb !== undefined) return { kind: 'zoneAware', setting: mesh.zoneAwareLb };
  const { localityLb } = mesh;
  return localityLb && { kind: 'locality', setting: localityLb, alwaysFailsOver: false };
}

/** Zone-aware balancing may be named only to be switched off. */
export function balancesByZone(setting: ZoneAwareLoadBalancerSettingJson): boolean {
  return setting.enabled !== false;
}

/** Keys of labels that settings compare between client and endpoint. An entry may be `key` or `key=value`. */
export function failoverLabelKeys(
  ...settings: readonly ({ readonly failoverPriority?: readonly string[] } | undefined)[]
): readonly string[] {
  return settings
    .flatMap((setting) => setting?.failoverPriority ?? [])
    .map((entry) => entry.split('=', 1)[0] ?? '');
}
