/**
 * One discovery stream as the state machines see it: whole messages in, chunks out. server-stream.ts implements it over
 * HTTP/2, the tests in memory.
 */
import type { GrpcStatus } from '#base/grpc-frame.ts';

/** What a stream tells its user. Messages that arrive together are handed over together. */
export interface XdsStreamEvents {
  onMessages(messages: readonly Uint8Array[]): void;
  /** The client has said its last word and may still listen. */
  onHalfClose(): void;
  /** Called once, also after `close`. */
  onEnd(): void;
}

export interface XdsStream {
  /** Bytes handed to `send` that the client has not taken yet. */
  readonly queuedBytes: number;
  /** Begins to read. Nothing is read, and the client is slowed down, before. */
  start(events: XdsStreamEvents): void;
  /** Stops reading after the messages at hand; the client is slowed down. */
  pause(): void;
  resume(): void;
  /** Sends one message whose bytes are the chunks in turn; they must not change afterwards. */
  send(chunks: readonly Uint8Array[]): void;
  /** Ends the stream; nothing is sent afterwards. */
  close(status: GrpcStatus): void;
}
