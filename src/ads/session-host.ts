/**
 * The two sides of a discovery session: what it needs from the server that holds it, and what the server needs of it,
 * whatever variant of the protocol it speaks.
 */
import type { Clock } from '#base/clock.ts';
import type { GrpcStatus } from '#base/grpc-frame.ts';
import type { Logger } from '#base/logger.ts';
import type { Result } from '#base/result.ts';
import type { Demand } from '#model/demand.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import type { AdsMetrics } from './ads-metrics.ts';
import type { ConnectionRecord } from './connections.ts';
import type { NackEvent } from './nack-event.ts';
import type { Peer } from './peer.ts';
import type { HealthReport } from './registrar.ts';
import type { DiffCache } from './snapshot-diff.ts';

/** A finished epoch: its number, and the text that stands in version_info. */
export interface Epoch {
  readonly number: number;
  readonly version: string;
}

/** What a session needs from the server that holds it. */
export interface SessionHost {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: AdsMetrics;
  readonly diffs: DiffCache;
  readonly controlPlane: string;
  epoch(): Epoch;
  /** Checks the first request's node, registers the stream and announces the proxy. */
  join(session: ProxySession, node: Uint8Array): Result<ConnectionRecord, GrpcStatus>;
  leave(session: ProxySession): void;
  snapshot(proxyId: string): ProxySnapshot | undefined;
  /** What that snapshot was made for. */
  demand(proxyId: string): Demand;
  /** Tells what the stream asks for now of that which is made on demand. */
  ask(session: ProxySession, demand: Demand): void;
  settled(record: ConnectionRecord, epoch: number): void;
  nacked(event: NackEvent): void;
  /** The proxy says how its application is. */
  reported(session: ProxySession, health: HealthReport): void;
  /** The proxy has a trust bundle in place. */
  bundleAnswered(record: ConnectionRecord): void;
}

/** The part of a session that does not depend on the variant of the protocol. */
export interface ProxySession {
  readonly peer: Peer;
  readonly isDelta: boolean;
  readonly record: ConnectionRecord | undefined;
  /** Looks at the proxy's snapshot again and sends what can be sent. */
  refresh(): void;
  close(status: GrpcStatus): void;
}
