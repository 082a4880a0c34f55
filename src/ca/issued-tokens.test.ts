/** Tokens of another issuer: each way in which one may be wrong, T16 among them. */
import { deepStrictEqual } from 'node:assert';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { SignJWT, UnsecuredJWT } from 'jose';
import { TestClock } from '#base/clock.ts';
import { type IssuedTokenFault, IssuedTokens } from './issued-tokens.ts';

const NOW_MS = Date.UTC(2026, 5, 1);
const ISSUER = 'https://issuer.example';
const AUDIENCE = 'istio-ca';

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const late = generateKeyPairSync('ec', { namedCurve: 'P-256' });

function jwk(key: KeyObject, kid: string): object {
  return { ...key.export({ format: 'jwk' }), kid };
}
const KEYS = { keys: [jwk(ec.publicKey, 'ec'), jwk(rsa.publicKey, 'rsa')] };

interface Wish {
  readonly key?: KeyObject | Uint8Array;
  readonly alg?: string;
  readonly kid?: string;
  readonly issuer?: string;
  readonly audience?: string | string[];
  readonly subject?: string;
  readonly endsInSeconds?: number;
  readonly notBeforeInSeconds?: number;
}

async function token(wish: Wish = {}): Promise<string> {
  const { key = ec.privateKey, alg = 'ES256', kid = 'ec', issuer = ISSUER, audience = AUDIENCE } = wish;
  const { subject = 'system:serviceaccount:shop:cart', endsInSeconds = 600, notBeforeInSeconds = 0 } = wish;
  const seconds = NOW_MS / 1000;
  const made = new SignJWT({})
    .setProtectedHeader({ alg, kid })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(subject)
    .setNotBefore(seconds + notBeforeInSeconds);
  return (endsInSeconds === Infinity ? made : made.setExpirationTime(seconds + endsInSeconds)).sign(key);
}

function verifier(keys: object | '' = KEYS, audiences: readonly string[] = [AUDIENCE]) {
  let renewals = 0;
  let text = keys === '' ? '' : JSON.stringify(keys);
  const tokens = new IssuedTokens({
    issuer: ISSUER,
    audiences,
    keys: {
      current: () => text,
      renew: () => {
        renewals++;
        text = JSON.stringify({ keys: [...KEYS.keys, jwk(late.publicKey, 'late')] });
        return Promise.resolve();
      },
    },
    clock: new TestClock(NOW_MS),
  });
  return { tokens, renewals: () => renewals };
}

const GOOD: readonly (readonly [string, Wish])[] = [
  ['an ECDSA key', {}],
  ['an RSA key', { key: rsa.privateKey, alg: 'RS256', kid: 'rsa' }],
  ['one of several audiences', { audience: ['api', AUDIENCE] }],
  ['an end within the skew of clocks', { endsInSeconds: -30 }],
];
for (const [title, wish] of GOOD) {
  test(`a token is taken: ${title}`, async () => {
    deepStrictEqual(await verifier().tokens.verifyToken(await token(wish)), {
      ok: true,
      value: { namespace: 'shop', serviceAccount: 'cart', facts: {} },
    });
  });
}

const publicPem = Buffer.from(rsa.publicKey.export({ format: 'pem', type: 'spki' }));
const BAD: readonly (readonly [string, Wish, IssuedTokenFault])[] = [
  [
    'T16: signed with the public key as a shared secret',
    { key: publicPem, alg: 'HS256', kid: 'rsa' },
    "the token's algorithm is not taken",
  ],
  [
    'T16: an RSA algorithm with the id of an ECDSA key',
    { key: rsa.privateKey, alg: 'RS256', kid: 'ec' },
    'no key of the issuer fits the token',
  ],
  ['signed by another key under a known id', { key: other.privateKey }, "the token's signature is wrong"],
  ['of another issuer', { issuer: `${ISSUER}/` }, 'the token is of another issuer'],
  ['for another audience', { audience: 'api' }, 'the token is for another audience'],
  ['expired', { endsInSeconds: -120 }, 'the token has expired'],
  ['without an end', { endsInSeconds: Infinity }, 'the token lacks a claim'],
  ['not valid yet', { notBeforeInSeconds: 300 }, 'the token is not valid yet'],
  ['of a user', { subject: 'alice' }, 'the subject is no service account'],
  [
    'of a subject with too few parts',
    { subject: 'system:serviceaccount:shop' },
    'the subject is no service account',
  ],
  [
    'of a subject with too many parts',
    { subject: 'system:serviceaccount:a:b:c' },
    'the subject is no service account',
  ],
];
for (const [title, wish, fault] of BAD) {
  test(`a token is refused: ${title}`, async () => {
    deepStrictEqual(await verifier().tokens.verifyToken(await token(wish)), { ok: false, error: fault });
  });
}

const NONSENSE: readonly (readonly [string, string, IssuedTokenFault])[] = [
  [
    'T16: algorithm none',
    new UnsecuredJWT({ iss: ISSUER, aud: AUDIENCE }).encode(),
    "the token's algorithm is not taken",
  ],
  ['no token at all', 'abc', 'the token cannot be read'],
  ['three parts of nothing', '..', 'the token cannot be read'],
  ['nested to the depth', `${'['.repeat(5_000)}.e30.e30`, 'the token cannot be read'],
  ['too long', 'a'.repeat(20_000), 'the token is too long'],
];
for (const [title, text, fault] of NONSENSE) {
  test(`a token is refused: ${title}`, async () => {
    deepStrictEqual(await verifier().tokens.verifyToken(text), { ok: false, error: fault });
  });
}

test('a key that is not known yet is looked for once, as are keys that never came', async () => {
  const wish = { key: late.privateKey, kid: 'late' };
  const [known, unknown, forged] = [verifier(), verifier(''), verifier()];
  const outcomes = [
    (await known.tokens.verifyToken(await token(wish))).ok,
    (await unknown.tokens.verifyToken(await token(wish))).ok,
    (await forged.tokens.verifyToken(await token({ key: other.privateKey, kid: 'nobody' }))).ok,
    (await forged.tokens.verifyToken(await token({ key: other.privateKey }))).ok,
  ];
  deepStrictEqual(outcomes, [true, true, false, false]);
  deepStrictEqual([known.renewals(), unknown.renewals(), forged.renewals()], [1, 1, 1]);
});

test('without audiences nothing is taken', async () => {
  deepStrictEqual(await verifier(KEYS, []).tokens.verifyToken(await token()), {
    ok: false,
    error: 'the token is for another audience',
  });
});
