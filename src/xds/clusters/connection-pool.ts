/**
 * Limits of an outbound cluster: circuit breakers, connect timeout, TCP keepalive, outlier detection.
 * Source: Istio pilot/pkg/networking/core/cluster_traffic_policy.go, cluster.go applyTCPKeepalive.
 */
import type { OutlierDetection, TrafficPolicy } from '#api/destination-rule.ts';
import type { ClusterFacts } from '#model/mesh-facts.ts';
import type { CircuitBreakersSchema } from '#proto/envoy/config/cluster/v3/circuit_breaker_pb.ts';
import type { UpstreamConnectionOptionsSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import type { OutlierDetectionSchema } from '#proto/envoy/config/cluster/v3/outlier_detection_pb.ts';
import { durationMs } from '#api/duration.ts';
import { parseDuration } from '#xds/routes/duration.ts';
import type { PortPolicy } from './traffic-policy.ts';
import type { InitOf } from '#xds/message-init.ts';

/** Istio sets no limit where Envoy's own (1024, three retries) has proved too small when pods come and go. */
const UNLIMITED = 0xffff_ffff;
const DEFAULT_RETRY_PERCENT = 20;
const DEFAULT_RETRY_CONCURRENCY = 3;

/** Circuit breakers: unlimited, but for what the policy limits. A limit of 0 counts as not set. */
export function circuitBreakers(
  policy: PortPolicy,
  facts?: ClusterFacts,
): InitOf<typeof CircuitBreakersSchema> {
  const { http, tcp } = policy.connectionPool ?? {};
  const retryBudget = retryBudgetOf(policy.retryBudget);
  return {
    thresholds: [
      {
        maxConnections: tcp?.maxConnections || UNLIMITED,
        maxPendingRequests: http?.http1MaxPendingRequests || UNLIMITED,
        maxRequests: http?.http2MaxRequests || UNLIMITED,
        maxRetries: http?.maxRetries || UNLIMITED,
        ...(retryBudget === undefined ? {} : { retryBudget }),
        trackRemaining: facts?.flags.noRemainingMetrics === false,
      },
    ],
  };
}

type RetryBudget = NonNullable<
  NonNullable<InitOf<typeof CircuitBreakersSchema>['thresholds']>[number]['retryBudget']
>;

function retryBudgetOf(budget: TrafficPolicy['retryBudget']): RetryBudget | undefined {
  if (budget === undefined) return undefined;
  return {
    budgetPercent: { value: Number(budget.percent ?? DEFAULT_RETRY_PERCENT) },
    minRetryConcurrency: budget.minRetryConcurrency || DEFAULT_RETRY_CONCURRENCY,
    ...(budget.budgetInterval === undefined ? {} : { budgetInterval: parseDuration(budget.budgetInterval) }),
  };
}

/** TCP keepalive of the mesh, single values overridden by the rule; undefined when neither asks for it. */
export function connectionOptions(
  policy: PortPolicy,
  facts: ClusterFacts,
): InitOf<typeof UpstreamConnectionOptionsSchema> | undefined {
  const own = policy.connectionPool?.tcp?.tcpKeepalive;
  if (own === undefined && facts.tcpKeepalive === undefined) return undefined;
  const probes = own?.probes || facts.tcpKeepalive?.probes;
  const time = own?.time ?? facts.tcpKeepalive?.time;
  const interval = own?.interval ?? facts.tcpKeepalive?.interval;
  return {
    tcpKeepalive: {
      ...(probes ? { keepaliveProbes: probes } : {}),
      ...(time === undefined ? {} : { keepaliveTime: wholeSeconds(time) }),
      ...(interval === undefined ? {} : { keepaliveInterval: wholeSeconds(interval) }),
    },
  };
}

function wholeSeconds(duration: string): number {
  return Math.trunc(durationMs(duration) / 1000);
}

/** Outlier detection by consecutive errors; Envoy's detection by success rate stays off. */
export function outlierDetection(
  outlier: OutlierDetection | undefined,
): InitOf<typeof OutlierDetectionSchema> | undefined {
  if (outlier === undefined) return undefined;
  const { consecutive5xxErrors, consecutiveGatewayErrors } = outlier;
  return {
    enforcingSuccessRate: 0,
    ...(consecutive5xxErrors === undefined
      ? {}
      : { consecutive5xx: consecutive5xxErrors, enforcingConsecutive5xx: enforced(consecutive5xxErrors) }),
    ...(consecutiveGatewayErrors === undefined
      ? {}
      : {
          consecutiveGatewayFailure: consecutiveGatewayErrors,
          enforcingConsecutiveGatewayFailure: enforced(consecutiveGatewayErrors),
        }),
    ...(outlier.interval === undefined ? {} : { interval: parseDuration(outlier.interval) }),
    ...(outlier.baseEjectionTime === undefined
      ? {}
      : { baseEjectionTime: parseDuration(outlier.baseEjectionTime) }),
    ...(outlier.maxEjectionPercent ? { maxEjectionPercent: outlier.maxEjectionPercent } : {}),
    ...localOriginErrors(outlier),
  };
}

function localOriginErrors(outlier: OutlierDetection): InitOf<typeof OutlierDetectionSchema> {
  if (outlier.splitExternalLocalOriginErrors !== true) return {};
  const failures = outlier.consecutiveLocalOriginFailures ?? 0;
  return {
    splitExternalLocalOriginErrors: true,
    enforcingLocalOriginSuccessRate: 0,
    ...(failures > 0
      ? { consecutiveLocalOriginFailure: failures, enforcingConsecutiveLocalOriginFailure: 100 }
      : {}),
  };
}

/** Zero errors switches a check off. */
function enforced(errors: number): number {
  return errors > 0 ? 100 : 0;
}
