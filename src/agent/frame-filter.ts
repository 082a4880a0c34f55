/**
 * A stage for a stream of messages that takes those of one type out of it. All others pass in order, unread but for the few bytes
 * that name their type; of a message that passes nothing is kept.
 */
import { Transform, type TransformCallback } from 'node:stream';
import { GRPC_HEADER_BYTES } from '#base/grpc-frame.ts';
import { peekTypeUrl } from './peek-type.ts';

/** Enough of a message to know its type: whatever stands before it is short. */
const PEEK_BYTES = 2_048;
/** As much as the control plane may send at once. */
const MAX_TAKEN_BYTES = 64 << 20;

export abstract class FrameFilter extends Transform {
  readonly #typeUrl: string;
  /** The frame under way, as long as it is not known to be somebody else's. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** How much to hold before the next decision. */
  #wantedBytes = GRPC_HEADER_BYTES;
  #isTaken = false;
  /** What is left of a frame that passes. */
  #passing = 0;

  constructor(typeUrl: string) {
    super();
    this.#typeUrl = typeUrl;
  }

  /** Gets each message of the type. */
  protected abstract takeMessage(message: Buffer): void;

  /** Nothing of a message has passed that is not whole. */
  protected get isBetween(): boolean {
    return this.#passing === 0;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      let at = 0;
      while (at < chunk.length) at += this.#step(chunk.subarray(at));
      done();
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  }

  override _flush(done: TransformCallback): void {
    if (!this.#isTaken) this.#release();
    done();
  }

  /** Looks at what comes next; how much of it is dealt with. */
  #step(chunk: Buffer): number {
    if (this.#passing > 0) {
      const part = chunk.subarray(0, this.#passing);
      this.#passing -= part.length;
      this.push(part);
      return part.length;
    }
    const part = chunk.subarray(0, this.#wantedBytes - this.#heldBytes);
    this.#held.push(part);
    this.#heldBytes += part.length;
    if (this.#heldBytes === this.#wantedBytes) this.#decide();
    return part.length;
  }

  /** The header, then the beginning, then all of it if it is ours: each time what was wanted is there. */
  #decide(): void {
    const frame = this.#joined();
    const frameBytes = GRPC_HEADER_BYTES + frame.readUInt32BE(1);
    const isPeeked = this.#heldBytes > GRPC_HEADER_BYTES || frameBytes === GRPC_HEADER_BYTES;
    if (!isPeeked) {
      this.#wantedBytes = Math.min(frameBytes, GRPC_HEADER_BYTES + PEEK_BYTES);
      return;
    }
    if (!this.#isTaken && peekTypeUrl(frame.subarray(GRPC_HEADER_BYTES)) !== this.#typeUrl) {
      this.#passing = frameBytes - this.#heldBytes;
      return this.#release();
    }
    if (frameBytes > MAX_TAKEN_BYTES) throw new Error(`a response of ${frameBytes} bytes is too large`);
    this.#isTaken = true;
    this.#wantedBytes = frameBytes;
    if (this.#heldBytes < frameBytes) return;
    this.#forget();
    this.takeMessage(frame.subarray(GRPC_HEADER_BYTES));
  }

  #release(): void {
    for (const part of this.#held) this.push(part);
    this.#forget();
  }

  #forget(): void {
    this.#held = [];
    this.#heldBytes = 0;
    this.#isTaken = false;
    this.#wantedBytes = GRPC_HEADER_BYTES;
  }

  #joined(): Buffer {
    if (this.#held.length > 1) this.#held = [Buffer.concat(this.#held)];
    return this.#held[0] ?? Buffer.alloc(0);
  }
}
