/**
 * Carries Envoy's configuration stream to the control plane and back, byte for byte: nothing is decoded or kept (but for what
 * a tap takes for the agent itself), and a slow reader on either side slows the other. Each stream of Envoy gets a connection of its own. While the control plane cannot be reached the
 * stream is held and attempts go on with back-off; when an established one is lost the stream to Envoy ends, so
 * that Envoy opens a new one and says what it holds (as with Istio; only Envoy can restart a delta stream).
 */
import type { Transform } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { ClientHttp2Session, ClientHttp2Stream, ServerHttp2Stream } from 'node:http2';
import { Backoff } from '#base/backoff.ts';
import { toDisposable } from '#base/disposable.ts';
import { decodeGrpcMessage, GRPC_UNAVAILABLE, type GrpcStatus, grpcStatus } from '#base/grpc-frame.ts';
import type { ControlPlane } from './control-plane.ts';
import { FrameCounter } from './frame-counter.ts';
import type { StreamTap } from './stream-tap.ts';
import { endGrpcReply, type GrpcCall, type GrpcHandler, openGrpcReply } from './unix-grpc-server.ts';
import type { AgentParts } from './workload-certificate.ts';

/** What the agent does itself on a stream of Envoy's; undefined: nothing. */
export type TapStream = (isDelta: boolean) => StreamTap | undefined;

/** One stream on both sides. */
interface Spliced {
  readonly down: ServerHttp2Stream;
  readonly up: ClientHttp2Stream;
  readonly session: ClientHttp2Session;
  readonly tap: StreamTap | undefined;
}

const retry = { initialMs: 100, maxMs: 10_000 };
const service = '/envoy.service.discovery.v3.AggregatedDiscoveryService';

/** Forwards ADS streams. */
export class XdsProxy implements Disposable {
  readonly #controlPlane: ControlPlane;
  readonly #parts: AgentParts;
  readonly #backoff: Backoff;
  readonly #tap: TapStream | undefined;
  readonly #open = new Set<ServerHttp2Stream>();

  /** `tap` is asked, for each stream that Envoy opens, for what the agent itself does on it. */
  constructor(controlPlane: ControlPlane, parts: AgentParts, tap?: TapStream) {
    this.#controlPlane = controlPlane;
    this.#parts = parts;
    this.#tap = tap;
    this.#backoff = new Backoff(retry, parts.rng);
  }

  /** The methods to serve, by path. */
  get handlers(): ReadonlyMap<string, GrpcHandler> {
    return new Map<string, GrpcHandler>([
      [`${service}/DeltaAggregatedResources`, (call) => void this.#forward(call, true)],
      [`${service}/StreamAggregatedResources`, (call) => void this.#forward(call, false)],
    ]);
  }

  /** Ends every stream; Envoy keeps what it has. */
  [Symbol.dispose](): void {
    for (const stream of this.#open) stream.destroy();
  }

  async #forward({ stream: down, headers }: GrpcCall, isDelta: boolean): Promise<void> {
    this.#open.add(down);
    down.on('close', () => this.#open.delete(down));
    openGrpcReply(down);
    const session = await this.#connect(down);
    if (session === undefined) return;
    down.on('close', () => session.destroy());
    try {
      const up = session.request(await this.#controlPlane.callHeaders(headers[':path'] ?? ''));
      this.#splice({ down, up, session, tap: this.#tap?.(isDelta) });
    } catch (error) {
      endGrpcReply(down, grpcStatus(GRPC_UNAVAILABLE, String(error)));
    }
  }

  /** Connects, as often as it takes; undefined when Envoy gave the stream up meanwhile. */
  async #connect(down: ServerHttp2Stream): Promise<ClientHttp2Session | undefined> {
    const { log, metrics } = this.#parts;
    while (!down.destroyed) {
      try {
        const session = await this.#controlPlane.connect();
        if (!down.destroyed) return session;
        session.destroy();
      } catch (error) {
        metrics.add('istio_agent_istiod_connection_failures');
        const delayMs = this.#backoff.nextMs();
        log.warn(`no connection to the control plane at ${this.#controlPlane.address}`, {
          error,
          retryInMs: Math.round(delayMs),
        });
        await this.#wait(delayMs, down);
      }
    }
    return undefined;
  }

  /** Waits, but not beyond the end of the stream. */
  #wait(delayMs: number, down: ServerHttp2Stream): Promise<void> {
    return new Promise((resolve) => {
      let timer: Disposable = toDisposable(() => {});
      function finish(): void {
        timer[Symbol.dispose]();
        down.off('close', finish);
        resolve();
      }
      down.on('close', finish);
      timer = this.#parts.clock.schedule(delayMs, finish);
    });
  }

  /** Joins both streams. A control plane that answers with nothing but an error counts as a failure: the next attempt waits. */
  #splice({ down, up, session, tap }: Spliced): void {
    const { log, metrics } = this.#parts;
    const requests = new FrameCounter();
    const responses = new FrameCounter();
    let status: GrpcStatus = grpcStatus(GRPC_UNAVAILABLE, 'the connection to the control plane was lost');
    function takeStatus(headers: Readonly<Record<string, unknown>>): void {
      const code = Number(headers['grpc-status'] ?? Number.NaN);
      if (Number.isInteger(code))
        status = grpcStatus(code, decodeGrpcMessage(String(headers['grpc-message'] ?? '')));
    }
    let hasAnswered = false;
    up.on('response', takeStatus);
    up.on('trailers', takeStatus);
    up.on('error', (error) => log.debug('stream to the control plane failed', { error }));
    up.on('data', (chunk: Buffer) => {
      if (!hasAnswered) this.#backoff.reset();
      hasAnswered = true;
      metrics.add('istio_agent_xds_proxy_responses', responses.push(chunk));
    });
    down.on('data', (chunk: Buffer) => metrics.add('istio_agent_xds_proxy_requests', requests.push(chunk)));
    (tap === undefined ? down : down.pipe(tap.requests)).pipe(up);
    (tap === undefined ? up : up.pipe(tap.responses)).pipe(down, { end: false });
    tap?.responses.on('error', (error) => up.destroy(error));
    up.on('close', () => {
      session.destroy();
      const isEnvoyGone = down.destroyed;
      metrics.add(
        isEnvoyGone
          ? 'istio_agent_envoy_connection_terminations'
          : 'istio_agent_istiod_connection_terminations',
      );
      if (isEnvoyGone) return;
      log.info('configuration stream ended', { code: status.code, reason: status.message });
      const delayMs = hasAnswered ? 0 : this.#backoff.nextMs();
      const passed = tap === undefined ? undefined : drained(tap.responses);
      void Promise.all([passed, this.#wait(delayMs, down)]).then(() => endGrpcReply(down, status));
    });
  }
}

/** Waits until everything that has come has gone on. */
async function drained(responses: Transform): Promise<void> {
  if (!responses.writableEnded) responses.end();
  await finished(responses, { writable: false }).catch(() => {});
}
