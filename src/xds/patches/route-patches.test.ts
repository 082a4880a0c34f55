import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { type Json, patch, patchList, resourceOf } from './patch-rig.ts';
import { meansGatewayRoutes, meansSidecarRoutes } from './route-match.ts';
import { RouteTablePatcher } from './route-table-patcher.ts';

const route = (name: string, rest: Json = { route: { cluster: name } }): Json => ({
  name,
  match: { prefix: '/' },
  ...rest,
});
const host = (name: string, ...routes: readonly Json[]): Json => ({
  name: `${name}:80`,
  domains: [name],
  ...(routes.length === 0 ? {} : { routes }),
});
const TABLE = {
  name: '80',
  virtualHosts: [host('a', route('r1'), route('r2')), host('b', route('r3'))],
  validateClusters: false,
};

function on(applyTo: string, operation: string, value?: Json, routeConfiguration?: Json): Json {
  return {
    applyTo,
    ...(routeConfiguration === undefined ? {} : { match: { routeConfiguration } }),
    patch: { operation, ...(value === undefined ? {} : { value }) },
  };
}

function routeNames(json: Json | undefined): string {
  const hosts = json?.['virtualHosts'] as readonly {
    readonly name: string;
    readonly routes?: readonly Json[];
  }[];
  return hosts
    .map(({ name, routes = [] }) => `${name.slice(0, 1)}(${routes.map((one) => one['name']).join(' ')})`)
    .join(' ');
}

const ofRoute = (name: string): Json => ({ vhost: { name: 'a:80', route: { name } } });
const ROUTES: readonly (readonly [string, Json | undefined, string])[] = [
  ['ADD', undefined, 'a(r1 r2 x) b(r3 x)'],
  ['ADD', { vhost: { name: 'a:80' } }, 'a(r1 r2 x) b(r3)'],
  ['ADD', { vhost: { domainName: 'b' } }, 'a(r1 r2) b(r3 x)'],
  ['ADD', ofRoute('r1'), 'a(r1 r2 x) b(r3)'],
  ['INSERT_FIRST', { vhost: { name: 'a:80' } }, 'a(x r1 r2) b(r3)'],
  ['INSERT_FIRST', ofRoute('r2'), 'a(x r1 r2) b(r3)'],
  ['INSERT_FIRST', ofRoute('z'), 'a(r1 r2) b(r3)'],
  ['INSERT_BEFORE', undefined, 'a(x r1 r2) b(x r3)'],
  ['INSERT_BEFORE', ofRoute('r2'), 'a(r1 x r2) b(r3)'],
  ['INSERT_BEFORE', ofRoute('z'), 'a(r1 r2) b(r3)'],
  ['INSERT_AFTER', undefined, 'a(r1 r2 x) b(r3 x)'],
  ['INSERT_AFTER', ofRoute('r1'), 'a(r1 x r2) b(r3)'],
  ['INSERT_AFTER', ofRoute('z'), 'a(r1 r2) b(r3)'],
  ['REMOVE', ofRoute('r1'), 'a(r2) b(r3)'],
  ['REMOVE', undefined, 'a() b()'],
  ['REPLACE', ofRoute('r1'), 'a(r1 r2) b(r3)'],
];

for (const [operation, match, wanted] of ROUTES) {
  test(`routes: ${operation} ${JSON.stringify(match) ?? ''}`, () => {
    const value = operation === 'REMOVE' ? undefined : route('x');
    deepStrictEqual(
      routeNames(patch('routes', TABLE, [on('HTTP_ROUTE', operation, value, match)]).json),
      wanted,
    );
  });
}

const ACTIONS: readonly (readonly [string, Json, boolean])[] = [
  ['ANY', { route: { cluster: 'c' } }, true],
  ['ROUTE', { route: { cluster: 'c' } }, true],
  ['REDIRECT', { route: { cluster: 'c' } }, false],
  ['REDIRECT', { redirect: { hostRedirect: 'x' } }, true],
  ['DIRECT_RESPONSE', { directResponse: { status: 200 } }, true],
  ['ROUTE', { directResponse: { status: 200 } }, false],
  ['ROUTE', { nonForwardingAction: {} }, true],
];

for (const [action, does, isMeant] of ACTIONS) {
  test(`action ${action} ${isMeant ? 'means' : 'does not mean'} ${JSON.stringify(does)}`, () => {
    const table = { name: '80', virtualHosts: [host('a', route('r', does))] };
    const match = { vhost: { route: { action } } };
    deepStrictEqual(
      patch('routes', table, [on('HTTP_ROUTE', 'REMOVE', undefined, match)]).applied,
      isMeant ? [0] : [],
    );
  });
}

test('a removed route is no place to put another', () => {
  const patches = [
    on('HTTP_ROUTE', 'REMOVE', undefined, ofRoute('r1')),
    on('HTTP_ROUTE', 'INSERT_AFTER', route('x'), ofRoute('r1')),
  ];
  deepStrictEqual(routeNames(patch('routes', TABLE, patches).json), 'a(r2) b(r3)');
});

test('an added route is not merged with', () => {
  const patches = [
    on('HTTP_ROUTE', 'ADD', route('x'), { vhost: { name: 'a:80' } }),
    on('HTTP_ROUTE', 'MERGE', { responseHeadersToRemove: ['h'] }, ofRoute('x')),
  ];
  const { json, applied } = patch('routes', TABLE, patches);
  deepStrictEqual([JSON.stringify(json).includes('responseHeadersToRemove'), applied], [false, [0]]);
});

test('virtual hosts: merged, replaced, removed, added', () => {
  const ofHost = (name: string): Json => ({ vhost: { name } });
  const patches = [
    on('VIRTUAL_HOST', 'MERGE', { domains: ['c'] }, ofHost('a:80')),
    on('VIRTUAL_HOST', 'REMOVE', undefined, { vhost: { domainName: 'b' } }),
    on('VIRTUAL_HOST', 'ADD', host('new')),
  ];
  const { json, applied } = patch('routes', TABLE, patches);
  deepStrictEqual(json, {
    ...TABLE,
    virtualHosts: [{ ...host('a', route('r1'), route('r2')), domains: ['a', 'c'] }, host('new')],
  });
  deepStrictEqual(applied, [0, 1, 2]);
  const replace = on('VIRTUAL_HOST', 'REPLACE', host('x', route('y')), ofHost('a:80'));
  deepStrictEqual(patch('routes', TABLE, [replace]).json, {
    ...TABLE,
    virtualHosts: [host('x', route('y')), host('b', route('r3'))],
  });
});

test('a list of domains is replaced where that is asked for', () => {
  const change = on(
    'VIRTUAL_HOST',
    'MERGE_AND_REPLACE_LIST',
    { domains: ['c'] },
    { vhost: { name: 'b:80' } },
  );
  deepStrictEqual(patch('routes', TABLE, [change]).json, {
    ...TABLE,
    virtualHosts: [host('a', route('r1'), route('r2')), { ...host('b', route('r3')), domains: ['c'] }],
  });
});

test('a host that is added under the name of a removed one goes with it', () => {
  const patches = [
    on('VIRTUAL_HOST', 'REMOVE', undefined, { vhost: { name: 'b:80' } }),
    on('VIRTUAL_HOST', 'ADD', host('b')),
  ];
  deepStrictEqual(routeNames(patch('routes', TABLE, patches).json), 'a(r1 r2)');
});

test('a route of a host that a patch before has renamed', () => {
  const patches = [
    on('VIRTUAL_HOST', 'MERGE', { name: 'n' }, { vhost: { name: 'b:80' } }),
    on('HTTP_ROUTE', 'REMOVE', undefined, { vhost: { name: 'n' } }),
  ];
  deepStrictEqual(routeNames(patch('routes', TABLE, patches).json), 'a(r1 r2) n()');
});

test('a table is merged with; its own fields and hosts behind the others', () => {
  const value = { name: 'z', responseHeadersToRemove: ['h'], virtualHosts: [host('c', route('r4'))] };
  const patches = [
    on('ROUTE_CONFIGURATION', 'MERGE', value, { name: '80' }),
    on('HTTP_ROUTE', 'REMOVE', undefined, { vhost: { name: 'c:80' } }),
  ];
  const { json } = patch('routes', TABLE, patches);
  deepStrictEqual(json, {
    ...TABLE,
    responseHeadersToRemove: ['h'],
    virtualHosts: [...TABLE.virtualHosts, host('c')],
  });
});

test('a table whose lists are replaced has the hosts of the value alone', () => {
  const change = on('ROUTE_CONFIGURATION', 'MERGE_AND_REPLACE_LIST', { virtualHosts: [host('c')] });
  deepStrictEqual(patch('routes', TABLE, [change]).json, { ...TABLE, virtualHosts: [host('c')] });
});

test('clusters of added routes are kept alive', () => {
  const change = on(
    'HTTP_ROUTE',
    'INSERT_FIRST',
    route('x', {
      route: { weightedClusters: { clusters: [{ name: 'n' }] }, requestMirrorPolicies: [{ cluster: 'm' }] },
    }),
  );
  deepStrictEqual(patch('routes', TABLE, [change]).result.resource?.references, ['m', 'n']);
});

const SIDECAR_TABLES: readonly (readonly [string, Json, boolean])[] = [
  ['80', {}, true],
  ['80', { name: '80' }, true],
  ['80', { name: '8080' }, false],
  ['80', { portNumber: 80 }, true],
  ['80', { portNumber: 81 }, false],
  ['a.example.com:80', { portNumber: 80 }, false],
  ['http_proxy', { portNumber: 80 }, false],
  ['inbound|9080||', { portNumber: 9080 }, true],
  ['80', { portName: 'x', gateway: 'y' }, true],
];

for (const [name, match, isMeant] of SIDECAR_TABLES) {
  test(`table ${name} of a sidecar ${isMeant ? 'is' : 'is not'} meant by ${JSON.stringify(match)}`, () => {
    const { patches } = patchList([on('VIRTUAL_HOST', 'REMOVE', undefined, match)]);
    strictEqual(meansSidecarRoutes(patches[0]!, name), isMeant);
  });
}

const GATEWAY_TABLES: readonly (readonly [string, Json, boolean])[] = [
  ['http.8080', {}, true],
  ['http.8080', { portNumber: 80 }, true],
  ['http.8080', { portNumber: 8080 }, false],
  ['http.9000', { portNumber: 9000 }, true],
  ['http.8080', { portName: 'http' }, false],
  ['https.443.https.gw.shop', { portName: 'https', gateway: 'shop/gw', portNumber: 443 }, true],
  ['https.443.https.gw.shop', { gateway: 'other/gw' }, false],
  ['https.443.https.gw.shop', { portName: 'x' }, false],
  ['https.443.https.gw.shop', { name: 'https.443.https.gw.shop' }, true],
];

for (const [name, match, isMeant] of GATEWAY_TABLES) {
  test(`table ${name} of a gateway ${isMeant ? 'is' : 'is not'} meant by ${JSON.stringify(match)}`, () => {
    const { patches } = patchList([on('VIRTUAL_HOST', 'REMOVE', undefined, match)]);
    strictEqual(meansGatewayRoutes(patches[0]!, name, name === 'http.8080' ? [80] : []), isMeant);
  });
}

test('of a table with one changed host only that host is patched again', () => {
  const list = patchList([on('HTTP_ROUTE', 'MERGE', { responseHeadersToRemove: ['h'] })]);
  const patcher = new RouteTablePatcher();
  const table = (changed: string): Json => ({
    name: '80',
    virtualHosts: [
      ...Array.from({ length: 500 }, (_, i) => host(`h${i}`, route('r'))),
      host('changed', route(changed)),
    ],
  });
  const asked: string[] = [];
  const run = (json: Json) =>
    patcher.patch('view', resourceOf('routes', json), list, (_patch, name) => asked.push(name) > 0);
  const first = run(table('1'));
  const second = run(table('2'));
  const fresh = new RouteTablePatcher().patch('view', resourceOf('routes', table('2')), list, () => true);
  deepStrictEqual(second.resource, fresh.resource);
  strictEqual(first.resource?.version === second.resource?.version, false);
  strictEqual(patcher.hostsLookedInto, 502);
});
