/** Bounds of the gRPC server: what one caller, and all callers together, may take. */

export interface GrpcLimits {
  /** Longest request message, and the longest of a trusted caller (a reconnecting proxy lists all that it holds). */
  readonly maxMessageBytes: number;
  readonly maxTrustedMessageBytes: number;
  readonly maxStreamsPerConnection: number;
  readonly maxConnections: number;
  readonly maxStreams: number;
  /** A stream whose client has not taken this much is cut. */
  readonly maxQueuedBytes: number;
  /** A stream whose client takes nothing at all for this long is cut. */
  readonly stalledWriteMs: number;
  /** Streams that a client may reset at once, and per second afterwards. */
  readonly resetBurst: number;
  readonly resetsPerSecond: number;
  /** A new connection must open a stream, and finish its TLS handshake, within this time. */
  readonly firstStreamMs: number;
  /** A connection without streams is closed after this time. */
  readonly idleMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Connections are ended at this age, give or take a tenth, so that load spreads over replicas. */
  readonly maxAgeMs: number;
  /** How long a unary call may take, and an ended connection's streams to finish. */
  readonly unaryTimeoutMs: number;
  readonly graceMs: number;
  /** How often connections are looked at for all of the above. */
  readonly sweepMs: number;
}

/** Message and keepalive bounds follow Istio's (4 MiB; keepalive every 30 s); the connection age is ours. */
export const DEFAULT_GRPC_LIMITS: GrpcLimits = {
  maxMessageBytes: 4 << 20,
  maxTrustedMessageBytes: 16 << 20,
  maxStreamsPerConnection: 100,
  maxConnections: 10_000,
  maxStreams: 20_000,
  maxQueuedBytes: 256 << 20,
  stalledWriteMs: 30_000,
  resetBurst: 200,
  resetsPerSecond: 50,
  firstStreamMs: 10_000,
  idleMs: 300_000,
  pingIntervalMs: 30_000,
  pingTimeoutMs: 20_000,
  maxAgeMs: 30 * 60_000,
  unaryTimeoutMs: 30_000,
  graceMs: 10_000,
  sweepMs: 5_000,
};
