import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { GatewayServer, GatewaySpec } from '#api/gateway.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { VirtualServiceSpec } from '#api/virtual-service.ts';
import type { Proxy } from '#model/proxy.ts';
import { object, proxy } from '#model/service-model-rig.ts';
import {
  httpService,
  type RouteRig,
  routeRig,
  sendTo,
  virtualService,
  type VirtualHostJson,
} from './route-rig.ts';

const GATEWAY = proxy('gw', {
  id: 'gw',
  type: 'router',
  namespace: 'default',
  labels: { istio: 'ingressgateway' },
});

const HTTP: GatewayServer = {
  port: { number: 8080, name: 'http', protocol: 'HTTP' },
  hosts: ['*.example.com'],
};
const HTTPS: GatewayServer = {
  port: { number: 8443, name: 'https', protocol: 'HTTPS' },
  hosts: ['*.example.com'],
  tls: { mode: 'SIMPLE', credentialName: 'c' },
};

function gateway(
  name: string,
  servers: GatewayServer[],
  extra: GatewaySpec = {},
  createdAtMs = 0,
): MeshObject<GatewaySpec> {
  return object(
    'Gateway',
    name,
    { selector: { istio: 'ingressgateway' }, servers, ...extra },
    { createdAtMs },
  );
}

function mesh(gateways: readonly MeshObject<GatewaySpec>[], ...objects: readonly MeshObject[]): RouteRig {
  const rig = routeRig();
  for (const each of gateways) rig.gateways.set(`${each.namespace}/${each.name}`, each);
  rig.apply(httpService('a', '10.0.0.1', [8000]), httpService('b', '10.0.0.2', [8000]), ...objects);
  rig.connect(GATEWAY);
  return rig;
}

function bound(name: string, host: string, to: string, extra: VirtualServiceSpec = {}, createdAtMs = 0) {
  return virtualService(
    name,
    { hosts: [host], gateways: ['g'], http: [sendTo(to)], ...extra },
    { createdAtMs },
  );
}

function hostsOf(rig: RouteRig, table: string, from: Proxy = GATEWAY): readonly VirtualHostJson[] {
  return rig.table(from, table).virtualHosts ?? [];
}

function clusters(host: VirtualHostJson | undefined): readonly unknown[] {
  return (host?.routes ?? []).map((route) => (route['route'] as { cluster?: string } | undefined)?.cluster);
}

const TO_A = 'outbound|8000||a.default.svc.cluster.local';
const TO_B = 'outbound|8000||b.default.svc.cluster.local';

test('hosts that server and VirtualService have in common are routed, and go to the only port of their service', () => {
  const rig = mesh(
    [gateway('g', [HTTP])],
    bound('vs', 'a.example.com', 'a'),
    bound('out', 'a.other.com', 'b'),
  );
  deepStrictEqual(
    hostsOf(rig, 'http.8080').map((host) => [host.name, host.domains, clusters(host)]),
    [['a.example.com:8080', ['a.example.com'], [TO_A]]],
  );
});

test('the narrower of a wildcard server and a wildcard VirtualService counts', () => {
  const servers = [{ ...HTTP, hosts: ['a.example.com', '*.shop.example.com'] }];
  const rig = mesh([gateway('g', servers)], bound('vs', '*.example.com', 'a'));
  deepStrictEqual(hostsOf(rig, 'http.8080')[0]?.domains, ['a.example.com', '*.shop.example.com']);
});

test('a server may take VirtualServices of one namespace only', () => {
  const there = virtualService(
    'vs',
    { hosts: ['b.example.com'], gateways: ['default/g'], http: [sendTo('b')] },
    { namespace: 'other' },
  );
  const servers = [{ ...HTTP, hosts: ['./*.example.com'] }];
  deepStrictEqual(
    hostsOf(mesh([gateway('g', servers)], bound('vs', 'a.example.com', 'a'), there), 'http.8080').map(
      (host) => host.name,
    ),
    ['a.example.com:8080'],
  );
});

test('VirtualServices of one host are merged by age, with routes for everything at the end', () => {
  const rig = mesh(
    [gateway('g', [HTTP])],
    bound('old', 'a.example.com', 'a', {}, 1),
    bound('new', 'a.example.com', 'b', { http: [sendTo('b', { match: [{ uri: { prefix: '/b' } }] })] }, 2),
  );
  deepStrictEqual(clusters(hostsOf(rig, 'http.8080')[0]), [TO_B, TO_A]);
});

test('hosts with the same routes share a virtual host', () => {
  const spec = { hosts: ['b.example.com', 'aa.example.com'], gateways: ['g'], http: [sendTo('a')] };
  const rig = mesh([gateway('g', [HTTP])], virtualService('vs', spec));
  deepStrictEqual(
    hostsOf(rig, 'http.8080').map((host) => [host.name, host.domains]),
    [['aa.example.com:8080', ['aa.example.com', 'b.example.com']]],
  );
});

test('a match may name the gateway, and mesh rules do not count here', () => {
  const http = [
    sendTo('b', { match: [{ gateways: ['mesh'] }] }),
    sendTo('a', { match: [{ gateways: ['g'] }] }),
  ];
  const rig = mesh(
    [gateway('g', [HTTP])],
    bound('vs', 'a.example.com', 'a', { gateways: ['g', 'mesh'], http }),
  );
  deepStrictEqual(clusters(hostsOf(rig, 'http.8080')[0]), [TO_A]);
});

test('with nothing bound every request gets 404', () => {
  const [host, ...others] = hostsOf(mesh([gateway('g', [HTTP])]), 'http.8080');
  deepStrictEqual(
    [host?.name, host?.domains, host?.routes, others],
    ['blackhole:8080', ['*'], undefined, []],
  );
});

test('a server that redirects to https does so for all its hosts, routed or not', () => {
  const servers = [{ ...HTTP, hosts: ['*.example.com', 'b.example.com'], tls: { httpsRedirect: true } }];
  const rig = mesh([gateway('g', servers)], bound('vs', 'b.example.com', 'b'));
  deepStrictEqual(
    hostsOf(rig, 'http.8080').map((host) => [host.name, host.requireTls, clusters(host)]),
    [
      ['*.example.com:8080', 'ALL', []],
      ['b.example.com:8080', 'ALL', [TO_B]],
    ],
  );
});

test('each https server has a table of its own, where hosts of other servers are misdirected', () => {
  const other = {
    ...HTTPS,
    port: { number: 8443, name: 'other', protocol: 'HTTPS' },
    hosts: ['*.other.com'],
  };
  const rig = mesh(
    [gateway('g', [HTTPS, other])],
    bound('vs', 'a.example.com', 'a'),
    bound('wo', 'b.other.com', 'b'),
  );
  deepStrictEqual(
    [...rig.routeEntries(GATEWAY).keys()],
    ['https.8443.https.g.default', 'https.8443.other.g.default'],
  );
  const [routed, misdirected] = hostsOf(rig, 'https.8443.https.g.default');
  deepStrictEqual(
    [routed?.name, misdirected?.domains, misdirected?.routes?.[0]?.['directResponse']],
    ['a.example.com:8443', ['*'], { status: 421 }],
  );
});

test('a https server for every host misdirects nobody', () => {
  const rig = mesh([gateway('g', [{ ...HTTPS, hosts: ['*'] }])], bound('vs', 'a.example.com', 'a'));
  deepStrictEqual(
    hostsOf(rig, 'https.8443.https.g.default').map((host) => host.name),
    ['a.example.com:8443'],
  );
});

test('a Gateway that selects other proxies configures nothing', () => {
  const rig = mesh(
    [gateway('g', [HTTP], { selector: { istio: 'egressgateway' } })],
    bound('vs', 'a.example.com', 'a'),
  );
  deepStrictEqual(rig.routeEntries(GATEWAY).size, 0);
});

test('replicas share tables; a gateway of another namespace sees what is exported to it', () => {
  const replica = { ...GATEWAY, id: 'gw-2', addresses: ['10.0.0.10'] };
  const far = proxy('far', { id: 'far', type: 'router', namespace: 'far', labels: GATEWAY.labels });
  const rig = mesh([gateway('g', [HTTP])], bound('vs', 'a.example.com', 'a', { exportTo: ['.'] }));
  rig.connect(replica, far);
  strictEqual(rig.routeEntries(replica).get('http.8080'), rig.routeEntries(GATEWAY).get('http.8080'));
  deepStrictEqual(hostsOf(rig, 'http.8080', far)[0]?.name, 'blackhole:8080');
});

test('a changed VirtualService encodes its own routes again, not those of others', () => {
  const others = Array.from({ length: 20 }, (_, i) => bound(`vs${i}`, `h${i}.example.com`, 'a'));
  const rig = mesh([gateway('g', [HTTP])], ...others);
  const before = rig.interner.encoded;
  rig.apply(bound('vs3', 'h3.example.com', 'b'));
  // Its route list, the hosts in one piece, the table.
  strictEqual(rig.interner.encoded - before, 3);
});
