/**
 * What a DestinationRule says about byte streams to its host: read by the TCP proxy that sends them, not by the cluster.
 * Source: istio pilot/pkg/networking/core/networkfilter.go buildOutboundNetworkFiltersWithSingleDestination, maybeSetHashPolicy,
 * core/tunnelingconfig.
 */
import { durationMs } from '#api/duration.ts';
import type { DestinationPolicy } from './outbound-host.ts';

/** How a stream is sent. Subset and port count for hash and tunnel alone, as in Istio. */
export interface StreamSettings {
  /** Closes connections idle for longer; 0 leaves it to others. */
  readonly idleTimeoutMs: number;
  /** Closes connections open for longer; 0 for none. */
  readonly maxDurationMs: number;
  /** Connections of one client go to one endpoint. */
  readonly hashSourceIp: boolean;
  /** The stream goes through an HTTP CONNECT (or POST) to this `host:port`; undefined as a rule. */
  readonly tunnel: { readonly target: string; readonly usePost: boolean } | undefined;
}

/** Without a rule. */
export const PLAIN_STREAM: StreamSettings = {
  idleTimeoutMs: 0,
  maxDurationMs: 0,
  hashSourceIp: false,
  tunnel: undefined,
};

/** The settings for streams to a host's subset; '' for the whole host. */
export function streamSettings(policy: DestinationPolicy | undefined, subsetName: string): StreamSettings {
  if (policy === undefined) return PLAIN_STREAM;
  const { trafficPolicy } = policy;
  const subset = policy.subsets.find((one) => (one.name ?? '') === subsetName)?.trafficPolicy;
  const tcp = trafficPolicy?.connectionPool?.tcp;
  const balancer = subset?.loadBalancer ?? trafficPolicy?.loadBalancer;
  const tunnel = subsetName === '' ? trafficPolicy?.tunnel : subset?.tunnel;
  return {
    idleTimeoutMs: durationMs(tcp?.idleTimeout),
    maxDurationMs: durationMs(tcp?.maxConnectionDuration),
    hashSourceIp: balancer?.consistentHash?.useSourceIp === true,
    tunnel:
      tunnel === undefined
        ? undefined
        : {
            target: hostAndPort(tunnel.targetHost ?? '', tunnel.targetPort ?? 0),
            usePost: tunnel.protocol === 'POST',
          },
  };
}

function hostAndPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
