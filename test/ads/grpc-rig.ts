/**
 * A real server on loopback or a Unix socket, and grpc-js as its client with a raw-bytes codec: the client that stands for all
 * gRPC clients which are not ours.
 */
import {
  type ClientDuplexStream,
  credentials,
  Client,
  type ClientOptions,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { AdsServer } from '#ads/ads-server.ts';
import { noMetrics } from '#ads/ads-metrics.ts';
import type { GrpcLimits } from '#ads/grpc-limits.ts';
import { GrpcServer, type Listening } from '#ads/grpc-server.ts';
import type { PeerAuthenticator } from '#ads/peer.ts';
import { systemClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { ok } from '#base/result.ts';
import { seededRng } from '#base/rng.ts';

export const DELTA_METHOD = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
export const SOTW_METHOD = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources';

const raw = (bytes: Buffer): Buffer => bytes;

/** Lets everybody in as nobody in particular. */
export const OPEN_DOOR: PeerAuthenticator = {
  authenticate: async () => ok({ identity: undefined, isTrusted: false }),
};

export class GrpcRig implements AsyncDisposable {
  readonly server: GrpcServer;
  readonly refused: string[] = [];
  readonly #clients: Client[] = [];
  #listening: Listening | undefined;

  constructor(limits: Partial<GrpcLimits> = {}, authenticator: PeerAuthenticator = OPEN_DOOR) {
    this.server = new GrpcServer({
      authenticator,
      clock: systemClock(),
      rng: seededRng(1),
      log: silentLogger(),
      metrics: { ...noMetrics(), refused: (reason) => this.refused.push(reason) },
      limits: { graceMs: 200, ...limits },
    });
  }

  /** Mounts ADS as main/ does. */
  serveAds(ads: AdsServer): void {
    this.server.stream(DELTA_METHOD, (stream, peer) => ads.serveDelta(stream, peer));
    this.server.stream(SOTW_METHOD, (stream, peer) => ads.serveSotw(stream, peer));
  }

  async listen(): Promise<number> {
    this.#listening = await this.server.listenTcp('127.0.0.1', 0);
    return this.#listening.port;
  }

  get port(): number {
    return this.#listening?.port ?? 0;
  }

  client(
    address = `127.0.0.1:${this.port}`,
    channel = credentials.createInsecure(),
    options: ClientOptions = {},
  ): Client {
    const client = new Client(address, channel, { 'grpc.max_receive_message_length': -1, ...options });
    this.#clients.push(client);
    return client;
  }

  /** Opens a stream of raw messages. */
  open(method: string, client = this.client()): RawStream {
    return new RawStream(client.makeBidiStreamRequest(method, raw, raw));
  }

  unary(method: string, request: Buffer, client = this.client()): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(method, raw, raw, request, new Metadata(), (error, answer) => {
        if (error !== null) reject(error);
        else resolve(answer ?? Buffer.alloc(0));
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.server[Symbol.asyncDispose]();
  }
}

/** Messages that come, in order, to be waited for one by one. */
export class RawStream {
  readonly call: ClientDuplexStream<Buffer, Buffer>;
  readonly #messages: Buffer[] = [];
  #wake: (() => void) | undefined;
  /** Set when the call is over. */
  error: ServiceError | undefined;
  isEnded = false;

  constructor(call: ClientDuplexStream<Buffer, Buffer>) {
    this.call = call;
    call.on('data', (message: Buffer) => this.#deliver(() => this.#messages.push(message)));
    call.on('error', (error: ServiceError) => this.#deliver(() => (this.error = error)));
    call.on('end', () => this.#deliver(() => (this.isEnded = true)));
  }

  send(message: Uint8Array): void {
    this.call.write(Buffer.from(message));
  }

  /** The next message; fails when the stream ends first, or nothing comes for five seconds. */
  async next(): Promise<Buffer> {
    await this.#until(() => this.#messages.length > 0 || this.error !== undefined || this.isEnded);
    const message = this.#messages.shift();
    if (message === undefined) throw this.error ?? new Error('the stream ended');
    return message;
  }

  /** Waits for the end and gives its status code. */
  async ended(): Promise<number> {
    await this.#until(() => this.error !== undefined || this.isEnded);
    return this.error?.code ?? 0;
  }

  #deliver(change: () => unknown): void {
    change();
    this.#wake?.();
  }

  async #until(isTrue: () => boolean): Promise<void> {
    const limit = AbortSignal.timeout(5_000);
    while (!isTrue()) {
      if (limit.aborted) throw new Error('nothing came for five seconds');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        limit.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }
}
