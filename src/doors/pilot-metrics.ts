/**
 * The xDS server's metrics under Istio's names, so that its dashboards and alerts work as they are; the result fits the
 * interface that the server takes (ads/ads-metrics.ts, which doors/ does not import).
 * Source: istio pilot/pkg/xds/monitoring.go; buckets below 100 ms are ours.
 */
import type { MetricRegistry } from './prometheus-text.ts';

const PUSH_SECONDS = [0.001, 0.005, 0.01, 0.1, 1, 3, 5, 10, 20, 30];
const WAIT_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 3, 5, 10, 20, 30];
const CONFIG_BYTES = [1, 10_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000];

/** What main/ hands to the xDS server. */
export interface PilotMetrics {
  connected(proxyVersion: string, change: 1 | -1): void;
  pushed(measure: { readonly type: string; readonly sizeBytes: number; readonly durationMs: number }): void;
  converged(durationMs: number): void;
  queued(durationMs: number): void;
  rejected(type: string, proxyId: string, code: number): void;
  expiredNonce(type: string): void;
  internalError(): void;
  refused(reason: string): void;
}

/** Registers Istio's xDS metrics. */
export function createPilotMetrics(registry: MetricRegistry): PilotMetrics {
  const counter = (name: string, help: string, ...labels: string[]) =>
    registry.counter({ name, help, labels });
  const histogram = (name: string, help: string, buckets: readonly number[], ...labels: string[]) =>
    registry.histogram({ name, help, buckets, labels });
  const connected = registry.gauge({
    name: 'pilot_xds',
    help: 'Proxies connected over xDS.',
    labels: ['version'],
  });
  const pushes = counter('pilot_xds_pushes', 'Responses pushed.', 'type');
  const pushTime = histogram('pilot_xds_push_time', 'Seconds to compose a response.', PUSH_SECONDS, 'type');
  const size = histogram('pilot_xds_config_size_bytes', 'Sizes of responses pushed.', CONFIG_BYTES, 'type');
  const bytes = counter('lateen_push_bytes_total', 'Bytes of configuration sent to proxies.', 'type');
  const convergence = 'Seconds from a change until a proxy has answered all of it.';
  const converged = histogram('pilot_proxy_convergence_time', convergence, WAIT_SECONDS);
  const queued = histogram(
    'pilot_proxy_queue_time',
    'Seconds until a changed proxy has its turn.',
    WAIT_SECONDS,
  );
  const rejects = counter('pilot_total_xds_rejects', 'Responses that proxies refused.', 'type');
  const expired = counter(
    'pilot_xds_expired_nonce',
    'Requests with a nonce that is no longer current.',
    'type',
  );
  const internal = counter('pilot_total_xds_internal_errors', 'Streams that ended by an error of our own.');
  const refused = counter(
    'lateen_xds_refused_total',
    'Connections, streams and requests turned away.',
    'reason',
  );
  return {
    connected: (version, change) => connected.add(change, { version }),
    pushed({ type, sizeBytes, durationMs }) {
      pushes.increment({ type });
      pushTime.observe(durationMs / 1000, { type });
      size.observe(sizeBytes, { type });
      bytes.increment({ type }, sizeBytes);
    },
    converged: (durationMs) => converged.observe(durationMs / 1000),
    queued: (durationMs) => queued.observe(durationMs / 1000),
    rejected: (type) => rejects.increment({ type }),
    expiredNonce: (type) => expired.increment({ type }),
    internalError: () => internal.increment(),
    refused: (reason) => refused.increment({ reason }),
  };
}
