/**
 * Runs review-worker.ts and bounds what it may take: so many reviews at a time, so much memory, so much time. A thread that is
 * over its time or breaks is ended, its reviews go unanswered, and the next review starts another. It is started by the first
 * review, since most control planes never see one.
 */
import { Worker } from 'node:worker_threads';
import type { Logger } from '#base/logger.ts';
import type { ReviewAnswer } from './admission-review.ts';
import type { ReviewQuestion, ReviewReply } from './review-worker.ts';

/** Reviews that may wait at a time; an API server asks for few at once. */
const MAX_WAITING = 64;
/** API servers wait 10 s by default. The first review waits until the thread has loaded the kinds. */
const LIMIT_MS = 8_000;
const MEMORY = { maxOldGenerationSizeMb: 512 };

interface Waiting {
  readonly answered: (answer: ReviewAnswer | undefined) => void;
  readonly limit: NodeJS.Timeout;
}

export class ReviewThread implements AsyncDisposable {
  readonly #log: Logger;
  readonly #limitMs: number;
  readonly #waiting: Map<number, Waiting> = new Map();
  #worker: Worker | undefined;
  #lastId = 0;

  constructor(log: Logger, limitMs: number = LIMIT_MS) {
    this.#log = log;
    this.#limitMs = limitMs;
  }

  /** The answer to a review; undefined when there are too many, or none came in time. */
  answer(body: string): Promise<ReviewAnswer | undefined> {
    if (this.#waiting.size >= MAX_WAITING) return Promise.resolve(undefined);
    this.#worker ??= this.#start();
    const id = ++this.#lastId;
    this.#worker.postMessage({ id, body } satisfies ReviewQuestion);
    return new Promise((resolve) => {
      const limit = setTimeout(() => this.#end('a review took too long'), this.#limitMs);
      this.#waiting.set(id, { answered: resolve, limit });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const worker = this.#worker;
    this.#end();
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(new URL('./review-worker.ts', import.meta.url), { resourceLimits: MEMORY });
    worker.on('message', ({ id, answer }: ReviewReply) => this.#reply(id, answer));
    worker.on('error', (error) => {
      if (this.#worker === worker) this.#end(error instanceof Error ? error.message : String(error));
    });
    worker.unref();
    return worker;
  }

  #reply(id: number, answer: ReviewAnswer | undefined): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    clearTimeout(waiting?.limit);
    waiting?.answered(answer);
  }

  #end(problem?: string): void {
    if (problem !== undefined) this.#log.error('the thread of admission reviews was ended', { problem });
    void this.#worker?.terminate();
    this.#worker = undefined;
    for (const id of this.#waiting.keys()) this.#reply(id, undefined);
  }
}
