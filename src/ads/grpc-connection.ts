/**
 * One HTTP/2 connection of the gRPC server: its peer, its streams, and how long it may live. `sweep` is called every few
 * seconds and does all that depends on time, so that a connection costs no timers of its own.
 */
import { type Http2Session, constants } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { GRPC_RESOURCE_EXHAUSTED, GRPC_UNAVAILABLE, grpcStatus } from '#base/grpc-frame.ts';
import type { GrpcLimits } from './grpc-limits.ts';
import type { PeerCertificates, PeerConnection } from './peer.ts';
import type { ServerStream } from './server-stream.ts';

interface OpenStream {
  /** What the connection had written when the stream was last seen to move, and when that was. */
  writtenBytes: number;
  progressAtMs: number;
}

/** Less than this, in the time that a client has, is no progress. */
const MIN_PROGRESS_BYTES = 4_096;

export class GrpcConnection {
  readonly #session: Http2Session;
  readonly #limits: GrpcLimits;
  readonly #startedAtMs: number;
  readonly #maxAgeMs: number;
  readonly #streams: Map<ServerStream, OpenStream> = new Map();
  readonly peer: PeerConnection;
  #emptySinceMs: number;
  #hadStream = false;
  #pingAtMs: number;
  #isPinging = false;
  #drainAtMs = 0;

  /** `ageFactor` spreads the connections' ends, about 1. */
  constructor(session: Http2Session, limits: GrpcLimits, nowMs: number, ageFactor: number) {
    this.#session = session;
    this.#limits = limits;
    this.#startedAtMs = nowMs;
    this.#emptySinceMs = nowMs;
    this.#pingAtMs = nowMs;
    this.#maxAgeMs = limits.maxAgeMs * ageFactor;
    // Now and not when first asked: where OpenSSL could not verify the client, its error lies in wait for the next read and
    // would end the connection (Node 26), unless a call like this takes it away.
    this.peer = describePeer(session);
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  get isDraining(): boolean {
    return this.#drainAtMs > 0;
  }

  add(stream: ServerStream, nowMs: number): void {
    this.#hadStream = true;
    this.#streams.set(stream, { writtenBytes: this.#session.socket?.bytesWritten ?? 0, progressAtMs: nowMs });
  }

  remove(stream: ServerStream, nowMs: number): void {
    this.#streams.delete(stream);
    if (this.#streams.size === 0) this.#emptySinceMs = nowMs;
  }

  /** Does what is due. Returns why it ended the connection or a stream, for the books. */
  sweep(nowMs: number): string | undefined {
    if (this.#session.destroyed) return undefined;
    if (this.isDraining) {
      if (nowMs - this.#drainAtMs >= this.#limits.graceMs) this.#session.destroy();
      return undefined;
    }
    if (this.#streams.size === 0) {
      const limitMs = this.#hadStream ? this.#limits.idleMs : this.#limits.firstStreamMs;
      if (nowMs - this.#emptySinceMs >= limitMs) {
        this.#session.destroy();
        return this.#hadStream ? 'idle' : 'no-stream';
      }
    }
    if (nowMs - this.#startedAtMs >= this.#maxAgeMs) {
      this.drain('maximum connection age', nowMs);
      return 'max-age';
    }
    return this.#ping(nowMs) ?? this.#cutStalled(nowMs);
  }

  /** Tells the client to go elsewhere and ends its streams in order. */
  drain(reason: string, nowMs: number): void {
    if (this.isDraining || this.#session.destroyed) return;
    this.#drainAtMs = Math.max(1, nowMs);
    this.#session.goaway(constants.NGHTTP2_NO_ERROR);
    for (const stream of this.#streams.keys()) stream.close(grpcStatus(GRPC_UNAVAILABLE, reason));
    this.#session.close();
  }

  destroy(): void {
    this.#session.destroy();
  }

  #ping(nowMs: number): string | undefined {
    const sinceMs = nowMs - this.#pingAtMs;
    if (this.#isPinging) {
      if (sinceMs < this.#limits.pingTimeoutMs) return undefined;
      this.#session.destroy();
      return 'ping-timeout';
    }
    if (sinceMs < this.#limits.pingIntervalMs) return undefined;
    this.#pingAtMs = nowMs;
    this.#isPinging = this.#session.ping(() => {
      this.#isPinging = false;
    });
    return undefined;
  }

  /**
   * Node tells a stream's progress only when all that was written in one turn is gone, so what counts is the connection's:
   * more than pings must have left it.
   */
  #cutStalled(nowMs: number): string | undefined {
    const writtenBytes = this.#session.socket?.bytesWritten ?? 0;
    let reason: string | undefined;
    for (const [stream, seen] of this.#streams) {
      const limitMs = stream.isClosed ? this.#limits.graceMs : this.#limits.stalledWriteMs;
      const isIdle = stream.queuedBytes === 0 && !stream.isClosed;
      if (isIdle || writtenBytes - seen.writtenBytes >= MIN_PROGRESS_BYTES) {
        seen.writtenBytes = writtenBytes;
        seen.progressAtMs = nowMs;
      } else if (nowMs - seen.progressAtMs >= limitMs) {
        stream.cut(grpcStatus(GRPC_RESOURCE_EXHAUSTED, 'the client takes nothing'));
        reason = 'stalled-write';
      }
    }
    return reason;
  }
}

function describePeer(session: Http2Session): PeerConnection {
  const { socket } = session;
  if (socket === undefined) return { transport: 'tcp', remoteAddress: '', tls: undefined };
  const remoteAddress =
    socket.remoteAddress === undefined ? '' : `${socket.remoteAddress}:${socket.remotePort}`;
  if (session.encrypted) {
    return { transport: 'tls', remoteAddress, tls: readCertificates(socket as TLSSocket) };
  }
  return { transport: remoteAddress === '' ? 'unix' : 'tcp', remoteAddress, tls: undefined };
}

/** Only the leaf: its issuers, as Node gives them, are what the server's own store holds, not what the client sent. */
function readCertificates(socket: TLSSocket): PeerCertificates {
  const leaf = socket.getPeerX509Certificate();
  return { chain: leaf === undefined ? [] : [leaf.raw], isVerified: socket.authorized };
}
