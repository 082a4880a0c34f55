/** Forms that are wrong before any key is asked; what Envoy does with the rest is in test/envoy/jwt-check.test.ts. */
import { deepStrictEqual, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { checkToken, readToken } from './token-check.ts';

const KEY = Buffer.alloc(32, 1);
const JWKS = JSON.stringify({ keys: [{ kty: 'oct', k: KEY.toString('base64url') }] });
const RULES = [{ rule: { issuer: 'me' }, keys: JWKS }];
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const token = (header: unknown, claims: unknown): string => `${part(header)}.${part(claims)}.c2ln`;

const forms: readonly (readonly [string, string, RegExp])[] = [
  ['nothing', '', /not Base64|three parts/],
  ['two parts', 'e30.e30', /three parts/],
  ['no Base64', '!.!.!', /not Base64/],
  ['no object', token([], 'x'), /not Base64 of JSON/],
  ['no algorithm', token({}, {}), /algorithm \(none\)/],
  ['another algorithm', token({ alg: 'RS1' }, {}), /algorithm RS1/],
  ['a time that is text', token({ alg: 'HS256' }, { exp: 'soon' }), /claim exp is not a time/],
  ['a time before all times', token({ alg: 'HS256' }, { nbf: -1 }), /claim nbf/],
  ['too much', 'a'.repeat(70_000), /longer than/],
];
for (const [what, text, expected] of forms) {
  test(`a token of ${what} is refused, and not quoted`, async () => {
    const problem = readToken(text);
    ok(typeof problem === 'string');
    match(problem, expected);
    const check = await checkToken(text, RULES, 0);
    deepStrictEqual([check.kind, check.kind === 'refused' && check.status], ['refused', 401]);
  });
}

test('deep and strange claims cost nothing and break nothing (T16)', async () => {
  const deep = `{"iss":"me","x":${'['.repeat(15_000)}${']'.repeat(15_000)},"exp":1e300,"__proto__":{"iss":"you"}}`;
  const text = `${part({ alg: 'HS256' })}.${Buffer.from(deep).toString('base64url')}.c2ln`;
  const check = await checkToken(text, RULES, 0);
  ok(check.kind === 'refused');
  match(check.reason, /signature/);
});

test('keys that cannot be read verify nothing', async () => {
  const text = await new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).setIssuer('me').sign(KEY);
  const kinds = ['<html>', '{}', '{"keys":[null,1,{"kty":"oct"}]}', JWKS].map(
    async (keys) => (await checkToken(text, [{ rule: { issuer: 'me' }, keys }], Date.now())).kind,
  );
  deepStrictEqual(await Promise.all(kinds), ['refused', 'refused', 'refused', 'verified']);
});
