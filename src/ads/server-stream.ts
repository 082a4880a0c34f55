/**
 * One gRPC call on an HTTP/2 stream of node:http2: framing in and out, status as trailers, and the books on what the client
 * has taken. Chunks go to the kernel as they are, without a copy.
 */
import type { ServerHttp2Stream } from 'node:http2';
import {
  encodeGrpcMessage,
  GRPC_CANCELLED,
  GRPC_RESOURCE_EXHAUSTED,
  GrpcFrameError,
  GrpcFrameReader,
  type GrpcStatus,
  grpcHeader,
  grpcStatus,
} from '#base/grpc-frame.ts';
import type { XdsStream, XdsStreamEvents } from './xds-stream.ts';

/** First chunks up to this size are written in one piece with the frame header. */
const JOIN_UP_TO_BYTES = 4_096;

/** Answers a call without a message: status in the headers ("Trailers-Only"). */
export function refuseCall(stream: ServerHttp2Stream, status: GrpcStatus): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': String(status.code),
      'grpc-message': encodeGrpcMessage(status.message),
    },
    { endStream: true },
  );
  // The request may still be arriving; nobody reads it. (A reset right here would overtake the answer.)
  stream.resume();
}

export class ServerStream implements XdsStream {
  readonly #stream: ServerHttp2Stream;
  readonly #reader: GrpcFrameReader;
  readonly #maxQueuedBytes: number;
  #events: XdsStreamEvents | undefined;
  #status: GrpcStatus | undefined;
  #isEnded = false;

  constructor(stream: ServerHttp2Stream, maxMessageBytes: number, maxQueuedBytes: number) {
    this.#stream = stream;
    this.#reader = new GrpcFrameReader(maxMessageBytes);
    this.#maxQueuedBytes = maxQueuedBytes;
  }

  get queuedBytes(): number {
    return this.#stream.writableLength;
  }

  /** True when the server has had its last word. */
  get isClosed(): boolean {
    return this.#status !== undefined;
  }

  start(events: XdsStreamEvents): void {
    this.#events = events;
    const stream = this.#stream;
    stream.on('wantTrailers', () => this.#sendTrailers());
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    stream.on('end', () => this.#events?.onHalfClose());
    stream.on('aborted', () => this.#end());
    stream.on('close', () => this.#end());
    if (stream.destroyed) return this.#end();
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  send(chunks: readonly Uint8Array[]): void {
    if (this.#status !== undefined || this.#stream.destroyed) return;
    const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const stream = this.#stream;
    // Uncorked with the turn, so that messages sent in one turn go out together.
    stream.cork();
    process.nextTick(() => stream.uncork());
    const [first = new Uint8Array(0), ...rest] = chunks;
    if (first.length <= JOIN_UP_TO_BYTES) {
      stream.write(Buffer.concat([grpcHeader(length), first]));
    } else {
      stream.write(grpcHeader(length));
      stream.write(first);
    }
    for (const chunk of rest) stream.write(chunk);
    if (stream.writableLength > this.#maxQueuedBytes) {
      this.cut(grpcStatus(GRPC_RESOURCE_EXHAUSTED, 'the client is too slow'));
    }
  }

  close(status: GrpcStatus): void {
    if (this.#status !== undefined) return;
    this.#status = status;
    if (!this.#stream.destroyed) this.#stream.end();
    this.#end();
  }

  /** Ends at once, without waiting for what is queued; for clients that don't take it. */
  cut(status: GrpcStatus): void {
    this.#status ??= status;
    this.#stream.destroy();
    this.#end();
  }

  #onData(chunk: Buffer): void {
    if (this.#status !== undefined) return;
    let messages: readonly Uint8Array[];
    try {
      messages = this.#reader.push(chunk);
    } catch (error) {
      if (!(error instanceof GrpcFrameError)) throw error;
      return this.close(error.status);
    }
    if (messages.length > 0) this.#events?.onMessages(messages);
  }

  #sendTrailers(): void {
    const { code, message } = this.#status ?? grpcStatus(GRPC_CANCELLED);
    this.#stream.sendTrailers({ 'grpc-status': String(code), 'grpc-message': encodeGrpcMessage(message) });
    // The client ends its side when it has read this; what it still sends is of no interest. A reset right here would
    // overtake the trailers, so a client that does not end is left to the connection's sweep.
    this.#stream.resume();
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#events?.onEnd();
  }
}
