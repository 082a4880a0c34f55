/**
 * Tokens that somebody else knows how to check, Kubernetes' API server by TokenReview: each is asked about once, the answer
 * holds for seconds and never beyond the token's own end, and what is not answered is refused. Bounded: so many answers are
 * kept, so many questions are under way. Tokens are kept as their SHA-256 only.
 * Source: istio security/pkg/k8s/tokenreview/k8sauthn.go; the audiences of the answer are looked at too, as Kubernetes asks of clients.
 */
import type { Clock } from '#base/clock.ts';
import { sha256Hex } from '#base/hash.ts';
import { Lru } from '#base/lru.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { CallerPod, TokenClaims, TokenVerifier } from './caller.ts';
import type { WorkloadFacts } from './workload-facts.ts';

/** What the reviewer says of a token that it accepts. */
export interface TokenReview {
  readonly username: string;
  readonly groups: readonly string[];
  readonly audiences: readonly string[];
  readonly extra: ReadonlyMap<string, readonly string[]>;
}

export interface ReviewedTokensOptions {
  /** A token has to be for one of them. */
  readonly audiences: readonly string[];
  /** Undefined for what is not accepted. Errors: rejects when there is no answer. */
  readonly review: (token: string, audiences: readonly string[]) => Promise<TokenReview | undefined>;
  /** What the mesh knows of the caller's pod. */
  readonly factsOf: (namespace: string, serviceAccount: string, pod: CallerPod) => WorkloadFacts;
  readonly clock: Clock;
}

interface Held {
  readonly claims: Result<Reviewed, string>;
  /** By the monotonic clock. */
  readonly untilMs: number;
}

type Reviewed = Omit<TokenClaims, 'facts'>;

const MAX_TOKEN_LENGTH = 16 * 1024;
/** As long as the API server itself takes a token's word without looking again. */
const HOLD_MS = 10_000;
const MAX_HELD = 5_000;
const MAX_PENDING = 500;
const ACCOUNTS_GROUP = 'system:serviceaccounts';
const USER = /^system:serviceaccount:([^:]+):([^:]+)$/;
const POD_NAME = 'authentication.kubernetes.io/pod-name';
const POD_UID = 'authentication.kubernetes.io/pod-uid';

/** Verifies by asking. */
export class ReviewedTokens implements TokenVerifier {
  readonly #options: ReviewedTokensOptions;
  readonly #held = new Lru<string, Held>(MAX_HELD);
  readonly #pending = new Map<string, Promise<Result<Reviewed, string>>>();

  constructor(options: ReviewedTokensOptions) {
    this.#options = options;
  }

  async verifyToken(token: string): Promise<Result<TokenClaims, string>> {
    if (token.length > MAX_TOKEN_LENGTH) return fail('the token is too long');
    const reviewed = await this.#lookUp(token);
    if (!reviewed.ok) return reviewed;
    const { namespace, serviceAccount, pod } = reviewed.value;
    const facts = pod === undefined ? {} : this.#options.factsOf(namespace, serviceAccount, pod);
    return ok({ ...reviewed.value, facts });
  }

  #lookUp(token: string): Promise<Result<Reviewed, string>> {
    const key = sha256Hex(token);
    const held = this.#held.get(key);
    if (held !== undefined && this.#options.clock.monotonicMs() < held.untilMs) {
      return Promise.resolve(held.claims);
    }
    const pending = this.#pending.get(key);
    if (pending !== undefined) return pending;
    if (this.#pending.size >= MAX_PENDING) return Promise.resolve(fail('too many tokens are being reviewed'));
    const asked = this.#ask(key, token).finally(() => this.#pending.delete(key));
    this.#pending.set(key, asked);
    return asked;
  }

  async #ask(key: string, token: string): Promise<Result<Reviewed, string>> {
    const { review, audiences, clock } = this.#options;
    // The token is good at the time of the question: the answer's way back does not count.
    const nowMs = clock.monotonicMs();
    const restMs = endOf(token) - clock.nowMs();
    try {
      const claims = readReview(await review(token, audiences), audiences);
      this.#held.set(key, { claims, untilMs: nowMs + Math.min(HOLD_MS, restMs) });
      return claims;
    } catch (error) {
      return fail(`the token cannot be reviewed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

function readReview(review: TokenReview | undefined, audiences: readonly string[]): Result<Reviewed, string> {
  if (review === undefined) return fail('the token is not accepted by the API server');
  if (!review.audiences.some((audience) => audiences.includes(audience))) {
    return fail('the token is for another audience');
  }
  const [, namespace, serviceAccount] = USER.exec(review.username) ?? [];
  if (!review.groups.includes(ACCOUNTS_GROUP) || namespace === undefined || serviceAccount === undefined) {
    return fail('the token is of no service account');
  }
  const [name = ''] = review.extra.get(POD_NAME) ?? [];
  const [uid = ''] = review.extra.get(POD_UID) ?? [];
  return ok({ namespace, serviceAccount, ...(name === '' ? {} : { pod: { name, uid } }) });
}

/** When a token ends by its own word, in Unix milliseconds; used to forget earlier, never to believe. */
function endOf(token: string): number {
  try {
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8');
    const { exp } = JSON.parse(payload) as { readonly exp?: unknown };
    return typeof exp === 'number' ? exp * 1000 : Infinity;
  } catch {
    return Infinity;
  }
}
