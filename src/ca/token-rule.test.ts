import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { parseTokenRule } from './token-rule.ts';

const RULE = { issuer: 'https://i', audiences: ['a'] };
const CASES: readonly (readonly [string, unknown])[] = [
  [JSON.stringify(RULE), { ...RULE, jwksUri: '', jwks: '' }],
  [
    JSON.stringify({ ...RULE, jwks_uri: 'https://k', forwardOriginalToken: true }),
    { ...RULE, jwksUri: 'https://k', jwks: '' },
  ],
  [JSON.stringify({ ...RULE, jwks: '{}' }), { ...RULE, jwksUri: '', jwks: '{}' }],
  ['{', 'JWT_RULE is no JSON object'],
  ['[]', 'JWT_RULE is no JSON object'],
  ['{"audiences":["a"]}', 'JWT_RULE names no issuer'],
  ['{"issuer":7,"audiences":["a"]}', 'JWT_RULE: issuer, jwksUri and jwks are texts'],
  ['{"issuer":"i","audiences":"a"}', 'JWT_RULE: audiences is a list of texts'],
  ['{"issuer":"i"}', 'JWT_RULE names no audiences: it would take no token'],
];
for (const [text, expected] of CASES) {
  test(`JWT_RULE ${text}`, () => {
    const rule = parseTokenRule(text);
    deepStrictEqual(rule.ok ? rule.value : rule.error, expected);
  });
}
