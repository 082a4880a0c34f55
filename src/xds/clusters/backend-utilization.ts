/**
 * Weights by what servers report about their load (ORCA, header or trailer endpoint-load-metrics): Envoy's client-side
 * weighted round robin. Istio has the field and does nothing with it yet; here it works.
 * Source: Istio DestinationRule loadBalancer.backendUtilization; Envoy client_side_weighted_round_robin.
 */
import { create, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import type { LoadBalancingPolicySchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import {
  type ClientSideWeightedRoundRobin,
  ClientSideWeightedRoundRobinSchema,
} from '#proto/envoy/extensions/load_balancing_policies/client_side_weighted_round_robin/v3/client_side_weighted_round_robin_pb.ts';
import { WrrLocalitySchema } from '#proto/envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality_pb.ts';
import type { LoadBalancerSettings_BackendUtilizationLBJson as BackendUtilization } from '#proto/istio/networking/v1alpha3/destination_rule_pb.ts';
import { packAny } from '#xds/encode.ts';
import type { InitOf } from '#xds/message-init.ts';
import { parseDuration } from '#xds/routes/duration.ts';

type PolicyInit = InitOf<typeof LoadBalancingPolicySchema>;

/** The policy; within localities that are weighted themselves where `isWeightedByLocality`. */
export function utilizationPolicy(settings: BackendUtilization, isWeightedByLocality: boolean): PolicyInit {
  const byLoad = policy(
    'client_side_weighted_round_robin',
    ClientSideWeightedRoundRobinSchema,
    weightedRoundRobin(settings),
  );
  if (!isWeightedByLocality) return byLoad;
  return policy(
    'wrr_locality',
    WrrLocalitySchema,
    create(WrrLocalitySchema, { endpointPickingPolicy: byLoad }),
  );
}

function weightedRoundRobin(settings: BackendUtilization): ClientSideWeightedRoundRobin {
  const { weightStabilizationPeriod, weightExpirationPeriod, weightUpdatePeriod } = settings;
  const penaltyPercent = settings.errorUtilizationPenaltyPercent ?? 0;
  return create(ClientSideWeightedRoundRobinSchema, {
    ...(weightStabilizationPeriod ? { blackoutPeriod: parseDuration(weightStabilizationPeriod) } : {}),
    ...(weightExpirationPeriod ? { weightExpirationPeriod: parseDuration(weightExpirationPeriod) } : {}),
    ...(weightUpdatePeriod ? { weightUpdatePeriod: parseDuration(weightUpdatePeriod) } : {}),
    ...(penaltyPercent === 0 ? {} : { errorUtilizationPenalty: penaltyPercent / 100 }),
    metricNamesForComputingUtilization: [...(settings.metricNamesForComputingUtilization ?? [])],
  });
}

function policy<D extends DescMessage>(name: string, schema: D, message: MessageShape<D>): PolicyInit {
  const typedConfig = packAny(schema, message);
  return {
    policies: [{ typedExtensionConfig: { name: `envoy.load_balancing_policies.${name}`, typedConfig } }],
  };
}
