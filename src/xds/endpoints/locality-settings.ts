/**
 * Which locality load balancing is in force for a cluster: the DestinationRule's, else what the service's
 * trafficDistribution implies, else the mesh's. Plain data.
 * Source: Istio pilot/pkg/networking/core/loadbalancer GetEffectiveLbSetting.
 */
import type { LocalityLoadBalancerSetting, LoadBalancerSettings } from '#api/destination-rule.ts';
import {
  NETWORK_LABEL,
  NODE_LABEL,
  REGION_LABEL,
  SUBZONE_LABEL,
  ZONE_LABEL,
} from '#model/workload-labels.ts';

/** The settings, and whether endpoints fail over without outlier detection (health is then told by endpoint status). */
export interface LocalityLb {
  readonly setting: LocalityLoadBalancerSetting;
  readonly alwaysFailsOver: boolean;
}

const SAME_ZONE: LocalityLb = {
  setting: { failoverPriority: [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL] },
  alwaysFailsOver: true,
};
const SAME_NODE: LocalityLb = {
  setting: { failoverPriority: [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL, NODE_LABEL] },
  alwaysFailsOver: true,
};

/** Decides; undefined when localities play no role. */
export function localityLbOf(
  loadBalancer: LoadBalancerSettings | undefined,
  trafficDistribution: string,
  mesh: LocalityLoadBalancerSetting | undefined,
): LocalityLb | undefined {
  const own = loadBalancer?.localityLbSetting;
  if (own !== undefined) return own.enabled === false ? undefined : { setting: own, alwaysFailsOver: false };
  if (trafficDistribution === 'PreferSameZone') return SAME_ZONE;
  if (trafficDistribution === 'PreferSameNode') return SAME_NODE;
  return mesh === undefined ? undefined : { setting: mesh, alwaysFailsOver: false };
}

/** Keys of labels that the settings compare between client and endpoint. An entry may be `key` or `key=value`. */
export function failoverLabelKeys(setting: LocalityLoadBalancerSetting | undefined): readonly string[] {
  return (setting?.failoverPriority ?? []).map((entry) => entry.split('=', 1)[0] ?? '');
}
