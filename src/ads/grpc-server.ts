/**
 * The gRPC server under xDS and CA: node:http2 with our own framing, on TCP, on Unix sockets and over TLS, any number of
 * addresses at once. Looks up the method, authenticates the caller, keeps the limits; knows nothing of what is served.
 * Why not grpc-js: it copies each message per client (bench: five times the CPU, four times the memory).
 */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Clock } from '#base/clock.ts';
import {
  GRPC_INTERNAL,
  GRPC_RESOURCE_EXHAUSTED,
  GRPC_UNAVAILABLE,
  GRPC_UNIMPLEMENTED,
  type GrpcStatus,
  grpcStatus,
} from '#base/grpc-frame.ts';
import type { Logger } from '#base/logger.ts';
import type { Rng } from '#base/rng.ts';
import type { AdsMetrics } from './ads-metrics.ts';
import { GrpcConnection } from './grpc-connection.ts';
import { type TlsLimits, tlsLimits } from '#base/compliance.ts';
import { DEFAULT_GRPC_LIMITS, type GrpcLimits } from './grpc-limits.ts';
import type { Peer, PeerAuthenticator, RequestHeaders } from './peer.ts';
import { refuseCall, ServerStream } from './server-stream.ts';
import { serveUnary, type UnaryHandler } from './unary-call.ts';
import type { XdsStream } from './xds-stream.ts';

export interface GrpcServerOptions {
  readonly authenticator: PeerAuthenticator;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  readonly metrics: AdsMetrics;
  readonly limits?: Partial<GrpcLimits>;
  /** Which TLS is spoken; default: 1.2 or later. */
  readonly tlsLimits?: TlsLimits;
}

/** PEM texts. Clients are asked for a certificate and may have none; `clientCas` is what verified ones chain to. */
export interface TlsMaterial {
  readonly certificateChain: string;
  readonly privateKey: string;
  readonly clientCas: readonly string[];
}

/** Serves one streaming method. */
export type StreamHandler = (stream: XdsStream, peer: Peer) => void;

/** An address that is listened on. */
export interface Listening {
  /** Port, 0 for a Unix socket. */
  readonly port: number;
  /** New certificates for new connections; for TLS addresses only. */
  setTls(material: TlsMaterial): void;
}

type Method = { readonly stream: StreamHandler } | { readonly unary: UnaryHandler };
type AnyServer = Http2Server | Http2SecureServer;

/** Enough for a large request in a few round trips; a flood of connections may pin this much each. */
const STREAM_WINDOW_BYTES = 1 << 20;
const CONNECTION_WINDOW_BYTES = 2 << 20;
const MAX_HEADER_BYTES = 65_536;
/** node:http2 refuses streams when a session's own memory, queued responses included, is over this. */
const MAX_SESSION_MEMORY_MB = 1_024;

export class GrpcServer implements AsyncDisposable {
  readonly #options: GrpcServerOptions;
  readonly #limits: GrpcLimits;
  readonly #methods: Map<string, Method> = new Map();
  readonly #servers: Set<AnyServer> = new Set();
  readonly #connections: Map<ServerHttp2Session, GrpcConnection> = new Map();
  #streamCount = 0;
  #sweeper: Disposable | undefined;
  #isClosed = false;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_GRPC_LIMITS, ...options.limits };
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  get streamCount(): number {
    return this.#streamCount;
  }

  /** Mounts a streaming method, `/package.Service/Method`. */
  stream(path: string, handler: StreamHandler): void {
    this.#methods.set(path, { stream: handler });
  }

  /** Mounts a unary method, `/package.Service/Method`. */
  unary(path: string, handler: UnaryHandler): void {
    this.#methods.set(path, { unary: handler });
  }

  /** Plain HTTP/2. Port 0 takes a free one. */
  listenTcp(host: string, port: number): Promise<Listening> {
    return this.#listen(createServer(this.#http2Options()), { host, port });
  }

  /** Plain HTTP/2 on a Unix socket; a socket left behind by an earlier process is replaced. Mode 0600 unless told. */
  async listenUnix(path: string, mode = 0o600): Promise<Listening> {
    if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) unlinkSync(path);
    const listening = await this.#listen(createServer(this.#http2Options()), { path });
    chmodSync(path, mode);
    return listening;
  }

  /** HTTP/2 over TLS 1.2 or later, ALPN h2 only. */
  listenTls(host: string, port: number, material: TlsMaterial): Promise<Listening> {
    const server = createSecureServer({
      ...this.#http2Options(),
      ...tlsOptions(material, this.#options.tlsLimits),
      ALPNProtocols: ['h2'],
      allowHTTP1: false,
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: this.#limits.firstStreamMs,
    });
    return this.#listen(server, { host, port });
  }

  /** Stops listening, ends all streams with UNAVAILABLE, and waits until connections are gone or the grace is over. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const closed = [...this.#servers].map((server) => new Promise((resolve) => server.close(resolve)));
    const nowMs = this.#options.clock.nowMs();
    for (const connection of this.#connections.values())
      connection.drain('the server is shutting down', nowMs);
    const timer = this.#options.clock.schedule(this.#limits.graceMs, () => {
      for (const connection of this.#connections.values()) connection.destroy();
    });
    await Promise.all(closed);
    timer[Symbol.dispose]();
    this.#sweeper?.[Symbol.dispose]();
  }

  #http2Options() {
    const { maxStreamsPerConnection, resetBurst, resetsPerSecond, firstStreamMs } = this.#limits;
    return {
      maxSessionMemory: MAX_SESSION_MEMORY_MB,
      streamResetBurst: resetBurst,
      streamResetRate: resetsPerSecond,
      unknownProtocolTimeout: firstStreamMs,
      settings: {
        initialWindowSize: STREAM_WINDOW_BYTES,
        maxConcurrentStreams: maxStreamsPerConnection,
        maxHeaderListSize: MAX_HEADER_BYTES,
        enablePush: false,
      },
    };
  }

  #listen(server: AnyServer, where: { host?: string; port?: number; path?: string }): Promise<Listening> {
    // Beyond the limit a caller is told so on its first stream; far beyond it the socket is closed unheard.
    server.maxConnections = this.#limits.maxConnections * 2;
    server.on('session', (session) => this.#onSession(session));
    server.on('stream', (stream, headers) => this.#onStream(stream, headers));
    server.on('sessionError', (error) => this.#options.log.debug('a connection failed', { error }));
    this.#servers.add(server);
    this.#startSweeping();
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(where, () => {
        server.off('error', reject);
        server.on('error', (error) => this.#options.log.error('the gRPC server failed', { error }));
        const address = server.address();
        resolve({
          port: typeof address === 'object' ? ((address as AddressInfo | null)?.port ?? 0) : 0,
          setTls: (material) => {
            if ('setSecureContext' in server)
              server.setSecureContext(tlsOptions(material, this.#options.tlsLimits));
          },
        });
      });
    });
  }

  #onSession(session: ServerHttp2Session): void {
    const { clock, rng } = this.#options;
    const connection = new GrpcConnection(session, this.#limits, clock.nowMs(), 0.9 + 0.2 * rng.float());
    this.#connections.set(session, connection);
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    session.on('close', () => this.#connections.delete(session));
    session.on('error', (error) => this.#options.log.debug('a connection failed', { error }));
  }

  #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    // Errors of a stream show as its 'close'; without a listener they would end the process.
    stream.on('error', () => {});
    const session = stream.session as ServerHttp2Session | undefined;
    const connection = session === undefined ? undefined : this.#connections.get(session);
    if (connection === undefined) {
      stream.destroy();
      return;
    }
    const refusal = this.#overLimit(connection);
    if (refusal !== undefined) {
      this.#options.metrics.refused(refusal.message);
      refuseCall(stream, refusal);
      if (this.#connections.size > this.#limits.maxConnections) {
        connection.drain('too many connections', this.#options.clock.nowMs());
      }
      return;
    }
    const httpStatus = checkRequest(headers);
    if (httpStatus !== undefined) {
      stream.respond({ ':status': httpStatus }, { endStream: true });
      stream.resume();
      return;
    }
    const method = this.#methods.get(headers[':path'] ?? '');
    if (method === undefined) return refuseCall(stream, grpcStatus(GRPC_UNIMPLEMENTED, 'no such method'));
    this.#count(stream);
    void this.#serve(stream, connection, method, readHeaders(headers));
  }

  #overLimit(connection: GrpcConnection): GrpcStatus | undefined {
    const { maxConnections, maxStreams, maxStreamsPerConnection } = this.#limits;
    if (this.#isClosed || connection.isDraining)
      return grpcStatus(GRPC_UNAVAILABLE, 'the connection is closing');
    if (this.#connections.size > maxConnections)
      return grpcStatus(GRPC_RESOURCE_EXHAUSTED, 'too many connections');
    if (this.#streamCount >= maxStreams || connection.streamCount >= maxStreamsPerConnection) {
      return grpcStatus(GRPC_RESOURCE_EXHAUSTED, 'too many streams');
    }
    return undefined;
  }

  #count(stream: ServerHttp2Stream): void {
    this.#streamCount++;
    stream.once('close', () => {
      this.#streamCount--;
    });
  }

  /** Nothing of the request's body is read before the caller is known. */
  async #serve(
    stream: ServerHttp2Stream,
    connection: GrpcConnection,
    method: Method,
    headers: RequestHeaders,
  ): Promise<void> {
    const { authenticator, clock, log, metrics } = this.#options;
    try {
      const who = await authenticator.authenticate(connection.peer, headers);
      if (!who.ok) {
        metrics.refused('not-authenticated');
        return refuseCall(stream, who.error);
      }
      if (stream.destroyed) return;
      const peer: Peer = { ...who.value, connection: connection.peer };
      const { maxMessageBytes, maxTrustedMessageBytes, maxQueuedBytes, unaryTimeoutMs } = this.#limits;
      const maxBytes = peer.isTrusted ? maxTrustedMessageBytes : maxMessageBytes;
      const call = new ServerStream(stream, maxBytes, maxQueuedBytes);
      connection.add(call, clock.nowMs());
      stream.once('close', () => connection.remove(call, clock.nowMs()));
      if ('unary' in method)
        serveUnary({ stream: call, peer, headers, handler: method.unary }, unaryTimeoutMs, clock, log);
      else method.stream(call, peer);
    } catch (error) {
      metrics.internalError();
      log.error('a call failed', { error });
      refuseCall(stream, grpcStatus(GRPC_INTERNAL, 'internal error'));
    }
  }

  #startSweeping(): void {
    if (this.#sweeper !== undefined) return;
    const { clock, metrics, log } = this.#options;
    const sweep = (): void => {
      for (const connection of this.#connections.values()) {
        const reason = connection.sweep(clock.nowMs());
        if (reason === undefined) continue;
        metrics.refused(reason);
        log.debug('a connection was ended', { reason, address: connection.peer.remoteAddress });
      }
      this.#sweeper = clock.schedule(this.#limits.sweepMs, sweep);
    };
    this.#sweeper = clock.schedule(this.#limits.sweepMs, sweep);
  }
}

function tlsOptions(material: TlsMaterial, limits: TlsLimits = tlsLimits('')) {
  const { certificateChain: cert, privateKey: key, clientCas } = material;
  return { ...limits, cert, key, ca: [...clientCas] };
}

/** The HTTP status for what is no gRPC request. Source: grpc PROTOCOL-HTTP2.md. */
function checkRequest(headers: IncomingHttpHeaders): number | undefined {
  if (headers[':method'] !== 'POST') return 405;
  return /^application\/grpc(\+proto)?(;|$)/.test(headers['content-type'] ?? '') ? undefined : 415;
}

function readHeaders(headers: IncomingHttpHeaders): RequestHeaders {
  const read = new Map<string, string>();
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(':') || value === undefined) continue;
    read.set(name, Array.isArray(value) ? value.join(',') : value);
  }
  return read;
}
