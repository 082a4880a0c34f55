import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { DestinationRuleSpec } from '#api/destination-rule.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { Proxy } from '#model/proxy.ts';
import {
  kubernetesService,
  object,
  proxy,
  READER,
  type ServiceModelRig,
  serviceEntry,
  serviceModelRig,
} from '#model/service-model-rig.ts';
import { createOutboundScope, type OutboundScope } from './outbound-host-model.ts';

interface Rig extends ServiceModelRig {
  readonly scope: OutboundScope;
  connect(...proxies: readonly Proxy[]): void;
  disconnect(proxy: Proxy): void;
  seen(proxy: Proxy): readonly string[];
  policyName(proxy: Proxy, hostname: string): string | undefined;
}

function rigWith(...objects: readonly MeshObject[]): Rig {
  const rig = serviceModelRig();
  const { engine, model: serviceModel, of } = rig;
  const proxies = engine.source<Proxy>('proxies');
  const scope = createOutboundScope({
    engine,
    proxies,
    serviceModel,
    destinationRules: of('DestinationRule'),
    sidecars: of('Sidecar'),
    virtualServices: of('VirtualService'),
  });
  rig.apply(...objects);
  const bucket = (of: Proxy) => scope.hostsByViewer.bucket(scope.viewerOf(READER, of));
  return {
    ...rig,
    scope,
    connect(...connected) {
      for (const each of connected) proxies.set(each.id, each);
      engine.settle();
    },
    disconnect(gone) {
      proxies.delete(gone.id);
      engine.settle();
    },
    seen: (of) =>
      [...bucket(of)].map(
        ([host, { service }]) =>
          `${host} of ${service.namespace} on ${service.ports.map((p) => p.number).join()}`,
      ),
    policyName: (of, hostname) => bucket(of).get(hostname)?.policy?.causes[0]?.name,
  };
}

function inNamespace(namespace: string, overrides: Partial<Proxy> = {}): Proxy {
  return proxy(`p.${namespace}`, {
    id: `${namespace}${overrides.type ?? ''}${JSON.stringify(overrides.labels ?? {})}`,
    namespace,
    ...overrides,
  });
}

function entry(namespace: string, name: string, spec: object, createdAtMs = 1) {
  return serviceEntry(name, { hosts: ['x.com'], resolution: 'DNS', ...spec }, { namespace, createdAtMs });
}

function rule(namespace: string, name: string, spec: DestinationRuleSpec) {
  return object('DestinationRule', name, spec, { namespace });
}

test('a viewer is a namespace; gateways and proxies without interception have their own', () => {
  const rig = rigWith();
  const proxies = [
    inNamespace('a'),
    inNamespace('a', { labels: { v: '2' } }),
    inNamespace('a', { type: 'router' }),
    inNamespace('a', { interceptionMode: 'NONE' }),
    inNamespace('a', { addresses: ['fd00::1'] }),
  ];
  deepStrictEqual(
    proxies.map((each) => rig.scope.viewerOf(READER, each)),
    ['a', 'a', 'a~router', 'a~none', 'a~ipv6'],
  );
});

test('services are seen where they are exported to', () => {
  const a = inNamespace('a');
  const b = inNamespace('b');
  const rig = rigWith(
    kubernetesService('open', {}, { namespace: 'a' }),
    kubernetesService('own', {}, { namespace: 'a', annotations: { 'networking.istio.io/exportTo': '.' } }),
    kubernetesService('hidden', {}, { namespace: 'a', annotations: { 'networking.istio.io/exportTo': '~' } }),
    kubernetesService('forb', {}, { namespace: 'a', annotations: { 'networking.istio.io/exportTo': 'b' } }),
  );
  rig.connect(a, b);
  deepStrictEqual(rig.seen(a), ['open.a.svc.cluster.local of a on 80', 'own.a.svc.cluster.local of a on 80']);
  deepStrictEqual(rig.seen(b), [
    'forb.a.svc.cluster.local of a on 80',
    'open.a.svc.cluster.local of a on 80',
  ]);
});

test('of several services for a host the own namespace wins, else what is exported to it, else the oldest', () => {
  const rig = rigWith(
    entry('a', 'e', {}, 3),
    entry('b', 'e', {}, 2),
    entry('c', 'e', { exportTo: ['d'] }, 9),
  );
  const viewers = ['a', 'b', 'd', 'e'].map((namespace) => inNamespace(namespace));
  rig.connect(...viewers);
  deepStrictEqual(
    viewers.map((each) => rig.seen(each)),
    [['x.com of a on 80'], ['x.com of b on 80'], ['x.com of c on 80'], ['x.com of b on 80']],
  );
});

test('a gateway does not prefer its own namespace', () => {
  const gateway = inNamespace('a', { type: 'router' });
  const rig = rigWith(entry('a', 'e', {}, 3), entry('b', 'e', {}, 2));
  rig.connect(gateway);
  deepStrictEqual(rig.seen(gateway), ['x.com of b on 80']);
});

const HOST = 'reviews.svc.svc.cluster.local';

interface LookUp {
  readonly sentence: string;
  readonly rules: readonly MeshObject[];
  /** Name of the rule that applies to clients in `client`, in `svc` (the service's namespace), and in `istio-system`. */
  readonly expected: readonly (string | undefined)[];
}

const LOOK_UPS: readonly LookUp[] = [
  {
    sentence: 'the rule of the client wins over that of the service, and that over the mesh',
    rules: [
      rule('client', 'ofClient', { host: HOST }),
      rule('svc', 'ofService', { host: 'reviews' }),
      rule('istio-system', 'ofMesh', { host: '*.svc.cluster.local' }),
    ],
    expected: ['ofClient', 'ofService', 'ofService'],
  },
  {
    sentence: 'rules of the root namespace are for all',
    rules: [rule('istio-system', 'ofMesh', { host: '*.local' })],
    expected: ['ofMesh', 'ofMesh', 'ofMesh'],
  },
  {
    sentence: 'a private rule of the root namespace is for its own clients only',
    rules: [rule('istio-system', 'ofMesh', { host: '*.local', exportTo: ['.'] })],
    expected: [undefined, undefined, 'ofMesh'],
  },
  {
    sentence: 'a rule of a third namespace concerns nobody else',
    rules: [rule('third', 'other', { host: HOST })],
    expected: [undefined, undefined, undefined],
  },
  {
    sentence: 'an exact host beats wildcards, a long wildcard beats a short one',
    rules: [
      rule('client', 'all', { host: '*' }),
      rule('client', 'long', { host: '*.svc.svc.cluster.local' }),
      rule('svc', 'exact', { host: HOST }),
      rule('svc', 'wild', { host: '*.cluster.local' }),
    ],
    expected: ['long', 'exact', 'exact'],
  },
  {
    sentence: 'a rule that is not exported to the client is passed over for the mesh',
    rules: [
      rule('svc', 'ofService', { host: HOST, exportTo: ['third'] }),
      rule('istio-system', 'ofMesh', { host: '*' }),
    ],
    expected: ['ofMesh', 'ofMesh', 'ofMesh'],
  },
];

for (const { sentence, rules, expected } of LOOK_UPS) {
  test(sentence, () => {
    const rig = rigWith(kubernetesService('reviews', {}, { namespace: 'svc' }), ...rules);
    const viewers = ['client', 'svc', 'istio-system'].map((namespace) => inNamespace(namespace));
    rig.connect(...viewers);
    deepStrictEqual(
      viewers.map((each) => rig.policyName(each, HOST)),
      expected,
    );
  });
}

test('a rule with a selector is for the workloads that it selects', () => {
  const selected = inNamespace('a', { labels: { app: 'x' } });
  const other = inNamespace('a');
  const rig = rigWith(
    kubernetesService('reviews', {}, { namespace: 'a' }),
    rule('a', 'forX', { host: 'reviews', workloadSelector: { matchLabels: { app: 'x' } } }),
    rule('a', 'forAll', { host: 'reviews' }),
  );
  rig.connect(selected, other);
  const host = 'reviews.a.svc.cluster.local';
  deepStrictEqual([rig.policyName(selected, host), rig.policyName(other, host)], ['forX', 'forAll']);
});

function sidecar(namespace: string, spec: object) {
  return object('Sidecar', 'default', spec, { namespace });
}

const MESH = [
  kubernetesService('one', {}, { namespace: 'a' }),
  kubernetesService('two', {}, { namespace: 'b' }),
  serviceEntry('ext', { hosts: ['api.x.com', 'www.x.com'], resolution: 'DNS' }, { namespace: 'b' }),
];

const IMPORTS: readonly (readonly [readonly string[], readonly string[]])[] = [
  [['./*'], ['one.a.svc.cluster.local']],
  [['b/*'], ['api.x.com', 'two.b.svc.cluster.local', 'www.x.com']],
  [['*/*.x.com'], ['api.x.com', 'www.x.com']],
  [
    ['b/api.x.com', './*'],
    ['api.x.com', 'one.a.svc.cluster.local'],
  ],
  [
    ['*/*', '~b/*.x.com'],
    ['one.a.svc.cluster.local', 'two.b.svc.cluster.local'],
  ],
];

for (const [hosts, expected] of IMPORTS) {
  test(`a Sidecar with egress hosts ${hosts.join(' ')} shows ${expected.join(' ')}`, () => {
    const a = inNamespace('a');
    const rig = rigWith(...MESH, sidecar('a', { egress: [{ hosts }] }));
    rig.connect(a);
    deepStrictEqual(
      rig.seen(a).map((line) => line.split(' ')[0]),
      expected,
    );
  });
}

test('an egress listener with a port shows only this port of services', () => {
  const a = inNamespace('a');
  const ports = [80, 81].map((number) => ({ name: `http-${number}`, number, protocol: 'HTTP' }));
  const rig = rigWith(
    serviceEntry('e', { hosts: ['x.com'], resolution: 'DNS', ports }, { namespace: 'b' }),
    sidecar('a', { egress: [{ port: { number: 81, protocol: 'HTTP', name: 'h' }, hosts: ['*/*'] }] }),
  );
  rig.connect(a);
  deepStrictEqual(rig.seen(a), ['x.com of b on 81']);
});

test('destinations of imported VirtualServices are seen too', () => {
  const a = inNamespace('a');
  const route = { http: [{ route: [{ destination: { host: 'two.b.svc.cluster.local' } }] }] };
  const rig = rigWith(
    ...MESH,
    sidecar('a', { egress: [{ hosts: ['./*'] }] }),
    object('VirtualService', 'vs', { hosts: ['one'], ...route }, { namespace: 'a' }),
  );
  rig.connect(a);
  deepStrictEqual(
    rig.seen(a).map((line) => line.split(' ')[0]),
    ['one.a.svc.cluster.local', 'two.b.svc.cluster.local'],
  );
});

test('the Sidecar that selects a workload wins over that of the namespace, and that over that of the mesh', () => {
  const rig = rigWith(
    ...MESH,
    object('Sidecar', 'mine', { workloadSelector: { labels: { app: 'x' } } }, { namespace: 'a' }),
    sidecar('a', {}),
    object('Sidecar', 'mesh', {}, { namespace: 'istio-system' }),
  );
  const proxies = [
    inNamespace('a', { labels: { app: 'x' } }),
    inNamespace('a'),
    inNamespace('b'),
    inNamespace('a', { type: 'router' }),
  ];
  deepStrictEqual(
    proxies.map((each) => rig.scope.viewerOf(READER, each)),
    ['a/mine', 'a/default', 'b/istio-system/mesh', 'a~router'],
  );
});

test('a proxy that answers DNS sees hosts at the addresses that were chosen for them', () => {
  const families = [['10.9.0.1'], ['fd00::1'], ['10.9.0.1', 'fd00::1']];
  const rig = rigWith(serviceEntry('e', { hosts: ['db.com'], resolution: 'DNS' }, { namespace: 'a' }));
  const addresses = families.map((own, i) => {
    const client = inNamespace('a', { id: `c${i}`, addresses: own, dnsCapture: true });
    rig.connect(client);
    const viewer = rig.scope.viewerOf(READER, client);
    return rig.scope.hosts.get(`${viewer}|db.com`)?.service.addresses.map((text) => text.split(/[.:]/, 1)[0]);
  });
  const plain = inNamespace('a', { id: 'plain' });
  rig.connect(plain);
  deepStrictEqual(rig.scope.hosts.get('a|db.com')?.service.addresses, []);
  deepStrictEqual(addresses, [['240'], ['2001'], ['240']]);
});

test('hosts keep their identity while nothing about them changes', () => {
  const a = inNamespace('a');
  const rig = rigWith(...MESH);
  rig.connect(a);
  const before = rig.scope.hosts.get('a|one.a.svc.cluster.local');
  rig.apply(kubernetesService('three', {}, { namespace: 'a' }), rule('a', 'r', { host: 'api.x.com' }));
  ok(before !== undefined);
  strictEqual(rig.scope.hosts.get('a|one.a.svc.cluster.local'), before);
});

test('a new service costs one shard per viewer, whatever the mesh holds', () => {
  const viewers = ['a', 'b', 'c'].map((namespace) => inNamespace(namespace));
  const rig = rigWith(...Array.from({ length: 300 }, (_, i) => kubernetesService(`svc${i}`)));
  rig.connect(...viewers);
  const before = rig.engine.counters.recomputed;
  rig.apply(kubernetesService('late'));
  const cost = rig.engine.counters.recomputed - before;
  ok(cost <= 6 + 2 * viewers.length, `${cost} derivations for one service`);
});

test('what a gone viewer saw goes with it', () => {
  const a = inNamespace('a');
  const b = inNamespace('b');
  const rig = rigWith(...MESH);
  rig.connect(a, b);
  strictEqual(rig.scope.hosts.size, 8);
  rig.disconnect(b);
  deepStrictEqual([rig.scope.hosts.size, rig.seen(b), [...rig.scope.viewers.all().keys()]], [4, [], ['a']]);
});
