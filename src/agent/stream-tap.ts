/**
 * What the agent itself says and takes on Envoy's configuration stream: a request of its own between Envoy's, and the
 * answers to it out of the control plane's. All else passes in order and unread but for the few bytes that name its type.
 */
import { Transform, type TransformCallback } from 'node:stream';
import { grpcFrame } from '#base/grpc-frame.ts';
import { FrameCounter } from './frame-counter.ts';
import { FrameFilter } from './frame-filter.ts';

/** One stream; what there is stands between where it is piped from and to. */
export interface StreamTap {
  readonly requests: Transform;
  readonly responses?: Transform;
}

/** Passes requests on, and puts messages of its own between them. */
export class RequestInjector extends Transform {
  readonly #frames = new FrameCounter();
  #waiting: Buffer[] = [];
  #begun = 0;

  /** Sends a message as soon as the client's first one has passed, which says who it is, and none is half way. */
  inject(message: Uint8Array): void {
    this.#waiting.push(grpcFrame(message));
    this.#flush();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#begun += this.#frames.push(chunk);
    this.push(chunk);
    this.#flush();
    done();
  }

  #flush(): void {
    if (this.#begun === 0 || !this.#frames.isBetween || this.writableEnded || this.destroyed) return;
    for (const frame of this.#waiting) this.push(frame);
    this.#waiting = [];
  }
}

/** Passes responses on, but for those of one type. */
export class ResponseTap extends FrameFilter {
  readonly #take: (message: Uint8Array) => void;

  constructor(typeUrl: string, take: (message: Uint8Array) => void) {
    super(typeUrl);
    this.#take = take;
  }

  protected override takeMessage(message: Buffer): void {
    this.#take(message);
  }
}
