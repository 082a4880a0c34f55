/**
 * Workloads outside of a cluster register by way of their proxies' streams: the server tells who comes and goes and what they
 * report, and somebody else decides what that means. Source: istio pilot/pkg/xds/ads.go (HealthInformation), pilot/pkg/autoregistration.
 */
import type { GrpcStatus } from '#base/grpc-frame.ts';
import type { Result } from '#base/result.ts';
import type { Proxy } from '#model/proxy.ts';
import type { DiscoveryRequest } from './dialect.ts';

/** Requests of this type report health; nothing is answered. */
export const TYPE_HEALTH = 'type.googleapis.com/istio.v1.HealthInformation';

/** What a proxy says of its application. */
export interface HealthReport {
  readonly isHealthy: boolean;
  /** Why not. */
  readonly message: string;
}

/** A stream of an admitted proxy. */
export interface ConnectedProxy {
  readonly proxy: Proxy;
  /** Address and port that it calls from. */
  readonly remoteAddress: string;
  readonly connectedAtMs: number;
  /** Ends the stream. */
  end(status: GrpcStatus): void;
}

/** Disposed of when the stream has ended. */
export interface RegisteredProxy extends Disposable {
  report(health: HealthReport): void;
}

/** Called for every stream. */
export interface Registrar {
  /** Undefined for a proxy that registers nothing. Errors: the status with which the stream is ended. */
  register(connected: ConnectedProxy): Result<RegisteredProxy | undefined, GrpcStatus>;
}

/** What a request of the type says. */
export function healthOf({ error }: DiscoveryRequest): HealthReport {
  return { isHealthy: error === undefined, message: error?.message ?? '' };
}
