import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import type { HttpRoute, TcpRoute, TlsRoute } from '#api/virtual-service.ts';
import { destinationHosts } from './virtual-service-destinations.ts';

const CAUSE = { kind: 'VirtualService', namespace: 'default', name: 'vs', path: '' };

interface Rules {
  readonly http?: readonly HttpRoute[];
  readonly tcp?: readonly TcpRoute[];
  readonly tls?: readonly TlsRoute[];
}

function hostsOf({ http = [], tcp = [], tls = [] }: Rules, namespace?: string): readonly string[] {
  return destinationHosts({ http: http.map((route) => ({ route, cause: CAUSE })), tcp, tls }, namespace);
}

const to = (host: string) => ({ destination: { host } });
const from = (...namespaces: readonly string[]): HttpRoute => ({
  match: namespaces.map((sourceNamespace) => ({ sourceNamespace })),
  route: [to('a')],
});

const CASES: readonly (readonly [string, Rules, string | undefined, readonly string[]])[] = [
  ['nothing', {}, undefined, []],
  [
    'routes and weights, each host once',
    { http: [{ route: [to('a'), to('b'), to('a')] }] },
    undefined,
    ['a', 'b'],
  ],
  ['mirrors of both kinds', { http: [{ mirror: { host: 'm' }, mirrors: [to('n')] }] }, undefined, ['n', 'm']],
  ['streams', { tcp: [{ route: [to('t')] }], tls: [{ route: [to('s')] }] }, undefined, ['t', 's']],
  ['no redirects', { http: [{ redirect: { authority: 'x' } }] }, undefined, []],
  ['rules for other namespaces, where it does not matter', { http: [from('other')] }, undefined, ['a']],
  ['no rules for other namespaces', { http: [from('other')] }, 'mine', []],
  ['rules for this one too', { http: [from('other', 'mine')] }, 'mine', ['a']],
  ['rules with a match for everybody', { http: [from('other', '')] }, 'mine', ['a']],
];

for (const [what, rules, namespace, expected] of CASES) {
  test(`destinations of a VirtualService: ${what}`, () => {
    deepStrictEqual(hostsOf(rules, namespace), expected);
  });
}
