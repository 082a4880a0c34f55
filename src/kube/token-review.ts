/** Asks the API server whose token something is (TokenReview); changes nothing. The token stands in the request's body only. */
import type { KubeClient } from './kube-client.ts';

const REVIEWS = '/apis/authentication.k8s.io/v1/tokenreviews';

/** What the server says of a token that it accepts. */
export interface ReviewedToken {
  readonly username: string;
  readonly groups: readonly string[];
  /** Those of the audiences asked about for which the token is good; empty where the server does not look at audiences. */
  readonly audiences: readonly string[];
  /** What the server knows besides, such as the pod that a token is bound to. */
  readonly extra: ReadonlyMap<string, readonly string[]>;
}

/** Gives undefined when the server does not accept the token. Errors: rejects when it does not answer, or not with a review. */
export async function reviewToken(
  client: Pick<KubeClient, 'postJson'>,
  token: string,
  audiences: readonly string[],
): Promise<ReviewedToken | undefined> {
  const value = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    spec: { token, audiences },
  };
  const answer = record(await client.postJson({ path: REVIEWS, value }));
  const status = record(answer['status']);
  // A refusal may leave the field out.
  if (answer['status'] === undefined) throw new Error('the API server gave no review');
  if (status['authenticated'] !== true) return undefined;
  const user = record(status['user']);
  return {
    username: typeof user['username'] === 'string' ? user['username'] : '',
    groups: texts(user['groups']),
    audiences: texts(status['audiences']),
    extra: new Map(Object.entries(record(user['extra'])).map(([name, values]) => [name, texts(values)])),
  };
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
