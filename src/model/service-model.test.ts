import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { DEFAULT_MESH_FLAGS } from './mesh-flags.ts';
import {
  kubernetesService,
  localWorkload,
  object,
  pod,
  port,
  type ServiceModelRig,
  serviceEntry,
  serviceModelRig,
  slice,
  sliceEndpoint,
} from './service-model-rig.ts';

const REVIEWS = 'default/reviews.default.svc.cluster.local';

function endpointsOf(rig: ServiceModelRig, key: string): readonly string[] {
  const endpoints = rig.model.endpoints.get(key)?.endpoints ?? [];
  return endpoints.map((endpoint) => `${endpoint.address}:${endpoint.port} ${endpoint.health}`);
}

test('a slice and its pods make the endpoints of a Service', () => {
  const rig = serviceModelRig();
  rig.apply(
    kubernetesService('reviews'),
    pod('r1', '10.1.0.1', { app: 'reviews', version: 'v1' }, { serviceAccountName: 'reviews' }),
    pod('r2', '10.1.0.2', { app: 'reviews' }),
    slice(
      'reviews',
      [sliceEndpoint('10.1.0.2', 'r2', { ready: false }), sliceEndpoint('10.1.0.1', 'r1')],
      9080,
    ),
  );
  deepStrictEqual(endpointsOf(rig, REVIEWS), ['10.1.0.1:9080 healthy', '10.1.0.2:9080 unhealthy']);
  deepStrictEqual(rig.model.endpointSummaries.get(REVIEWS), {
    identities: [
      'spiffe://cluster.local/ns/default/sa/default',
      'spiffe://cluster.local/ns/default/sa/reviews',
    ],
    mutualTlsPorts: [80],
  });
});

test('an endpoint waits for its pod: without identity it would be called in plain text', () => {
  const rig = serviceModelRig();
  rig.apply(kubernetesService('reviews'), slice('reviews', [sliceEndpoint('10.1.0.1', 'late')]));
  deepStrictEqual(endpointsOf(rig, REVIEWS), []);
  rig.apply(pod('late', '10.1.0.1', {}));
  deepStrictEqual(endpointsOf(rig, REVIEWS), ['10.1.0.1:80 healthy']);
});

test('an address that moves from one slice to another counts once', () => {
  const rig = serviceModelRig();
  const endpoints = [sliceEndpoint('10.1.0.1', 'r1')];
  const labels = { 'kubernetes.io/service-name': 'reviews' };
  const first = slice('reviews', endpoints);
  rig.apply(
    kubernetesService('reviews'),
    pod('r1', '10.1.0.1', {}),
    first,
    object('EndpointSlice', 'reviews-2', first.spec, { labels }),
  );
  deepStrictEqual(endpointsOf(rig, REVIEWS), ['10.1.0.1:80 healthy']);
});

test('a pod with addresses of both families is one endpoint, where dual stack is switched on', () => {
  const families = { clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1', 'fd00::1'] };
  const objects = [
    kubernetesService('reviews', families),
    pod('r1', '10.1.0.1', { app: 'reviews' }, { podIPs: ['10.1.0.1', 'fd00::a'] }),
    slice('reviews', [sliceEndpoint('10.1.0.1', 'r1')]),
  ];
  const four = slice('reviews', []);
  const six = { ...four.spec, addressType: 'IPv6', endpoints: [sliceEndpoint('fd00::a', 'r1')] } as const;
  objects.push(object('EndpointSlice', 'reviews-6', six, { labels: four.labels }));
  const found = [false, true].map((dualStack) => {
    const rig = serviceModelRig({ ...DEFAULT_MESH_FLAGS, dualStack });
    rig.apply(...objects);
    const endpoints = rig.model.endpoints.get(REVIEWS)?.endpoints ?? [];
    return endpoints.map(({ address, otherAddresses = [] }) => [address, ...otherAddresses]);
  });
  deepStrictEqual(found, [[['10.1.0.1'], ['fd00::a']], [['10.1.0.1', 'fd00::a']]]);
});

test('an entry whose health is checked is an endpoint while the checks succeed', () => {
  const annotations = { 'proxy.istio.io/health-checks-enabled': 'true' };
  const entry = object(
    'WorkloadEntry',
    'vm',
    { address: '10.2.0.1', labels: { app: 'reviews' } },
    { annotations },
  );
  const mesh = serviceEntry('e', {
    hosts: ['x.com'],
    resolution: 'STATIC',
    workloadSelector: { labels: { app: 'reviews' } },
  });
  const found = [undefined, { healthy: false }, { healthy: true }].map((status) => {
    const rig = serviceModelRig();
    rig.apply(kubernetesService('reviews'), mesh, status === undefined ? entry : { ...entry, status });
    return [...endpointsOf(rig, REVIEWS), ...endpointsOf(rig, 'default/x.com')];
  });
  deepStrictEqual(found, [[], [], ['10.2.0.1:80 unknown', '10.2.0.1:80 unknown']]);
});

test('an address that somebody wrote into a slice counts without a pod', () => {
  const rig = serviceModelRig();
  const { targetRef: _targetRef, ...byHand } = sliceEndpoint('192.0.2.1', '');
  rig.apply(kubernetesService('reviews'), slice('reviews', [byHand]));
  deepStrictEqual(endpointsOf(rig, REVIEWS), ['192.0.2.1:80 healthy']);
});

test('endpoints that shut down count for nothing, and drain where sessions stick', () => {
  const rig = serviceModelRig();
  const going = sliceEndpoint('10.1.0.1', 'p', { ready: false, terminating: true });
  rig.apply(kubernetesService('reviews'), pod('p', '10.1.0.1', {}), slice('reviews', [going]));
  deepStrictEqual(endpointsOf(rig, REVIEWS), []);
  rig.apply(kubernetesService('reviews', {}, { labels: { 'istio.io/persistent-session': 'cookie' } }));
  deepStrictEqual(endpointsOf(rig, REVIEWS), ['10.1.0.1:80 draining']);
});

test('replicas on this machine serve the Services that select them, on numbers and on names', () => {
  const rig = serviceModelRig();
  const ports = [
    { name: 'main', port: 9080, appPort: 80, protocol: 'TCP' } as const,
    { name: 'admin', port: 9081, appPort: 9081, protocol: 'TCP' } as const,
  ];
  rig.localReplicas.set('default/r-0', {
    namespace: 'default',
    workload: 'r',
    replica: 0,
    address: '127.0.1.1',
    appAddress: '127.0.2.1',
    ready: false,
  });
  const named = [
    port('http', { targetPort: 'main' }),
    port('tcp', { port: 81, targetPort: 9081 }),
    port('x', { targetPort: 'none' }),
  ];
  rig.apply(
    kubernetesService('reviews', { ports: named }),
    localWorkload('r', { app: 'reviews' }, { ports }),
  );
  deepStrictEqual(endpointsOf(rig, REVIEWS), ['127.0.1.1:9080 unhealthy', '127.0.1.1:9081 unhealthy']);
});

test('WorkloadEntries join a Service that selects them, but no headless one', () => {
  const rig = serviceModelRig();
  const entry = object('WorkloadEntry', 'vm', {
    address: '10.9.0.1',
    labels: { app: 'reviews' },
    ports: { http: 8080 },
  });
  rig.apply(kubernetesService('reviews'), entry);
  deepStrictEqual(endpointsOf(rig, REVIEWS), ['10.9.0.1:8080 unknown']);
  rig.apply(kubernetesService('reviews', { clusterIP: 'None' }));
  deepStrictEqual(endpointsOf(rig, REVIEWS), []);
});

test('a ServiceEntry may select pods and WorkloadEntries of its namespace', () => {
  const rig = serviceModelRig();
  rig.apply(
    serviceEntry('e', { hosts: ['a.com'], resolution: 'STATIC', workloadSelector: { labels: { app: 'a' } } }),
    pod('p', '10.1.0.1', { app: 'a' }),
    pod('notready', '10.1.0.2', { app: 'a' }, { ready: false }),
    object('WorkloadEntry', 'vm', { address: '10.9.0.1', labels: { app: 'a' } }),
    object('WorkloadEntry', 'far', { address: '10.9.0.2', labels: { app: 'a' } }, { namespace: 'other' }),
  );
  deepStrictEqual(endpointsOf(rig, 'default/a.com'), ['10.1.0.1:80 healthy', '10.9.0.1:80 unknown']);
});

test('endpoints of a ServiceEntry stay in its order, and count once for each of its addresses', () => {
  const rig = serviceModelRig();
  const endpoints = [{ address: '10.9.0.2' }, { address: '10.9.0.1' }];
  rig.apply(
    serviceEntry('e', {
      hosts: ['a.com'],
      addresses: ['240.0.0.1', '240.0.0.2'],
      resolution: 'STATIC',
      endpoints,
    }),
  );
  deepStrictEqual(endpointsOf(rig, 'default/a.com'), [
    '10.9.0.2:80 unknown',
    '10.9.0.1:80 unknown',
    '10.9.0.2:80 unknown',
    '10.9.0.1:80 unknown',
  ]);
});

test('a pod and a WorkloadEntry may have one name', () => {
  const rig = serviceModelRig();
  rig.apply(pod('same', '10.1.0.1', {}), object('WorkloadEntry', 'same', { address: '10.9.0.1' }));
  deepStrictEqual([...rig.model.workloads.all().keys()], ['default/same', 'default/we:same']);
});

test('the default for exportTo comes from the mesh', () => {
  const rig = serviceModelRig();
  rig.meshConfig.set('mesh', { defaultServiceExportTo: ['.'] });
  rig.apply(kubernetesService('reviews'));
  deepStrictEqual(rig.model.services.get(REVIEWS)?.visibility, { public: false, namespaces: ['default'] });
});

test('a deleted ServiceEntry gives the host to the next one', () => {
  const rig = serviceModelRig();
  const first = serviceEntry('a', { hosts: ['x.com'], resolution: 'DNS' }, { createdAtMs: 1 });
  rig.apply(first, serviceEntry('b', { hosts: ['x.com'], resolution: 'STATIC' }, { createdAtMs: 2 }));
  strictEqual(rig.model.services.get('default/x.com')?.name, 'a');
  rig.remove('ServiceEntry', 'default/a');
  strictEqual(rig.model.services.get('default/x.com')?.name, 'b');
});

test('a changed pod costs its own services, however many others there are', () => {
  const rig = serviceModelRig();
  const names = Array.from({ length: 50 }, (_, i) => `svc${i}`);
  rig.apply(
    ...names.flatMap((name, i) => [
      kubernetesService(name),
      pod(`${name}-0`, `10.1.0.${i}`, { app: name }),
      slice(name, [sliceEndpoint(`10.1.0.${i}`, `${name}-0`)]),
    ]),
  );
  const before = rig.engine.counters.recomputed;
  rig.apply(pod('svc7-0', '10.1.0.7', { app: 'svc7', version: 'v2' }));
  const cost = rig.engine.counters.recomputed - before;
  ok(cost <= 4, `${cost} derivations for one pod`);
});

test('a pod that merely reports its status changes no endpoints', () => {
  const rig = serviceModelRig();
  rig.apply(
    kubernetesService('reviews'),
    pod('p', '10.1.0.1', {}),
    slice('reviews', [sliceEndpoint('10.1.0.1', 'p')]),
  );
  const before = rig.model.endpoints.get(REVIEWS);
  rig.apply(pod('p', '10.1.0.1', {}, { hostIP: '192.168.0.1' }));
  strictEqual(rig.model.endpoints.get(REVIEWS), before);
});
