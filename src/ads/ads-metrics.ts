/** What the xDS server counts. doors/ turns it into Istio's metrics; the names stand beside each. */

/** One response that was written. */
export interface PushMeasure {
  /** Short name of the resource type, `cds`. */
  readonly type: string;
  readonly sizeBytes: number;
  /** Time to work out and compose the response. */
  readonly durationMs: number;
}

export interface AdsMetrics {
  /** pilot_xds: streams open now, by proxy version. */
  connected(proxyVersion: string, change: 1 | -1): void;
  /** pilot_xds_pushes{type}, pilot_xds_push_time, pilot_xds_config_size_bytes, lateen_push_bytes_total. */
  pushed(measure: PushMeasure): void;
  /** pilot_proxy_convergence_time: from the end of an epoch until a proxy has answered all that it changed. */
  converged(durationMs: number): void;
  /** pilot_proxy_queue_time: from the end of an epoch until the proxy's turn. */
  queued(durationMs: number): void;
  /** pilot_total_xds_rejects{type} and pilot_xds_cds_reject and fellows{node, err}. */
  rejected(type: string, proxyId: string, code: number): void;
  /** pilot_xds_expired_nonce{type}. */
  expiredNonce(type: string): void;
  /** pilot_total_xds_internal_errors: a stream that ended by our own fault. */
  internalError(): void;
  /** lateen_xds_refused_total{reason}: connections, streams and requests turned away. */
  refused(reason: string): void;
}

/** Counts nothing. */
export function noMetrics(): AdsMetrics {
  const ignore = (): void => {};
  return {
    connected: ignore,
    pushed: ignore,
    converged: ignore,
    queued: ignore,
    rejected: ignore,
    expiredNonce: ignore,
    internalError: ignore,
    refused: ignore,
  };
}
