/** Istio's host rules as tables, and laws that hold for all names. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compareHostSpecificity,
  isFqdn,
  isSubsetOf,
  matchesHost,
  mostSpecificHost,
  validateHostname,
} from './hostname.ts';

/** Two hosts; whether they match, whether the first is a subset of the second, and the other way round. */
const PAIRS: readonly (readonly [string, string, boolean, boolean, boolean])[] = [
  ['foo.com', 'foo.com', true, true, true],
  ['foo.com', 'FOO.com', true, true, true],
  ['foo.com', 'bar.com', false, false, false],
  ['*', 'foo.com', true, false, true],
  ['*', '*.com', true, false, true],
  ['*', '*', true, true, true],
  ['*.com', 'foo.com', true, false, true],
  ['*.com', 'foo.bar.com', true, false, true],
  ['*.com', 'com', false, false, false],
  ['*.com', '*.foo.com', true, false, true],
  ['*.foo.com', '*.bar.com', false, false, false],
  ['*.foo.com', 'foo.com', false, false, false],
  ['*.foo.com', 'bar.FOO.com', true, false, true],
  ['*-api.foo.com', 'my-api.foo.com', true, false, true],
  ['*-api.foo.com', '*.foo.com', true, true, false],
  ['*-api.foo.com', '*.bar.foo.com', false, false, false],
  ['*.svc.cluster.local', 'reviews.default.svc.cluster.local', true, false, true],
];

for (const [a, b, matches, aInB, bInA] of PAIRS) {
  test(`${a} and ${b}`, () => {
    deepStrictEqual([matchesHost(a, b), matchesHost(b, a)], [matches, matches]);
    deepStrictEqual([isSubsetOf(a, b), isSubsetOf(b, a)], [aInB, bInA]);
  });
}

const label = fc.constantFrom('a', 'b', 'c-a');
const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'));
const pattern = fc.oneof(
  name,
  name.map((tail) => `*.${tail}`),
  name.map((tail) => `*-${tail}`),
  fc.constant('*'),
);

/** Matching by its definition: a wildcard stands for any beginning. */
function matchesName(wildcard: string, host: string): boolean {
  return wildcard.startsWith('*') ? host.endsWith(wildcard.slice(1)) : wildcard === host;
}

test('a pattern matches a name by its definition, and a subset matches no more than its superset', () => {
  fc.assert(
    fc.property(pattern, pattern, name, (a, b, host) => {
      strictEqual(matchesHost(a, host), matchesName(a, host));
      strictEqual(matchesHost(a, b), matchesHost(b, a));
      if (isSubsetOf(a, b)) strictEqual(!matchesName(a, host) || matchesName(b, host), true);
      if (matchesName(a, host) && matchesName(b, host)) strictEqual(matchesHost(a, b), true);
    }),
    { numRuns: 500 },
  );
});

test('the most specific pattern is the same name, else the longest wildcard', () => {
  fc.assert(
    fc.property(fc.array(pattern), name, (patterns, host) => {
      const matching = patterns.filter((candidate) => matchesName(candidate, host));
      const exact = matching.find((candidate) => candidate === host);
      const longest = Math.max(...matching.map((candidate) => candidate.length));
      const expected = exact ?? matching.find((candidate) => candidate.length === longest);
      strictEqual(mostSpecificHost(host, patterns.toSorted(compareHostSpecificity)), expected);
    }),
  );
});

test('a wildcard host is decided by a pattern that covers all of it', () => {
  const patterns = ['a.b.com', '*', '*.com', '*.b.com', '*.x.b.com'].sort(compareHostSpecificity);
  deepStrictEqual(patterns, ['a.b.com', '*.x.b.com', '*.b.com', '*.com', '*']);
  deepStrictEqual(
    ['*.b.com', '*.c.com', '*.org', '*'].map((host) => mostSpecificHost(host, patterns)),
    ['*.b.com', '*.com', '*', '*'],
  );
  strictEqual(mostSpecificHost('a.org', ['*.com']), undefined);
});

test('a name with a dot is fully qualified', () => {
  deepStrictEqual(['reviews', 'reviews.default', '*', '*.com', ''].map(isFqdn), [
    false,
    true,
    true,
    true,
    false,
  ]);
});

const HOSTNAMES: readonly (readonly [string, string | undefined])[] = [
  ['foo.com', undefined],
  ['Foo-1.com.', undefined],
  ['localhost', undefined],
  ['*', undefined],
  ['*.foo.com', undefined],
  ['*-api.foo.com', undefined],
  ['1.foo', undefined],
  ['', 'empty domain name not allowed'],
  ['foo..com', 'domain name "foo..com" invalid (label "" invalid)'],
  ['.', 'domain name "." invalid (label "" invalid)'],
  ['-foo.com', 'domain name "-foo.com" invalid (label "-foo" invalid)'],
  ['foo-.com', 'domain name "foo-.com" invalid (label "foo-" invalid)'],
  ['foo_bar.com', 'domain name "foo_bar.com" invalid (label "foo_bar" invalid)'],
  ['foo.*.com', 'domain name "foo.*.com" invalid (label "*" invalid)'],
  ['*foo.com', 'domain name "*foo.com" invalid (label "*foo" invalid)'],
  ['*.*', 'domain name "*.*" invalid (label "*" invalid)'],
  ['10.0.0.1', 'domain name "10.0.0.1" invalid (top level domain "1" cannot be all-numeric)'],
  [
    `${'a'.repeat(64)}.com`,
    `domain name "${'a'.repeat(64)}.com" invalid (label "${'a'.repeat(64)}" invalid)`,
  ],
  ['a.'.repeat(128), `domain name "${'a.'.repeat(128)}" too long (max 255)`],
];

for (const [host, problem] of HOSTNAMES) {
  test(`host name "${host.slice(0, 20)}" is ${problem === undefined ? 'valid' : 'refused'}`, () => {
    strictEqual(validateHostname(host), problem);
  });
}

test('where wildcards are not allowed they are refused', () => {
  strictEqual(validateHostname('*.foo.com', false), 'domain name "*.foo.com" invalid (label "*" invalid)');
});
