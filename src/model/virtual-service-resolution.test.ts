import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { VirtualServiceSpec } from '#api/virtual-service.ts';
import { object } from './service-model-rig.ts';
import type { VirtualService } from './virtual-service.ts';
import { resolveGatewayName, resolveVirtualService } from './virtual-service-resolution.ts';

const CONTEXT = { clusterDomain: 'cluster.local', defaultExportTo: ['*'] };

function resolve(spec: VirtualServiceSpec, context = CONTEXT): VirtualService {
  return resolveVirtualService(object('VirtualService', 'vs', spec, { namespace: 'shop' }), context);
}

test('short hosts become names of the own namespace, full names and wildcards stay, all in lower case', () => {
  const { hosts } = resolve({
    hosts: ['reviews', 'Ratings.other', '*.Example.com', '*', '10.0.0.1', '2001:db8::1'],
  });
  deepStrictEqual(hosts, [
    'reviews.shop.svc.cluster.local',
    'ratings.other',
    '*.example.com',
    '*',
    '10.0.0.1',
    '2001:db8::1',
  ]);
});

test('destinations and mirrors of all kinds of rules get full names', () => {
  const destination = { host: 'a', subset: 'v1', port: { number: 80 } };
  const full = { ...destination, host: 'a.shop.svc.cluster.local' };
  const { http, tls, tcp } = resolve({
    hosts: ['a'],
    http: [{ route: [{ destination }], mirror: destination, mirrors: [{ destination }] }],
    tls: [{ match: [{ sniHosts: ['x'] }], route: [{ destination }] }],
    tcp: [{ route: [{ destination }] }],
  });
  deepStrictEqual(http[0]?.route, {
    route: [{ destination: full }],
    mirror: full,
    mirrors: [{ destination: full }],
  });
  deepStrictEqual(tls, [{ match: [{ sniHosts: ['x'] }], route: [{ destination: full }] }]);
  deepStrictEqual(tcp, [{ route: [{ destination: full }] }]);
});

test('a rule names its field as its cause', () => {
  const { http } = resolve({ hosts: ['a'], http: [{ name: 'one' }, { name: 'two' }] });
  deepStrictEqual(
    http.map((rule) => rule.cause),
    [
      { kind: 'VirtualService', namespace: 'shop', name: 'vs', path: 'spec.http[0]' },
      { kind: 'VirtualService', namespace: 'shop', name: 'vs', path: 'spec.http[1]' },
    ],
  );
});

test('without gateways a VirtualService is for sidecars', () => {
  deepStrictEqual(resolve({ hosts: ['a'] }).gateways, ['mesh']);
  deepStrictEqual(resolve({ hosts: ['a'], gateways: ['g', 'mesh'] }).gateways, ['shop/g', 'mesh']);
});

const GATEWAY_NAMES: readonly (readonly [string, string])[] = [
  ['mesh', 'mesh'],
  ['g', 'shop/g'],
  ['./g', 'shop/g'],
  ['other/g', 'other/g'],
  ['g.other', 'other/g'],
  ['g.other.svc.cluster.local', 'other/g'],
];
for (const [written, meant] of GATEWAY_NAMES) {
  test(`gateway "${written}" of namespace shop is ${meant}`, () => {
    strictEqual(resolveGatewayName(written, 'shop'), meant);
  });
}

const EXPORTS: readonly (readonly [readonly string[] | undefined, readonly string[], unknown])[] = [
  [undefined, ['*'], { public: true, namespaces: [] }],
  [undefined, ['.'], { public: false, namespaces: ['shop'] }],
  [['.', 'b'], ['*'], { public: false, namespaces: ['b', 'shop'] }],
  [['~'], ['*'], { public: false, namespaces: [] }],
];
for (const [exportTo, defaultExportTo, visibility] of EXPORTS) {
  test(`exportTo ${JSON.stringify(exportTo)} under the mesh default ${JSON.stringify(defaultExportTo)}`, () => {
    const spec = { hosts: ['a'], ...(exportTo === undefined ? {} : { exportTo: [...exportTo] }) };
    deepStrictEqual(
      resolve(spec, { clusterDomain: 'cluster.local', defaultExportTo: [...defaultExportTo] }).visibility,
      visibility,
    );
  });
}
