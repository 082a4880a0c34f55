import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { HttpRoute } from '#api/virtual-service.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { Proxy } from '#model/proxy.ts';
import { kubernetesService, object, port, proxy, serviceEntry } from '#model/service-model-rig.ts';
import {
  httpService,
  type RouteRig,
  routeRig,
  sendTo,
  virtualService,
  type VirtualHostJson,
} from './route-rig.ts';

const CLIENT = proxy('client');

/** A mesh with services a (10.0.0.1) and b (10.0.0.2), both on port 80, and the client connected. */
function mesh(...objects: readonly MeshObject[]): RouteRig {
  const rig = routeRig();
  rig.apply(httpService('a', '10.0.0.1'), httpService('b', '10.0.0.2'), ...objects);
  rig.connect(CLIENT);
  return rig;
}

function fullName(name: string, namespace = 'default'): string {
  return `${name}.${namespace}.svc.cluster.local`;
}

/** Where the first routes of each virtual host lead, by name of the virtual host. */
function destinations(
  rig: RouteRig,
  table = '80',
  client: Proxy = CLIENT,
): Readonly<Record<string, unknown>> {
  const hosts = rig.table(client, table).virtualHosts ?? [];
  return Object.fromEntries(hosts.map((host) => [host.name, firstCluster(host)]));
}

function firstCluster(host: VirtualHostJson): unknown {
  const route = host.routes?.[0]?.['route'] as { cluster?: string } | undefined;
  return route?.cluster ?? null;
}

function domainsOf(rig: RouteRig, name: string, table = '80'): readonly string[] | undefined {
  return rig.table(CLIENT, table).virtualHosts?.find((host) => host.name === name)?.domains;
}

const A = `${fullName('a')}:80`;
const B = `${fullName('b')}:80`;
const TO_A = `outbound|80||${fullName('a')}`;
const TO_B = `outbound|80||${fullName('b')}`;

test('a service without VirtualService goes to its own cluster, an unknown host where it was going', () => {
  deepStrictEqual(destinations(mesh()), { [A]: TO_A, [B]: TO_B, allow_any: 'PassthroughCluster' });
});

test('unknown hosts are refused where only the registry counts', () => {
  const rig = mesh();
  rig.meshConfig.set('mesh', { outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } });
  rig.engine.settle();
  const last = rig.table(CLIENT, '80').virtualHosts?.at(-1);
  deepStrictEqual([last?.name, last?.routes?.[0]?.['directResponse']], ['block_all', { status: 502 }]);
});

test('there is one table for each HTTP port', () => {
  const rig = mesh(httpService('c', '10.0.0.3', [9080, 80]));
  deepStrictEqual([...rig.routeEntries(CLIENT).keys()], ['80', '9080']);
});

test('a VirtualService routes its host and no other', () => {
  const rig = mesh(virtualService('vs', { hosts: ['a'], http: [sendTo('b')] }));
  deepStrictEqual(destinations(rig), { [A]: TO_B, [B]: TO_B, allow_any: 'PassthroughCluster' });
});

test('of two VirtualServices for a host the older one counts, whole', () => {
  const older = virtualService('z', { hosts: ['a'], http: [sendTo('b')] }, { createdAtMs: 1 });
  const younger = virtualService('y', { hosts: ['a'], http: [sendTo('a')] }, { createdAtMs: 2 });
  strictEqual(destinations(mesh(younger, older))[A], TO_B);
});

test('a VirtualService that is private to the namespace comes before a public older one', () => {
  const visible = virtualService('a', { hosts: ['a'], http: [sendTo('a')] }, { createdAtMs: 1 });
  const own = virtualService('b', { hosts: ['a'], exportTo: ['.'], http: [sendTo('b')] }, { createdAtMs: 2 });
  strictEqual(destinations(mesh(visible, own))[A], TO_B);
});

test('a VirtualService that is not exported to the client does not count', () => {
  const hidden = virtualService(
    'v',
    { hosts: [fullName('a')], exportTo: ['.'], http: [sendTo(fullName('b'))] },
    { namespace: 'other' },
  );
  strictEqual(destinations(mesh(hidden))[A], TO_A);
});

test('where the first VirtualService has no route for the port the next one counts', () => {
  const first = virtualService('a', { hosts: ['a'], http: [sendTo('a', { match: [{ port: 81 }] })] });
  const second = virtualService('b', { hosts: ['a'], http: [sendTo('b')] });
  strictEqual(destinations(mesh(first, second))[A], TO_B);
});

test('an exact host comes before a wildcard, a longer wildcard before a shorter one', () => {
  const wide = virtualService('a', { hosts: ['*.local'], http: [sendTo('b')] });
  const narrow = virtualService('b', { hosts: ['*.default.svc.cluster.local'], http: [sendTo('a')] });
  const exact = virtualService('c', { hosts: ['b'], http: [sendTo('a')] });
  const rig = mesh(wide);
  deepStrictEqual([destinations(rig)[A], destinations(rig)[B]], [TO_B, TO_B]);
  rig.apply(narrow);
  deepStrictEqual([destinations(rig)[A], destinations(rig)[B]], [TO_A, TO_A]);
  rig.apply(exact);
  rig.remove('VirtualService', 'default/b');
  deepStrictEqual([destinations(rig)[A], destinations(rig)[B]], [TO_B, TO_A]);
});

test('a host without service is routed on port 80, and on the ports of services beside it', () => {
  const rig = mesh(
    httpService('c', '10.0.0.3', [9080]),
    virtualService('vs', { hosts: ['shop.example.com', fullName('c')], http: [sendTo('a')] }),
    virtualService('alone', { hosts: ['alone.example.com'], http: [sendTo('a')] }),
  );
  deepStrictEqual(
    ['80', '9080'].map((table) =>
      Object.keys(destinations(rig, table)).filter((name) => name.includes('example')),
    ),
    [['alone.example.com:80', 'shop.example.com:80'], ['shop.example.com:9080']],
  );
  deepStrictEqual(domainsOf(rig, 'shop.example.com:80'), ['shop.example.com']);
});

test('a host without service whose VirtualServices have no route for the client is left out', () => {
  const rig = mesh(
    virtualService('vs', {
      hosts: ['x.example.com'],
      http: [sendTo('a', { match: [{ sourceNamespace: 'other' }] })],
    }),
  );
  deepStrictEqual(Object.keys(destinations(rig)).sort(), [A, 'allow_any', B].sort());
});

test('a short name gives way to a service that is really called so', () => {
  const rig = mesh(serviceEntry('e', { hosts: ['a.default'], resolution: 'DNS' }));
  deepStrictEqual(
    [domainsOf(rig, A), domainsOf(rig, 'a.default:80')?.[0]],
    [[fullName('a'), `${fullName('a')}.`, 'a', 'a.default.svc', '10.0.0.1'], 'a.default'],
  );
});

test('an address that two services want goes to one of them', () => {
  const rig = mesh(httpService('c', '10.0.0.1'));
  const owners = [A, `${fullName('c')}:80`].filter((name) => domainsOf(rig, name)?.includes('10.0.0.1'));
  deepStrictEqual(owners, [A]);
});

test('a host that takes every name leaves nothing for unknown hosts', () => {
  const rig = mesh(
    virtualService('vs', { hosts: ['*'], http: [sendTo('a')] }),
    serviceEntry('e', { hosts: ['*'], resolution: 'DNS' }),
  );
  ok(!Object.keys(destinations(rig)).includes('allow_any'));
});

test('routes without port go to the port that the request came in on', () => {
  const rig = mesh(
    httpService('c', '10.0.0.3', [9080]),
    virtualService('vs', { hosts: ['a'], http: [sendTo('c')] }),
  );
  strictEqual(destinations(rig)[A], `outbound|80||${fullName('c')}`);
});

test('only labels that a VirtualService asks for tell clients apart', () => {
  const canary = proxy('canary', { id: 'canary', labels: { app: 'client', version: 'v2' } });
  const stable = proxy('stable', { id: 'stable', labels: { app: 'client', version: 'v1' } });
  const rig = mesh();
  rig.connect(canary, stable);
  strictEqual(rig.routeEntries(canary).get('80'), rig.routeEntries(stable).get('80'));
  const rules: HttpRoute[] = [sendTo('b', { match: [{ sourceLabels: { version: 'v2' } }] }), sendTo('a')];
  rig.apply(virtualService('vs', { hosts: ['a'], http: rules }));
  deepStrictEqual(
    [canary, stable, CLIENT].map((client) => destinations(rig, '80', client)[A]),
    [TO_B, TO_A, TO_A],
  );
  strictEqual(rig.routeEntries(CLIENT).get('80'), rig.routeEntries(stable).get('80'));
});

test('a client that wants no attempt count has tables of its own', () => {
  const quiet = proxy('quiet', {
    id: 'quiet',
    proxyConfig: { proxyHeaders: { attemptCount: { disabled: true } } },
  });
  const rig = mesh();
  rig.connect(quiet);
  const counts = (client: Proxy) =>
    rig.table(client, '80').virtualHosts?.map((host) => 'includeRequestAttemptCount' in host);
  deepStrictEqual(
    [counts(CLIENT), counts(quiet)],
    [
      [true, true, true],
      [false, false, false],
    ],
  );
});

test('a sniffed port with an address has a table of its own that takes every Host', () => {
  const spec = { clusterIP: '10.0.0.9', clusterIPs: ['10.0.0.9'], ports: [port('data', { port: 7000 })] };
  const rig = mesh(kubernetesService('s', spec));
  const name = `${fullName('s')}:7000`;
  deepStrictEqual(
    rig.table(CLIENT, name).virtualHosts?.map((host) => [host.name, host.domains]),
    [[name, ['*']]],
  );
  deepStrictEqual(Object.keys(destinations(rig, '7000')), [name, 'allow_any']);
});

test('a sniffed port of a headless service has its own table too: its listeners are at the endpoints', () => {
  const spec = { clusterIP: 'None', clusterIPs: ['None'], ports: [port('data', { port: 7000 })] };
  const rig = mesh(kubernetesService('s', spec));
  const name = `${fullName('s')}:7000`;
  deepStrictEqual(
    rig.table(CLIENT, name).virtualHosts?.map((host) => [host.name, host.domains]),
    [[name, ['*']]],
  );
});

test('a host has the names of aliases of its aliases, and circles of aliases have none', () => {
  const alias = (name: string, externalName: string) =>
    kubernetesService(name, { type: 'ExternalName', clusterIP: '', clusterIPs: [], externalName });
  const rig = mesh(
    alias('c', fullName('d')),
    alias('d', fullName('a')),
    alias('x', fullName('y')),
    alias('y', fullName('x')),
  );
  deepStrictEqual(
    domainsOf(rig, A)?.filter((name) => name.endsWith('.local')),
    [fullName('a'), fullName('c'), fullName('d')],
  );
});

test('the HTTP proxy serves all ports, told apart by the port of Host', () => {
  const bound = proxy('bound', { id: 'bound', interceptionMode: 'NONE', httpProxyPort: 15007 });
  const rig = mesh(
    httpService('c', '10.0.0.3', [9080]),
    virtualService('vs', { hosts: ['a'], http: [sendTo('c')] }),
  );
  rig.connect(bound);
  const table = rig.table(bound, 'http_proxy');
  strictEqual(table.ignorePortInHostMatching, undefined);
  const domains = Object.fromEntries((table.virtualHosts ?? []).map((host) => [host.name, host.domains]));
  deepStrictEqual(domains[`${fullName('c')}:9080`]?.slice(0, 3), [
    `${fullName('c')}:9080`,
    `${fullName('c')}.:9080`,
    'c:9080',
  ]);
  deepStrictEqual(domains[A]?.slice(0, 2), [fullName('a'), `${fullName('a')}:80`]);
  // Here a destination's only port counts: there is no listener whose port it could be.
  strictEqual(destinations(rig, 'http_proxy', bound)[A], `outbound|9080||${fullName('c')}`);
});

test('a Sidecar narrows each port to what its listener imports', () => {
  const rig = mesh(
    httpService('far', '10.0.0.4', [80], 'other'),
    object('Sidecar', 's', {
      egress: [{ port: { number: 80, protocol: 'HTTP' }, hosts: ['other/*'] }, { hosts: ['./*'] }],
      outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' },
    }),
    httpService('c', '10.0.0.3', [9080]),
  );
  deepStrictEqual(
    ['80', '9080'].map((table) => Object.keys(destinations(rig, table))),
    [
      [`${fullName('far', 'other')}:80`, 'block_all'],
      [`${fullName('c')}:9080`, 'block_all'],
    ],
  );
});

test('a Sidecar listener has a table also when nothing is imported on its port', () => {
  const rig = mesh(
    object('Sidecar', 's', { egress: [{ port: { number: 7777, protocol: 'HTTP' }, hosts: ['other/*'] }] }),
  );
  deepStrictEqual(Object.keys(destinations(rig, '7777')), ['allow_any']);
});

test('a table names the objects and fields that shaped it', () => {
  const rig = mesh(
    virtualService('vs', {
      hosts: ['a'],
      http: [{ match: [{ uri: { prefix: '/x' } }], ...sendTo('b') }, sendTo('a')],
    }),
  );
  const causes = rig.routeEntries(CLIENT).get('80')?.causes ?? [];
  deepStrictEqual(causes.map((cause) => `${cause.kind} ${cause.name} ${cause.path}`).sort(), [
    'Service a ',
    'Service b ',
    'VirtualService vs spec.http[0].match[0]',
    'VirtualService vs spec.http[1]',
  ]);
});

test('a change of causes alone leaves the resource as it is', () => {
  const rules: HttpRoute[] = [
    { match: [{ uri: { exact: '/x' }, port: 81 }, { uri: { exact: '/y' } }], ...sendTo('b') },
    sendTo('a'),
  ];
  const rig = mesh(virtualService('vs', { hosts: ['a'], http: rules }));
  const before = rig.routeEntries(CLIENT).get('80');
  const [first, ...rest] = rules;
  rig.apply(
    virtualService('vs', {
      hosts: ['a'],
      http: [{ ...first, match: (first?.match ?? []).slice(1) }, ...rest],
    }),
  );
  const after = rig.routeEntries(CLIENT).get('80');
  deepStrictEqual([after?.resource === before?.resource, after === before], [true, false]);
});

test('a changed VirtualService encodes its host, the shard and the tables it is in, and nothing else', () => {
  const rig = routeRig();
  const services = Array.from({ length: 300 }, (_, i) => httpService(`s${i}`, `10.1.${i >> 8}.${i & 255}`));
  rig.apply(...services, virtualService('vs', { hosts: ['s7'], http: [sendTo('s8')] }));
  rig.connect(CLIENT, proxy('other', { id: 'other', namespace: 'other' }));
  const [encoded, recomputed] = [rig.interner.encoded, rig.engine.counters.recomputed];
  rig.apply(virtualService('vs', { hosts: ['s7'], http: [sendTo('s9')] }));
  // Two viewers, each: the virtual host, its shard, the table.
  strictEqual(rig.interner.encoded - encoded, 6);
  ok(rig.engine.counters.recomputed - recomputed < 30, String(rig.engine.counters.recomputed - recomputed));
});

test('a changed VirtualService of another port leaves a table alone', () => {
  const rig = mesh(
    httpService('c', '10.0.0.3', [9080]),
    virtualService('vs', { hosts: ['a'], http: [sendTo('b')] }),
  );
  const before = rig.routeEntries(CLIENT).get('9080');
  rig.apply(virtualService('vs', { hosts: ['a'], http: [sendTo('a')] }));
  ok(before !== undefined && rig.routeEntries(CLIENT).get('9080') === before);
});

test('namespaces that see the same share the bytes of a table', () => {
  const [one, two] = ['one', 'two'].map((namespace) => proxy(namespace, { id: namespace, namespace }));
  const rig = mesh();
  rig.connect(one as Proxy, two as Proxy);
  strictEqual(
    rig.routeEntries(one as Proxy).get('80')?.resource,
    rig.routeEntries(two as Proxy).get('80')?.resource,
  );
});

test('a viewer without proxies has no tables', () => {
  const rig = mesh();
  rig.disconnect(CLIENT);
  deepStrictEqual(rig.routeEntries(CLIENT).size, 0);
});
