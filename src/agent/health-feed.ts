/**
 * Tells the control plane of the application's health, on Envoy's own stream: at once when it changes, and again on every stream that
 * Envoy opens, since another control plane may be at its end. Source: Istio pkg/istio-agent/xds_proxy.go (HealthInformation).
 */
import { GRPC_INTERNAL } from '#base/grpc-frame.ts';
import { WireWriter } from '#base/proto-wire.ts';
import type { ApplicationHealth } from './health-check.ts';
import { RequestInjector, type StreamTap } from './stream-tap.ts';

const HEALTH_TYPE = 'type.googleapis.com/istio.v1.HealthInformation';
const MAX_PROBLEM_CHARACTERS = 1_024;

export class HealthFeed {
  readonly #open = new Map<RequestInjector, boolean>();
  #health: ApplicationHealth | undefined;

  /** Says it on all streams. */
  tell(health: ApplicationHealth): void {
    this.#health = health;
    for (const [requests, isDelta] of this.#open) requests.inject(encodeHealth(health, isDelta));
  }

  /** Joins a stream that Envoy opens. */
  open(isDelta: boolean): StreamTap {
    const requests = new RequestInjector();
    this.#open.set(requests, isDelta);
    requests.on('close', () => this.#open.delete(requests));
    if (this.#health !== undefined) requests.inject(encodeHealth(this.#health, isDelta));
    return { requests };
  }
}

/** A discovery request; the two forms of the protocol differ by the numbers of fields. */
function encodeHealth({ isHealthy, problem }: ApplicationHealth, isDelta: boolean): Uint8Array {
  const writer = new WireWriter().string(isDelta ? 2 : 4, HEALTH_TYPE);
  if (!isHealthy) {
    const message = problem.slice(0, MAX_PROBLEM_CHARACTERS);
    writer.bytes(isDelta ? 7 : 6, new WireWriter().varint(1, GRPC_INTERNAL).string(2, message).finish());
  }
  return writer.finish();
}
