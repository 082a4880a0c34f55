/**
 * Carries Envoy's configuration stream to the control plane and back, byte for byte: nothing is decoded or kept (but for what
 * a tap takes for the agent itself, and Wasm modules that are elsewhere), and a slow reader on either side slows the other. Each stream of Envoy gets a connection of its own. While the control plane cannot be reached the
 * stream is held and attempts go on with back-off; when an established one is lost the stream to Envoy ends, so
 * that Envoy opens a new one and says what it holds (as with Istio; only Envoy can restart a delta stream).
 */
import type { Readable, Transform } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { ClientHttp2Session, ClientHttp2Stream, ServerHttp2Stream } from 'node:http2';
import { Backoff } from '#base/backoff.ts';
import { toDisposable } from '#base/disposable.ts';
import { decodeGrpcMessage, GRPC_UNAVAILABLE, type GrpcStatus, grpcStatus } from '#base/grpc-frame.ts';
import type { ControlPlane } from './control-plane.ts';
import { FrameCounter } from './frame-counter.ts';
import type { StreamTap } from './stream-tap.ts';
import { endGrpcReply, type GrpcCall, type GrpcHandler, openGrpcReply } from './unix-grpc-server.ts';
import type { WasmResponses } from './wasm-responses.ts';
import type { AgentParts } from './workload-certificate.ts';

/** What the agent does itself on a stream of Envoy's. */
export type TapStream = (isDelta: boolean) => readonly StreamTap[];

/** What an agent does with streams beside carrying them. */
export interface StreamDuties {
  /** Asked for each stream that Envoy opens. */
  readonly taps?: TapStream;
  /** Rewrites what Envoy cannot fetch itself. */
  readonly wasm?: WasmResponses | undefined;
}

/** One stream on both sides. */
interface Spliced {
  readonly down: ServerHttp2Stream;
  readonly up: ClientHttp2Stream;
  readonly session: ClientHttp2Session;
  readonly taps: readonly StreamTap[];
  /** What responses pass on their way to Envoy, in order. */
  readonly stages: readonly Transform[];
}

const retry = { initialMs: 100, maxMs: 10_000 };
const service = '/envoy.service.discovery.v3.AggregatedDiscoveryService';

/** Forwards ADS streams. */
export class XdsProxy implements Disposable {
  readonly #controlPlane: ControlPlane;
  readonly #parts: AgentParts;
  readonly #backoff: Backoff;
  readonly #duties: StreamDuties;
  readonly #open = new Set<ServerHttp2Stream>();

  constructor(controlPlane: ControlPlane, parts: AgentParts, duties: StreamDuties = {}) {
    this.#controlPlane = controlPlane;
    this.#parts = parts;
    this.#duties = duties;
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
      const taps = this.#duties.taps?.(isDelta) ?? [];
      const rewriter = this.#duties.wasm?.rewriter(isDelta ? 'delta' : 'sotw');
      const own = taps.map(({ responses }) => responses);
      const stages = [...own, rewriter].filter((stage) => stage !== undefined);
      this.#splice({ down, up, session, taps, stages });
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
  #splice({ down, up, session, taps, stages }: Spliced): void {
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
    // After its last word the control plane waits for us to end as well.
    up.on('end', () => up.close());
    up.on('data', (chunk: Buffer) => {
      if (!hasAnswered) this.#backoff.reset();
      hasAnswered = true;
      metrics.add('istio_agent_xds_proxy_responses', responses.push(chunk));
    });
    down.on('data', (chunk: Buffer) => metrics.add('istio_agent_xds_proxy_requests', requests.push(chunk)));
    let asked: Readable = down;
    for (const { requests: stage } of taps) asked = asked.pipe(stage);
    asked.pipe(up);
    let passing: Readable = up;
    for (const stage of stages) passing = passing.pipe(stage.on('error', (error) => up.destroy(error)));
    passing.pipe(down, { end: false });
    up.on('close', () => {
      session.destroy();
      for (const { requests: stage } of taps) stage.destroy();
      const isEnvoyGone = down.destroyed;
      metrics.add(
        isEnvoyGone
          ? 'istio_agent_envoy_connection_terminations'
          : 'istio_agent_istiod_connection_terminations',
      );
      if (isEnvoyGone) return;
      log.info('configuration stream ended', { code: status.code, reason: status.message });
      const delayMs = hasAnswered ? 0 : this.#backoff.nextMs();
      void Promise.all([drained(stages), this.#wait(delayMs, down)]).then(() => endGrpcReply(down, status));
    });
  }
}

/** Waits until everything that has come has gone on. */
async function drained(stages: readonly Transform[]): Promise<void> {
  const [first, last] = [stages[0], stages.at(-1)];
  if (first === undefined || last === undefined) return;
  if (!first.writableEnded) first.end();
  await finished(last, { writable: false }).catch(() => {});
}
