import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RE2JS } from 're2js';
import { matchAddress, matchHeader, matchText, quoteRegex } from './authorization-matcher.ts';

describe('texts to match', () => {
  const cases: readonly (readonly [string, string, unknown])[] = [
    ['a', '', { case: 'exact', value: 'a' }],
    ['a*', '', { case: 'prefix', value: 'a' }],
    ['*a', '', { case: 'suffix', value: 'a' }],
    ['*', '', { case: 'safeRegex', value: { regex: '.+' } }],
    ['**', '', { case: 'suffix', value: '*' }],
    ['a', 'spiffe://', { case: 'exact', value: 'spiffe://a' }],
    ['a*', 'spiffe://', { case: 'prefix', value: 'spiffe://a' }],
    ['*/ns/a.b', 'spiffe://', { case: 'safeRegex', value: { regex: 'spiffe://.*/ns/a\\.b' } }],
    ['*', 'spiffe://', { case: 'safeRegex', value: { regex: '.+' } }],
  ];
  for (const [text, ahead, expected] of cases) {
    it(`are ${JSON.stringify(text)} after ${JSON.stringify(ahead)}`, () =>
      assert.deepEqual(matchText(text, ahead).matchPattern, expected));
  }

  it('match only themselves when quoted, whatever is in them (T10)', () => {
    for (const text of ['a.b', '[(', ')|.*', '\\Q\\E', '^$', 'a{2}', '+?', '-', 'ü\u{1F600}', '']) {
      assert.equal(RE2JS.compile(quoteRegex(text)).matches(text), true, text);
      assert.equal(RE2JS.compile(quoteRegex(text)).matches(`${text}x`), false, text);
    }
  });
});

describe('headers to match', () => {
  it('are refused where no header can have the name', () => {
    assert.deepEqual(
      ['', 'a b', 'a\n', 'a:', 'ü'].map((name) => matchHeader(name, 'x')),
      [undefined, undefined, undefined, undefined, undefined],
    );
  });
  it('are present for any value', () => {
    assert.deepEqual(matchHeader('x-a', '*'), {
      name: 'x-a',
      headerMatchSpecifier: { case: 'presentMatch', value: true },
    });
  });
});

describe('addresses to match', () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ['10.0.0.1', { addressPrefix: '10.0.0.1', prefixLen: 32 }],
    ['10.80.64.0/18', { addressPrefix: '10.80.64.0', prefixLen: 18 }],
    ['10.80.64.9/18', { addressPrefix: '10.80.64.9', prefixLen: 18 }],
    ['2001:db8::/32', { addressPrefix: '2001:db8::', prefixLen: 32 }],
    ['10.0.0.1/33', undefined],
    ['host', undefined],
  ];
  for (const [text, expected] of cases)
    it(`are ${text}`, () => assert.deepEqual(matchAddress(text), expected));
});
