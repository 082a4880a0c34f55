/** Tokens good and bad in every way, the rules and policies that they meet, and what Envoy answers. */
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { AuthorizationRule } from '#api/authorization-policy.ts';
import type { TokenRule } from '#model/request-authentication.ts';
import { from, when } from './policy-case.ts';

export const ISSUER = 'https://issuer.example';
const good = await generateKeyPair('RS256');
const stranger = await generateKeyPair('RS256');
const elliptic = await generateKeyPair('ES256');
const edwards = await generateKeyPair('EdDSA');
const pss = await generateKeyPair('PS256');
const SHARED_SECRET = Buffer.alloc(32, 7);
const KEYS = JSON.stringify({ keys: [{ ...(await exportJWK(good.publicKey)), kid: 'one', alg: 'RS256' }] });
/** Keys of several kinds, one without an id. */
const MANY_KEYS = JSON.stringify({
  keys: [
    { ...(await exportJWK(good.publicKey)), use: 'sig' },
    { ...(await exportJWK(elliptic.publicKey)), kid: 'two' },
    { ...(await exportJWK(edwards.publicKey)), kid: 'three' },
    { ...(await exportJWK(pss.publicKey)), kid: 'four', alg: 'PS256' },
    { kty: 'oct', k: SHARED_SECRET.toString('base64url'), kid: 'five' },
  ],
});

interface TokenOptions {
  readonly issuer?: string;
  readonly audience?: string;
  readonly expires?: string;
  readonly key?: CryptoKey | Uint8Array;
  readonly alg?: string;
  readonly kid?: string;
  readonly notBefore?: string;
}

/** A token, good unless told. */
export function makeToken(claims: Record<string, unknown> = {}, options: TokenOptions = {}): Promise<string> {
  const { alg = 'RS256', kid = 'one', notBefore } = options;
  const token = new SignJWT(claims)
    .setProtectedHeader(kid === '' ? { alg } : { alg, kid })
    .setIssuer(options.issuer ?? ISSUER)
    .setSubject('jason')
    .setAudience(options.audience ?? 'reviews')
    .setExpirationTime(options.expires ?? '1h');
  return (notBefore === undefined ? token : token.setNotBefore(notBefore)).sign(
    options.key ?? good.privateKey,
  );
}

const base64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const UNSIGNED = `${base64({ alg: 'none' })}.${base64({ iss: ISSUER, sub: 'jason', exp: 4_102_444_800 })}.`;

/** By name: what a workload accepts. */
export const TOKEN_RULES: Readonly<Record<string, readonly TokenRule[]>> = {
  plain: [{ rule: { issuer: ISSUER }, keys: KEYS }],
  audience: [{ rule: { issuer: ISSUER, audiences: ['ratings'] }, keys: KEYS }],
  places: [
    {
      rule: {
        issuer: ISSUER,
        fromHeaders: [{ name: 'x-jwt', prefix: 'JWT ' }],
        fromParams: ['token'],
        fromCookies: ['session'],
        forwardOriginalToken: true,
        outputClaimToHeaders: [{ header: 'x-sub', claim: 'sub' }],
        outputPayloadToHeader: 'x-payload',
      },
      keys: KEYS,
    },
  ],
  unfetched: [{ rule: { issuer: ISSUER }, keys: '' }],
  two: [
    { rule: { issuer: ISSUER }, keys: KEYS },
    { rule: { issuer: 'https://other.example', audiences: ['ratings'] }, keys: KEYS },
  ],
  twice: [
    { rule: { issuer: ISSUER, audiences: ['ratings'] }, keys: KEYS },
    { rule: { issuer: ISSUER, audiences: ['details'] }, keys: MANY_KEYS },
  ],
  many: [{ rule: { issuer: ISSUER }, keys: MANY_KEYS }],
  required: [{ rule: { issuer: ISSUER }, keys: KEYS }],
  claims: [{ rule: { issuer: ISSUER }, keys: KEYS }],
};

/** Rules of an ALLOW policy beside them. */
export const TOKEN_POLICIES: Readonly<Record<string, readonly AuthorizationRule[]>> = {
  required: [from({ requestPrincipals: [`${ISSUER}/*`] })],
  claims: [when('request.auth.claims[groups]', 'admins'), when('request.auth.claims[scope]', 'write')],
};

/** One call. */
export interface TokenCase {
  /** Completes "a token ...". */
  readonly what: string;
  readonly rules: string;
  /** '' where there is none. */
  readonly token: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly expected: number;
  /** The token is not where the rules look for it. */
  readonly isMisplaced?: boolean;
}

/** A token where clients put it by custom. */
export function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}

function sent(what: string, rules: string, expected: number, token: string): TokenCase {
  return { what, rules, token, headers: bearer(token), expected };
}

/** The whole table. */
export async function tokenTable(): Promise<readonly TokenCase[]> {
  const other = 'https://other.example';
  return [
    { what: 'that is not there', rules: 'plain', token: '', headers: {}, expected: 200 },
    sent('that is good', 'plain', 200, await makeToken()),
    sent('of an unknown issuer (T12)', 'plain', 401, await makeToken({}, { issuer: 'https://evil' })),
    sent('that has expired', 'plain', 401, await makeToken({}, { expires: '-1h' })),
    sent('that has just expired', 'plain', 200, await makeToken({}, { expires: '-30s' })),
    sent('that is not valid yet', 'plain', 401, await makeToken({}, { notBefore: '1h' })),
    sent('signed by a stranger', 'plain', 401, await makeToken({}, { key: stranger.privateKey })),
    sent(
      'with ES256 for an RSA key (T16)',
      'plain',
      401,
      await makeToken({}, { key: elliptic.privateKey, alg: 'ES256' }),
    ),
    sent('with alg none (T16)', 'plain', 401, UNSIGNED),
    sent('that is malformed (T16)', 'plain', 401, 'a.b'),
    sent('with a key id of nobody', 'plain', 401, await makeToken({}, { kid: 'nine' })),
    sent('without a key id', 'plain', 200, await makeToken({}, { kid: '' })),
    sent('for another audience', 'audience', 403, await makeToken()),
    sent('for the audience', 'audience', 200, await makeToken({}, { audience: 'ratings' })),
    sent(
      'for another audience, by a stranger',
      'audience',
      403,
      await makeToken({}, { key: stranger.privateKey }),
    ),
    sent('for another audience, and expired', 'audience', 401, await makeToken({}, { expires: '-1h' })),
    sent('while keys are not known (T13)', 'unfetched', 401, await makeToken()),
    { what: 'not there while keys are not known', rules: 'unfetched', token: '', headers: {}, expected: 200 },
    sent('of one of two issuers', 'two', 200, await makeToken()),
    sent('of a third issuer', 'two', 401, await makeToken({}, { issuer: 'https://evil' })),
    sent(
      'of the second issuer, for its audience',
      'two',
      200,
      await makeToken({}, { issuer: other, audience: 'ratings' }),
    ),
    sent('of the second issuer, for nobody here', 'two', 403, await makeToken({}, { issuer: other })),
    sent('for the first of two rules', 'twice', 200, await makeToken({}, { audience: 'ratings' })),
    sent('for the second of two rules', 'twice', 200, await makeToken({}, { audience: 'details' })),
    sent('for neither of two rules', 'twice', 403, await makeToken()),
    sent('with a key that has no id', 'many', 200, await makeToken({}, { kid: 'whatever' })),
    sent(
      'with ES256',
      'many',
      200,
      await makeToken({}, { key: elliptic.privateKey, alg: 'ES256', kid: 'two' }),
    ),
    sent(
      'with EdDSA',
      'many',
      200,
      await makeToken({}, { key: edwards.privateKey, alg: 'EdDSA', kid: 'three' }),
    ),
    sent('with PS256', 'many', 200, await makeToken({}, { key: pss.privateKey, alg: 'PS256', kid: 'four' })),
    sent('with HS256', 'many', 200, await makeToken({}, { key: SHARED_SECRET, alg: 'HS256', kid: 'five' })),
    { what: 'not there where one is required', rules: 'required', token: '', headers: {}, expected: 403 },
    sent('good where one is required', 'required', 200, await makeToken()),
    sent('with a claim in a list', 'claims', 200, await makeToken({ groups: ['x', 'admins'] })),
    sent('with a claim as text', 'claims', 200, await makeToken({ groups: 'admins' })),
    sent('with a scope among others', 'claims', 200, await makeToken({ scope: 'read write' })),
    sent('without the claim', 'claims', 403, await makeToken({ groups: ['x'] })),
    { ...sent('not where it is looked for', 'places', 200, 'nonsense'), isMisplaced: true },
    inHeader('in a header of its own', 200, await makeToken()),
    inHeader('bad in a header of its own', 401, 'x.y.z'),
    {
      what: 'bad in a cookie',
      rules: 'places',
      token: 'x.y.z',
      headers: { cookie: 'session=x.y.z' },
      expected: 401,
    },
  ];
}

function inHeader(what: string, expected: number, token: string): TokenCase {
  return { what, rules: 'places', token, headers: { 'x-jwt': `JWT ${token}` }, expected };
}
