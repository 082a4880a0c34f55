/**
 * Priorities and weights between localities as one client sees them: distribution by weight, failover by region, zone and
 * subzone, failover by labels. Plain data in and out.
 * Source: Istio pilot/pkg/networking/core/loadbalancer/loadbalancer.go.
 */
import type { LocalityLoadBalancerSetting } from '#api/destination-rule.ts';
import { compareBytes } from '#base/bytes-order.ts';
import type { Locality } from '#model/proxy.ts';
import { type Labels, NETWORK_LABEL, parseLocality } from '#model/workload-labels.ts';
import { balancesByZone, type LocalityLb } from './locality-settings.ts';
import { type LabelledGroup, type LocalityGroup, sumOfWeights } from './locality-group.ts';

/** Who asks: its place, and its labels together with topology labels (only those that settings compare). */
export interface LocalityClient {
  readonly locality: Locality;
  readonly labels: Labels;
}

/**
 * The groups with priorities and weights for a client. Failover needs outlier detection (`detectsOutliers`): without it
 * Envoy would never learn that a locality has failed.
 */
export function prioritize(
  groups: readonly LabelledGroup[],
  lb: LocalityLb | undefined,
  client: LocalityClient,
  detectsOutliers: boolean,
): readonly LocalityGroup[] {
  if (lb === undefined) return groups.map(withoutLabels);
  if (lb.kind === 'zoneAware') return byRegion(groups, lb.setting, client);
  const { distribute, failover = [], failoverPriority = [] } = lb.setting;
  if (distribute !== undefined && distribute.length > 0) {
    return distributed(groups.map(withoutLabels), distribute, client.locality);
  }
  if (!detectsOutliers && !lb.alwaysFailsOver) return groups.map(withoutLabels);
  if (failoverPriority.length === 0) return byLocality(groups.map(withoutLabels), failover, client.locality);
  const byLabels = groupsByLabels(groups, failoverPriority, client.labels);
  return failover.length === 0 ? byLabels : byLocality(byLabels, failover, client.locality);
}

function withoutLabels({ labels: _labels, places: _places, ...group }: LabelledGroup): LocalityGroup {
  return group;
}

type Distribute = NonNullable<LocalityLoadBalancerSetting['distribute']>;
type Failover = NonNullable<LocalityLoadBalancerSetting['failover']>;

/** The first rule for the client's locality says which localities get how much; the others get nothing. */
function distributed(
  groups: readonly LocalityGroup[],
  rules: Distribute,
  locality: Locality,
): readonly LocalityGroup[] {
  const rule = rules.find(({ from }) => matchesLocality(locality, from ?? ''));
  if (rule === undefined) return groups;
  // The longer pattern is the more specific one and takes its localities first.
  const targets = Object.entries(rule.to ?? {}).sort(
    (a, b) => b[0].length - a[0].length || compareBytes(a[0], b[0]),
  );
  const weights = new Map<LocalityGroup, number>();
  for (const [pattern, share] of targets) {
    const matching = groups.filter(
      (group) => !weights.has(group) && matchesLocality(group.locality, pattern),
    );
    const total = matching.reduce((sum, group) => sum + group.weight, 0);
    for (const group of matching) weights.set(group, Math.ceil((group.weight * share) / total));
  }
  return groups.map((group) => {
    const weight = weights.get(group);
    return weight === undefined ? { ...group, endpoints: [] } : { ...group, weight: weight || group.weight };
  });
}

/** A pattern is `region/zone/subzone`; `*` or a missing part matches all. */
function matchesLocality(locality: Locality, pattern: string): boolean {
  const { region, zone, subzone } = parseLocality(pattern);
  const matches = (wanted: string, value: string): boolean => wanted === '*' || wanted === value;
  return (
    matches(region, locality.region) &&
    (zone === '' || matches(zone, locality.zone)) &&
    (subzone === '' || matches(subzone, locality.subzone))
  );
}

/** Priorities of distance: same subzone, zone, region, the region to fail over to, the rest. */
const DISTANCES = 5;

function byLocality(
  groups: readonly LocalityGroup[],
  failover: Failover,
  locality: Locality,
): readonly LocalityGroup[] {
  const rule = failover.find(({ from }) => from === locality.region);
  const ranked = groups.map((group) => ({
    ...group,
    priority: group.priority * DISTANCES + distance(locality, group.locality, rule?.to),
  }));
  return compacted(ranked);
}

function distance(client: Locality, endpoint: Locality, failoverRegion: string | undefined): number {
  if (client.region !== endpoint.region) {
    return failoverRegion === undefined || endpoint.region === failoverRegion ? 3 : 4;
  }
  if (client.zone !== endpoint.zone) return 2;
  return client.subzone === endpoint.subzone ? 0 : 1;
}

/** Priorities of zone-aware balancing: the client's region, the region to fail over to, the rest. */
const REGION_DISTANCES = 3;

/** Only regions are apart: within the nearest one Envoy balances zones by itself. */
function byRegion(
  groups: readonly LabelledGroup[],
  setting: Extract<LocalityLb, { kind: 'zoneAware' }>['setting'],
  client: LocalityClient,
): readonly LocalityGroup[] {
  if (!balancesByZone(setting)) return groups.map(withoutLabels);
  const { failover = [], failoverPriority = [] } = setting;
  const plain =
    failoverPriority.length === 0
      ? groups.map(withoutLabels)
      : groupsByLabels(groups, failoverPriority, client.labels);
  const { region } = client.locality;
  const next = failover.find(({ from = '' }) => from === region)?.to;
  const distanceOf = (other: string): number => (other === region ? 0 : other === next ? 1 : 2);
  return compacted(
    plain.map((group) => ({
      ...group,
      priority: group.priority * REGION_DISTANCES + distanceOf(group.locality.region),
    })),
  );
}

/** Splits each locality by how many of the labels, in order, client and endpoint have in common. */
function groupsByLabels(
  groups: readonly LabelledGroup[],
  failoverPriority: readonly string[],
  client: Labels,
): readonly LocalityGroup[] {
  const split = groups.flatMap((group) => {
    const byRank = new Map<number, number[]>();
    for (const [i, labels] of group.labels.entries()) {
      const rank = labelRank(failoverPriority, client, labels);
      byRank.set(rank, [...(byRank.get(rank) ?? []), i]);
    }
    return [...byRank]
      .sort((a, b) => a[0] - b[0])
      .map(([priority, members]) => {
        const endpoints = group.endpoints.filter((_endpoint, i) => members.includes(i));
        return { locality: group.locality, priority, weight: sumOfWeights(endpoints), endpoints };
      });
  });
  return compacted(split);
}

/**
 * 0 when all labels agree; more the earlier the first difference. A network named first does not end the comparison:
 * remote endpoints keep their order among themselves, behind all local ones.
 */
function labelRank(failoverPriority: readonly string[], client: Labels, endpoint: Labels): number {
  const count = failoverPriority.length;
  let isRemote = false;
  for (const [i, entry] of failoverPriority.entries()) {
    const [key = '', override] = entry.split('=', 2);
    if ((override ?? client[key] ?? '') === (endpoint[key] ?? '')) continue;
    if (i > 0 || key !== NETWORK_LABEL) return count - i + (isRemote ? count : 0);
    isRemote = true;
  }
  return isRemote ? count : 0;
}

/** Envoy wants priorities from 0 without gaps. */
function compacted(groups: readonly LocalityGroup[]): readonly LocalityGroup[] {
  const used = [...new Set(groups.map((group) => group.priority))].sort((a, b) => a - b);
  return groups.map((group) => ({ ...group, priority: used.indexOf(group.priority) }));
}
