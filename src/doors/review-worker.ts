/**
 * The thread in which admission reviews are answered, so that no object that an API server sends holds up a push. Started by
 * review-thread.ts; takes {id, body}, gives {id, answer}.
 */
import { parentPort } from 'node:worker_threads';
import { answerReview, type ReviewAnswer } from './admission-review.ts';

/** What the thread is asked. */
export interface ReviewQuestion {
  readonly id: number;
  readonly body: string;
}

/** What the thread answers. */
export interface ReviewReply {
  readonly id: number;
  readonly answer: ReviewAnswer;
}

parentPort?.on('message', ({ id, body }: ReviewQuestion) => {
  parentPort?.postMessage({ id, answer: answerReview(body) } satisfies ReviewReply);
});
