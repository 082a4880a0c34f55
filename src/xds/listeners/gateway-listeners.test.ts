import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { JsonObject } from '@bufbuild/protobuf';
import type { GatewayServer, GatewaySpec } from '#api/gateway.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { Proxy } from '#model/proxy.ts';
import { object, proxy } from '#model/service-model-rig.ts';
import { httpService, type RouteRig, routeRig, sendTo, virtualService } from '#xds/routes/route-rig.ts';

const GATEWAY = proxy('gw', { id: 'gw', type: 'router', labels: { istio: 'gw' } });
const HTTP: GatewayServer = { port: { number: 8080, name: 'http', protocol: 'HTTP' }, hosts: ['*'] };
const PASSTHROUGH: GatewayServer = {
  port: { number: 8443, name: 'tls', protocol: 'TLS' },
  hosts: ['*.example.com'],
  tls: { mode: 'PASSTHROUGH' },
};

function mesh(servers: readonly GatewayServer[], ...objects: readonly MeshObject[]): RouteRig {
  const rig = routeRig();
  rig.gateways.set(
    'default/g',
    object<GatewaySpec>('Gateway', 'g', { selector: { istio: 'gw' }, servers: [...servers] }),
  );
  rig.apply(httpService('a', '10.0.0.1', [8000]), httpService('b', '10.0.0.2', [8000]), ...objects);
  rig.connect(GATEWAY);
  return rig;
}

interface ChainJson extends JsonObject {
  readonly filters: { name: string; typedConfig: JsonObject }[];
}

function chains(rig: RouteRig, name: string, from: Proxy = GATEWAY): readonly ChainJson[] {
  return (rig.listener(from, name)['filterChains'] ?? []) as unknown as ChainJson[];
}

/** Server names of a chain and where it leads. */
function outline(chain: ChainJson): unknown {
  const [filter] = chain.filters;
  const match = chain['filterChainMatch'] as { serverNames?: string[] } | undefined;
  const rds = filter?.typedConfig['rds'] as { routeConfigName?: string } | undefined;
  return [match?.serverNames ?? [], rds?.routeConfigName ?? filter?.typedConfig['cluster'] ?? 'several'];
}

test('plain HTTP is one chain to the table of the port, on all addresses', () => {
  const rig = mesh([HTTP]);
  deepStrictEqual(
    [[...rig.listenerEntries(GATEWAY).keys()], rig.listener(GATEWAY, '0.0.0.0_8080')['address']],
    [['0.0.0.0_8080'], { socketAddress: { address: '0.0.0.0', portValue: 8080 } }],
  );
  deepStrictEqual(chains(rig, '0.0.0.0_8080').map(outline), [[[], 'http.8080']]);
  deepStrictEqual(rig.listenerEntries(GATEWAY).get('0.0.0.0_8080')?.resource.references, ['http.8080']);
});

test('on one machine the proxy binds its own address under the same name', () => {
  const own = proxy('own', {
    id: 'own',
    type: 'router',
    labels: { istio: 'gw' },
    interceptionMode: 'NONE',
    addresses: ['127.0.2.1'],
  });
  const rig = mesh([HTTP, { ...HTTP, bind: '127.0.0.7' }]);
  rig.connect(own);
  deepStrictEqual(
    ['0.0.0.0_8080', '127.0.0.7_8080'].map((name) => rig.listener(own, name)['address']),
    ['127.0.2.1', '127.0.0.7'].map((address) => ({ socketAddress: { address, portValue: 8080 } })),
  );
});

test('a proxy with IPv6 addresses alone listens on all of those', () => {
  const own = proxy('six', { id: 'six', type: 'router', labels: { istio: 'gw' }, addresses: ['fd00::1'] });
  const rig = mesh([HTTP]);
  rig.connect(own);
  deepStrictEqual([...rig.listenerEntries(own).keys()], ['::_8080']);
});

test('HTTPS servers are chains by server name, with a certificate each', () => {
  const secure = (name: string): GatewayServer => ({
    port: { number: 8443, name, protocol: 'HTTPS' },
    hosts: [`${name}.example.com`],
    tls: { mode: 'SIMPLE', credentialName: name },
  });
  const rig = mesh([secure('a'), secure('b')]);
  deepStrictEqual(chains(rig, '0.0.0.0_8443').map(outline), [
    [['a.example.com'], 'https.8443.a.g.default'],
    [['b.example.com'], 'https.8443.b.g.default'],
  ]);
  const filters = rig.listener(GATEWAY, '0.0.0.0_8443')['listenerFilters'] as unknown as { name: string }[];
  deepStrictEqual(
    filters.map((filter) => filter.name),
    ['envoy.filters.listener.tls_inspector'],
  );
});

test('TLS passes through by server name to what the VirtualServices say', () => {
  const tls = [
    { match: [{ port: 8443, sniHosts: ['a.example.com'] }], route: [{ destination: { host: 'a' } }] },
    {
      match: [{ sniHosts: ['b.example.com'] }],
      route: [
        { destination: { host: 'a' }, weight: 1 },
        { destination: { host: 'b' }, weight: 3 },
      ],
    },
    { match: [{ port: 9443, sniHosts: ['c.example.com'] }], route: [{ destination: { host: 'a' } }] },
  ];
  const rig = mesh([PASSTHROUGH], virtualService('vs', { hosts: ['*.example.com'], gateways: ['g'], tls }));
  deepStrictEqual(chains(rig, '0.0.0.0_8443').map(outline), [
    [['a.example.com'], 'outbound|8000||a.default.svc.cluster.local'],
    [['b.example.com'], 'several'],
  ]);
});

test('a server name that is taken already costs only the later rule', () => {
  const rule = (host: string) => ({
    match: [{ sniHosts: ['a.example.com'] }],
    route: [{ destination: { host } }],
  });
  const spec = { hosts: ['*.example.com'], gateways: ['g'] };
  const rig = mesh(
    [PASSTHROUGH],
    virtualService('one', { ...spec, tls: [rule('a')] }, { createdAtMs: 1 }),
    virtualService('two', { ...spec, tls: [rule('b')] }, { createdAtMs: 2 }),
  );
  deepStrictEqual(chains(rig, '0.0.0.0_8443').map(outline), [
    [['a.example.com'], 'outbound|8000||a.default.svc.cluster.local'],
  ]);
  const [findings] = rig.gatewayDiagnostics.all().values();
  deepStrictEqual(
    findings?.map((finding) => [finding.code, finding.resource?.name, finding.path]),
    [['LTN5012', 'two', 'spec.tls[0].match[0]']],
  );
});

test('TCP goes to the first rule that fits the server; without one there is no listener', () => {
  const server: GatewayServer = { port: { number: 9000, name: 'tcp', protocol: 'TCP' }, hosts: ['*'] };
  const tcp = [
    { match: [{ port: 9999 }], route: [{ destination: { host: 'b' } }] },
    { route: [{ destination: { host: 'a', port: { number: 7 } } }] },
  ];
  const rig = mesh([server]);
  deepStrictEqual(rig.listenerEntries(GATEWAY).size, 0);
  rig.apply(virtualService('vs', { hosts: ['*'], gateways: ['g'], tcp }));
  deepStrictEqual(chains(rig, '0.0.0.0_9000').map(outline), [
    [[], 'outbound|7||a.default.svc.cluster.local'],
  ]);
});

test('where TLS passes through under any name, names are looked for all the same', () => {
  const tls = [{ match: [{ sniHosts: ['*'] }], route: [{ destination: { host: 'a' } }] }];
  const rig = mesh(
    [{ ...PASSTHROUGH, hosts: ['*'] }],
    virtualService('vs', { hosts: ['*'], gateways: ['g'], tls }),
  );
  const filters = rig.listener(GATEWAY, '0.0.0.0_8443')['listenerFilters'] as unknown as { name: string }[];
  deepStrictEqual(
    filters.map(({ name }) => name),
    ['envoy.filters.listener.tls_inspector'],
  );
});

test('AUTO_PASSTHROUGH has a chain for each service port, for mesh TLS only', () => {
  const server: GatewayServer = {
    port: { number: 15443, name: 'tls', protocol: 'TLS' },
    hosts: ['*.local'],
    tls: { mode: 'AUTO_PASSTHROUGH' },
  };
  const [first, ...others] = chains(mesh([server]), '0.0.0.0_15443');
  const match = first?.['filterChainMatch'] as JsonObject | undefined;
  deepStrictEqual(
    [
      match?.['serverNames'],
      (match?.['applicationProtocols'] as string[] | undefined)?.includes('istio'),
      others.length,
    ],
    [['outbound_.8000_._.a.default.svc.cluster.local'], true, 1],
  );
});

test('a VirtualService for HTTP does not change the listener', () => {
  const rig = mesh([HTTP]);
  const before = rig.listenerEntries(GATEWAY).get('0.0.0.0_8080');
  rig.apply(virtualService('vs', { hosts: ['a.example.com'], gateways: ['g'], http: [sendTo('a')] }));
  strictEqual(rig.listenerEntries(GATEWAY).get('0.0.0.0_8080'), before);
});

test('the topology of the proxy says how many proxies in front are believed', () => {
  const behind = proxy('behind', {
    id: 'behind',
    type: 'router',
    labels: { istio: 'gw' },
    proxyConfig: { gatewayTopology: { numTrustedProxies: 2, proxyProtocol: {} } },
  });
  const rig = mesh([HTTP]);
  rig.connect(behind);
  const [chain] = chains(rig, '0.0.0.0_8080', behind);
  const filters = rig.listener(behind, '0.0.0.0_8080')['listenerFilters'] as unknown as { name: string }[];
  deepStrictEqual(
    [chain?.filters[0]?.typedConfig['xffNumTrustedHops'], filters.map((filter) => filter.name)],
    [2, ['envoy.filters.listener.proxy_protocol']],
  );
});
