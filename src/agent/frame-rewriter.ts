/**
 * Lets a stream of responses pass, but for those of one type, which somebody may rewrite and take their time for: others go on
 * meanwhile, and rewritten ones come in their own order, each at a boundary of messages. A message that is not of the type
 * passes unread but for the few bytes that name it.
 */
import { Transform, type TransformCallback } from 'node:stream';
import { GRPC_HEADER_BYTES, grpcFrame } from '#base/grpc-frame.ts';
import { peekTypeUrl } from './peek-type.ts';

/** Enough of a message to know its type: whatever stands before it is short. */
const PEEK_BYTES = 2_048;
/** As much as the control plane may send at once. */
const MAX_TAKEN_BYTES = 64 << 20;

/** Resolves to the message in its new form, and never rejects. */
export type RewriteMessage = (message: Buffer) => Promise<Uint8Array>;

export class FrameRewriter extends Transform {
  readonly #typeUrl: string;
  readonly #rewrite: RewriteMessage;
  /** The frame under way, as long as it is not known to be somebody else's. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** How much to hold before the next decision. */
  #wantedBytes = GRPC_HEADER_BYTES;
  #isTaken = false;
  /** What is left of a frame that passes. */
  #passing = 0;
  /** The rewriting of all frames taken so far. */
  #last: Promise<void> = Promise.resolve();
  #rewritten: Buffer[] = [];

  constructor(typeUrl: string, rewrite: RewriteMessage) {
    super();
    this.#typeUrl = typeUrl;
    this.#rewrite = rewrite;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      let at = 0;
      while (at < chunk.length) at += this.#step(chunk.subarray(at));
      this.#pushRewritten();
      done();
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  }

  override _flush(done: TransformCallback): void {
    this.#release();
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
    if (this.#heldBytes === GRPC_HEADER_BYTES && frameBytes > GRPC_HEADER_BYTES) {
      this.#wantedBytes = Math.min(frameBytes, GRPC_HEADER_BYTES + PEEK_BYTES);
      return;
    }
    if (!this.#isTaken && peekTypeUrl(frame.subarray(GRPC_HEADER_BYTES)) !== this.#typeUrl) {
      this.#passing = frameBytes - this.#heldBytes;
      this.#release();
      return;
    }
    if (frameBytes > MAX_TAKEN_BYTES) throw new Error(`a response of ${frameBytes} bytes is too large`);
    this.#isTaken = true;
    this.#wantedBytes = frameBytes;
    if (this.#heldBytes < frameBytes) return;
    this.#forget();
    this.#take(frame.subarray(GRPC_HEADER_BYTES));
  }

  #take(message: Buffer): void {
    this.#last = this.#last
      .then(() => this.#rewrite(message))
      .then((rewritten) => {
        this.#rewritten.push(grpcFrame(rewritten));
        this.#pushRewritten();
      });
  }

  /** Not within a message that is passing, nor while its beginning is held: order among other types must not change. */
  #pushRewritten(): void {
    if (this.#passing > 0 || this.destroyed || this.writableEnded) return;
    for (const frame of this.#rewritten) this.push(frame);
    this.#rewritten = [];
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
