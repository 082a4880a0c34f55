/**
 * An XdsStream without a network: what the server sends lies in `sent`, what the client says is handed in by `receive`.
 * Counts unanswered responses per type, which is an invariant of every suite.
 */
import assert from 'node:assert/strict';
import type { GrpcStatus } from '#base/grpc-frame.ts';
import type { XdsStream, XdsStreamEvents } from '#ads/xds-stream.ts';

export class MemoryStream implements XdsStream {
  readonly sent: Uint8Array[] = [];
  sentBytes = 0;
  sentCount = 0;
  queuedBytes = 0;
  status: GrpcStatus | undefined;
  isPaused = false;
  #events: XdsStreamEvents | undefined;
  #isEnded = false;

  start(events: XdsStreamEvents): void {
    this.#events = events;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  send(chunks: readonly Uint8Array[]): void {
    assert.equal(this.status, undefined, 'nothing is sent on a closed stream');
    const message = Buffer.concat(chunks);
    this.sent.push(message);
    this.sentBytes += message.length;
    this.sentCount++;
  }

  close(status: GrpcStatus): void {
    this.status ??= status;
    this.#end();
  }

  /** The client's messages, as they arrive together. */
  receive(...messages: Uint8Array[]): void {
    if (!this.#isEnded) this.#events?.onMessages(messages);
  }

  /** The connection breaks. */
  break(): void {
    this.#end();
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#events?.onEnd();
  }
}
