/** Tokens that are reviewed elsewhere: what is believed of an answer, for how long, and what happens without one. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { ReviewedTokens, type TokenReview } from './reviewed-tokens.ts';

const START_MS = Date.UTC(2026, 0, 1, 12);
const GOOD: TokenReview = {
  username: 'system:serviceaccount:shop:cart',
  groups: ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated'],
  audiences: ['istio-ca'],
  extra: new Map([
    ['authentication.kubernetes.io/pod-name', ['cart-1']],
    ['authentication.kubernetes.io/pod-uid', ['u1']],
  ]),
};
const CLAIMS = {
  namespace: 'shop',
  serviceAccount: 'cart',
  pod: { name: 'cart-1', uid: 'u1' },
  facts: { workload: 'shop/cart/cart-1' },
};

/** A reviewer with answers that a test may exchange, and how often it was asked. */
function rig(answer: () => Promise<TokenReview | undefined>): {
  readonly tokens: ReviewedTokens;
  readonly clock: TestClock;
  readonly asked: string[];
} {
  const clock = new TestClock(START_MS);
  const asked: string[] = [];
  const tokens = new ReviewedTokens({
    audiences: ['istio-ca', 'other-ca'],
    review: (token, audiences) => {
      asked.push(`${token} for ${audiences.join()}`);
      return answer();
    },
    factsOf: (namespace, serviceAccount, { name }) => ({
      workload: `${namespace}/${serviceAccount}/${name}`,
    }),
    clock,
  });
  return { tokens, clock, asked };
}

function jwt(payload: unknown): string {
  return `h.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.s`;
}

test('a reviewed token says service account and pod, with what the mesh knows of the pod', async () => {
  const { tokens, asked } = rig(async () => GOOD);
  deepStrictEqual(await tokens.verifyToken('t'), { ok: true, value: CLAIMS });
  deepStrictEqual(asked, ['t for istio-ca,other-ca']);
});

test('a token that is bound to no pod has no facts', async () => {
  const { tokens } = rig(async () => ({ ...GOOD, extra: new Map() }));
  const value = { namespace: 'shop', serviceAccount: 'cart', facts: {} };
  deepStrictEqual(await tokens.verifyToken('t'), { ok: true, value });
});

const REFUSED: readonly (readonly [string, TokenReview | undefined, string])[] = [
  ['that is not accepted', undefined, 'the token is not accepted by the API server'],
  ['for another audience', { ...GOOD, audiences: ['vault'] }, 'the token is for another audience'],
  [
    'that was reviewed without a look at audiences',
    { ...GOOD, audiences: [] },
    'the token is for another audience',
  ],
  ['of a user', { ...GOOD, username: 'alice' }, 'the token is of no service account'],
  [
    'of a user who is called like a service account',
    { ...GOOD, groups: ['system:authenticated'] },
    'the token is of no service account',
  ],
  [
    'with more parts in its name',
    { ...GOOD, username: 'system:serviceaccount:shop:cart:admin' },
    'the token is of no service account',
  ],
];

for (const [what, review, error] of REFUSED) {
  test(`a token ${what} is refused`, async () => {
    const { tokens } = rig(async () => review);
    deepStrictEqual(await tokens.verifyToken('t'), { ok: false, error });
  });
}

test('an answer holds for ten seconds, and not beyond the end of the token', async () => {
  const { tokens, clock, asked } = rig(async () => GOOD);
  const long = jwt({ exp: START_MS / 1000 + 3600 });
  const short = jwt({ exp: START_MS / 1000 + 4 });
  const counts: number[] = [];
  for (const ms of [0, 3_900, 200, 5_800, 200]) {
    clock.advance(ms);
    await Promise.all([tokens.verifyToken(long), tokens.verifyToken(short), tokens.verifyToken(long)]);
    counts.push(asked.length);
  }
  // The short one is asked about at each look from its end on.
  deepStrictEqual(counts, [2, 2, 3, 4, 6]);
});

test('a refusal holds as long: a caller that tries for ever costs one question in ten seconds', async () => {
  const { tokens, clock, asked } = rig(async () => undefined);
  for (let i = 0; i < 20; i++) {
    await tokens.verifyToken('t');
    clock.advance(1_000);
  }
  strictEqual(asked.length, 2);
});

test('without an answer the token is refused, and asked about again', async () => {
  let isAway = true;
  const { tokens } = rig(async () => {
    if (isAway) throw new Error('connection refused');
    return GOOD;
  });
  deepStrictEqual(await tokens.verifyToken('t'), {
    ok: false,
    error: 'the token cannot be reviewed: connection refused',
  });
  isAway = false;
  deepStrictEqual(await tokens.verifyToken('t'), { ok: true, value: CLAIMS });
});

test('T26: a flood of tokens has so many questions under way and no more', async () => {
  const { promise, resolve } = Promise.withResolvers<TokenReview | undefined>();
  const { tokens, asked } = rig(() => promise);
  const answers = Array.from({ length: 2_000 }, (_, i) => tokens.verifyToken(`t${i}`));
  resolve(undefined);
  const errors = (await Promise.all(answers)).map((answer) => (answer.ok ? '' : answer.error));
  deepStrictEqual(
    [asked.length, errors.filter((error) => error === 'too many tokens are being reviewed').length],
    [500, 1_500],
  );
  deepStrictEqual(await tokens.verifyToken('x'.repeat(20_000)), {
    ok: false,
    error: 'the token is too long',
  });
});
