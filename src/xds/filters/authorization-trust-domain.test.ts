import assert from 'node:assert/strict';
import { it } from 'node:test';
import { withPrincipalAliases, withTrustDomainAliases } from './authorization-trust-domain.ts';

const PRINCIPALS: readonly (readonly [string, string, readonly string[], readonly string[]])[] = [
  ['keeps principals without trust domains', 'td1/ns/a/sa/b', [], ['td1/ns/a/sa/b']],
  ['puts an alias beside the domain', 'td2/ns/a/sa/b', ['td1', 'td2'], ['td1/ns/a/sa/b', 'td2/ns/a/sa/b']],
  [
    'takes cluster.local for the own domain',
    'cluster.local/ns/a/sa/b',
    ['td1', 'td2'],
    ['td1/ns/a/sa/b', 'td2/ns/a/sa/b'],
  ],
  ['keeps foreign domains', 'other/ns/a/sa/b', ['td1'], ['other/ns/a/sa/b']],
  ['keeps any domain', '*/ns/a/sa/b', ['td1', 'td2'], ['*/ns/a/sa/b']],
  ['keeps what is no SPIFFE path', 'sa/b', ['td1', 'td2'], ['sa/b']],
  [
    'keeps a pattern for the domains that it fits',
    '*-td/ns/a/sa/b',
    ['new-td', 'old-td', 'x'],
    ['*-td/ns/a/sa/b', 'x/ns/a/sa/b'],
  ],
  ['replaces a domain that begins alike', 'td*/ns/a/sa/b', ['td1', 'x'], ['td1/ns/a/sa/b', 'x/ns/a/sa/b']],
];
for (const [name, principal, domains, expected] of PRINCIPALS) {
  it(name, () => assert.deepEqual(withPrincipalAliases([principal], domains), expected));
}

it('replaces an own trust domain by all of them, once', () => {
  assert.deepEqual(withTrustDomainAliases(['td1', 'td2', 'other'], ['td1', 'td2']), ['td1', 'td2', 'other']);
});
