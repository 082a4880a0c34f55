/**
 * The traffic policy in force for one port and subset: port-level settings replace those of the rule, the subset's
 * settings override field by field, mesh-wide defaults fill blocks that nobody set.
 * Source: Istio pilot/pkg/networking/util MergeSubsetTrafficPolicy and core/cluster_traffic_policy.go.
 */
import type { TrafficPolicy } from '#api/destination-rule.ts';
import type { ClusterFacts } from '#model/mesh-facts.ts';
import type { DestinationPolicy } from '#scope/outbound-host.ts';

/** A policy without port-level settings: they have been taken into account. */
export type PortPolicy = Omit<TrafficPolicy, 'portLevelSettings'>;

/** The rule's policy for one port of the whole service. */
export function servicePolicy(policy: DestinationPolicy, port: number): PortPolicy {
  return atPort(policy.trafficPolicy, port).policy;
}

/** The policy for one port of a subset. */
export function subsetPolicy(
  service: PortPolicy,
  subset: TrafficPolicy | undefined,
  port: number,
): PortPolicy {
  const { policy: own, isPortLevel } = atPort(subset, port);
  if (!isPortLevel) return { ...service, ...own };
  // Port-level settings inherit nothing of these four, not even where they are silent.
  const { connectionPool: _c, outlierDetection: _o, loadBalancer: _l, tls: _t, ...rest } = service;
  return { ...rest, ...own };
}

/** Blocks of the mesh's defaultTrafficPolicy where the rule has none. */
export function withMeshDefaults(policy: PortPolicy, facts: ClusterFacts): PortPolicy {
  const { defaultConnectionPool, defaultOutlierDetection } = facts;
  return {
    ...(defaultConnectionPool === undefined ? {} : { connectionPool: defaultConnectionPool }),
    ...(defaultOutlierDetection === undefined ? {} : { outlierDetection: defaultOutlierDetection }),
    ...policy,
  };
}

function atPort(
  policy: TrafficPolicy | undefined,
  port: number,
): { readonly policy: PortPolicy; readonly isPortLevel: boolean } {
  const { portLevelSettings = [], ...whole } = policy ?? {};
  const settings = portLevelSettings.find((candidate) => candidate.port?.number === port);
  if (settings === undefined) return { policy: whole, isPortLevel: false };
  const { port: _port, ...own } = settings;
  return { policy: own, isPortLevel: true };
}
