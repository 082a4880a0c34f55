/**
 * Lets a stream of responses pass, but for those of one type, which somebody may rewrite and take their time for: others go on
 * meanwhile, and rewritten ones come in their own order, each at a boundary of messages.
 */
import type { TransformCallback } from 'node:stream';
import { grpcFrame } from '#base/grpc-frame.ts';
import { FrameFilter } from './frame-filter.ts';

/** Resolves to the message in its new form, and never rejects. */
export type RewriteMessage = (message: Buffer) => Promise<Uint8Array>;

export class FrameRewriter extends FrameFilter {
  readonly #rewrite: RewriteMessage;
  /** The rewriting of all messages taken so far. */
  #last: Promise<void> = Promise.resolve();
  #rewritten: Buffer[] = [];

  constructor(typeUrl: string, rewrite: RewriteMessage) {
    super(typeUrl);
    this.#rewrite = rewrite;
  }

  override _transform(chunk: Buffer, encoding: BufferEncoding, done: TransformCallback): void {
    super._transform(chunk, encoding, (error) => {
      this.#pushRewritten();
      done(error);
    });
  }

  protected override takeMessage(message: Buffer): void {
    this.#last = this.#last
      .then(() => this.#rewrite(message))
      .then((rewritten) => {
        this.#rewritten.push(grpcFrame(rewritten));
        this.#pushRewritten();
      });
  }

  #pushRewritten(): void {
    if (!this.isBetween || this.destroyed || this.writableEnded) return;
    for (const frame of this.#rewritten) this.push(frame);
    this.#rewritten = [];
  }
}
