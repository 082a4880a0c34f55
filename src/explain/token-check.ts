/**
 * Whether a token verifies by the rules of RequestAuthentications, in Envoy's order: form, issuer, time, audience, signature.
 * Bounded in size; nothing of the token but its claims' names and values is ever told.
 * Source: envoy source/extensions/filters/http/jwt_authn/authenticator.cc; jwt_verify_lib/src/{jwt,verify,jwks}.cc.
 */
import { compactVerify, importJWK, type JWK } from 'jose';
import type { TokenRule } from '#model/request-authentication.ts';

/** What a token says, believed or not. */
export interface TokenText {
  readonly algorithm: string;
  readonly keyId: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** The key that a signature was made with. */
export interface TokenKey {
  readonly kid: string;
  readonly alg: string;
  readonly kty: string;
}

/** What Envoy's filter makes of the token. `rule` is the index of the rule that decided; -1 for none. */
export type TokenCheck =
  | { readonly kind: 'verified'; readonly rule: number; readonly key: TokenKey; readonly token: TokenText }
  | {
      readonly kind: 'refused';
      readonly status: 401 | 403;
      readonly reason: string;
      readonly rule: number;
      readonly token: TokenText | undefined;
    };

const MAX_TOKEN_LENGTH = 60 * 1024;
const CLOCK_SKEW_S = 60;
const TIMES = ['iat', 'nbf', 'exp'] as const;
const UNAUTHORIZED = 401;
const FORBIDDEN = 403;
/** Algorithm -> type of key. */
const KEY_TYPES: ReadonlyMap<string, string> = new Map([
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map((name) => [name, 'RSA'] as const),
  ...['ES256', 'ES384', 'ES512'].map((name) => [name, 'EC'] as const),
  ...['HS256', 'HS384', 'HS512'].map((name) => [name, 'oct'] as const),
  ['EdDSA', 'OKP'],
]);

/** Checks a token against the rules of one workload, of which there is at least one. */
export async function checkToken(
  text: string,
  rules: readonly TokenRule[],
  nowUnixMs: number,
): Promise<TokenCheck> {
  const token = readToken(text);
  const refused = (reason: string, status: 401 | 403 = UNAUTHORIZED, rule = -1): TokenCheck => {
    return { kind: 'refused', status, reason, rule, token: typeof token === 'string' ? undefined : token };
  };
  if (typeof token === 'string') return refused(token);
  const issuer = textOf(token.claims['iss']);
  const candidates = [...rules.entries()].filter(([, { rule }]) => (rule.issuer || issuer) === issuer);
  let last = refused(`no rule accepts the issuer ${issuer === '' ? '(none)' : issuer}`);
  for (const [at, rule] of candidates) {
    const problem = timeProblem(token, nowUnixMs / 1000) ?? audienceProblem(token, rule);
    if (problem !== undefined) {
      last = refused(problem.reason, problem.status, at);
      continue;
    }
    const key = await findKey(text, token, rule.keys);
    if (typeof key !== 'string') return { kind: 'verified', rule: at, key, token };
    last = refused(key, UNAUTHORIZED, at);
  }
  return last;
}

/** Values of `aud`. */
export function audiencesOf({ claims: { aud } }: TokenText): readonly string[] {
  const values = Array.isArray(aud) ? aud : [aud];
  return values.filter((value): value is string => typeof value === 'string');
}

/** What the token says, or what is wrong with its form. */
export function readToken(text: string): TokenText | string {
  if (text.length > MAX_TOKEN_LENGTH) return `the token is longer than ${MAX_TOKEN_LENGTH} characters`;
  const parts = text.split('.');
  const [header, claims] = [readPart(parts[0]), readPart(parts[1])];
  if (parts.length !== 3) return 'the token does not have three parts';
  if (header === undefined || claims === undefined) return 'the token is not Base64 of JSON';
  const algorithm = textOf(header['alg']);
  if (!KEY_TYPES.has(algorithm))
    return `the algorithm ${algorithm === '' ? '(none)' : algorithm} is not accepted`;
  const badTime = TIMES.find((name) => claims[name] !== undefined && !isTime(claims[name]));
  if (badTime !== undefined) return `the claim ${badTime} is not a time`;
  return { algorithm, keyId: textOf(header['kid']), claims };
}

function readPart(part: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (part === undefined || !/^[\w-]+$/.test(part)) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString());
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

interface Problem {
  readonly status: 401 | 403;
  readonly reason: string;
}

function timeProblem({ claims }: TokenText, nowS: number): Problem | undefined {
  const { nbf, exp } = claims;
  if (isTime(nbf) && nowS + CLOCK_SKEW_S < nbf) {
    return { status: UNAUTHORIZED, reason: `the token is not valid before ${printTime(nbf)}` };
  }
  if (isTime(exp) && exp > 0 && nowS > exp + CLOCK_SKEW_S) {
    return { status: UNAUTHORIZED, reason: `the token has expired at ${printTime(exp)}` };
  }
  return undefined;
}

/** RFC 3339 of seconds since 1970; '' beyond what a date holds. */
export function printTime(seconds: number): string {
  const time = new Date(seconds * 1000);
  return Number.isNaN(time.getTime()) ? '' : time.toISOString();
}

function audienceProblem(token: TokenText, { rule }: TokenRule): Problem | undefined {
  const { audiences = [] } = rule;
  const own = audiencesOf(token);
  if (audiences.length === 0 || audiences.some((one) => own.includes(one))) return undefined;
  const whom = own.length === 0 ? 'nobody' : own.join(', ');
  return { status: FORBIDDEN, reason: `the token is for ${whom}; the rule wants ${audiences.join(' or ')}` };
}

/** The key of the set that made the signature, or why there is none. */
async function findKey(text: string, token: TokenText, keys: string): Promise<TokenKey | string> {
  if (keys === '') return 'the keys of the issuer are not known';
  const all = readKeys(keys);
  const { algorithm, keyId } = token;
  const fitting = all.filter(
    (key) =>
      key.kty === KEY_TYPES.get(algorithm) &&
      (keyId === '' || (key.kid ?? '') === '' || key.kid === keyId) &&
      ((key.alg ?? '') === '' || key.alg === algorithm),
  );
  for (const key of fitting) {
    if (await isSignedBy(text, key, algorithm))
      return { kid: key.kid ?? '', alg: algorithm, kty: key.kty ?? '' };
  }
  const named = keyId === '' ? '' : ` with the id ${keyId}`;
  return fitting.length === 0
    ? `no key of the issuer fits: ${algorithm}${named}`
    : `the signature is not by any key of the issuer${named}`;
}

function readKeys(keys: string): readonly JWK[] {
  try {
    const set = JSON.parse(keys) as { readonly keys?: unknown };
    return Array.isArray(set.keys) ? set.keys.filter((key) => typeof key === 'object' && key !== null) : [];
  } catch {
    return [];
  }
}

async function isSignedBy(
  text: string,
  { kty, n, e, crv, x, y, k }: JWK,
  algorithm: string,
): Promise<boolean> {
  const parts = Object.entries({ kty, n, e, crv, x, y, k }).filter(([, value]) => value !== undefined);
  try {
    const key = await importJWK(Object.fromEntries(parts) as JWK, algorithm);
    await compactVerify(text, key, { algorithms: [algorithm] });
    return true;
  } catch {
    return false;
  }
}
