import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { JsonValue } from '@bufbuild/protobuf';
import type { DestinationRuleSpec } from '#api/destination-rule.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { describeProxy } from '#model/described-proxy.ts';
import type { Proxy } from '#model/proxy.ts';
import {
  kubernetesService,
  localWorkload,
  object,
  pod,
  proxy,
  serviceEntry,
  slice,
  sliceEndpoint,
} from '#model/service-model-rig.ts';
import { at, type OutboundRig, outboundRig } from '#xds/outbound-rig.ts';
import { PERMISSIVE_SERVERS } from '#xds/tls/server-mutual-tls.ts';

const CLIENT = proxy('client');
const REVIEWS = 'outbound|80||reviews.default.svc.cluster.local';
const PODS = [
  pod(
    'r1',
    '10.1.0.1',
    { app: 'reviews', version: 'v1', 'istio-locality': 'r1.z1' },
    { serviceAccountName: 'sa' },
  ),
  pod('r2', '10.1.0.2', { app: 'reviews', version: 'v2', 'istio-locality': 'r2.z1' }),
  slice('reviews', [sliceEndpoint('10.1.0.1', 'r1'), sliceEndpoint('10.1.0.2', 'r2')]),
];

function rigWith(...objects: readonly MeshObject[]): OutboundRig {
  const rig = outboundRig();
  rig.apply(kubernetesService('reviews'), ...objects);
  rig.connect(CLIENT);
  return rig;
}

function rule(spec: DestinationRuleSpec): MeshObject {
  return object('DestinationRule', 'rule', { host: 'reviews', ...spec });
}

interface Shown {
  readonly address: string;
  readonly priority: number;
  readonly isMutualTls: boolean;
  readonly health: string;
}

type Json = Readonly<Record<string, JsonValue>>;

/** Every endpoint of an assignment, in order. */
function endpoints(rig: OutboundRig, of: Proxy = CLIENT, name = REVIEWS): readonly Shown[] {
  const localities = (rig.assignment(of, name)?.['endpoints'] ?? []) as readonly Json[];
  return localities.flatMap((locality) =>
    ((locality['lbEndpoints'] ?? []) as readonly Json[]).map((each) => {
      const address = (each['endpoint'] as Json)['address'] as Json;
      const socket = address['socketAddress'] as Json | undefined;
      const pipe = address['pipe'] as Json | undefined;
      const metadata = ((each['metadata'] as Json | undefined)?.['filterMetadata'] ?? {}) as Json;
      return {
        address: String(socket?.['address'] ?? pipe?.['path']),
        priority: Number(locality['priority'] ?? 0),
        isMutualTls: metadata['envoy.transport_socket_match'] !== undefined,
        health: String(each['healthStatus'] ?? 'UNKNOWN'),
      };
    }),
  );
}

function addresses(rig: OutboundRig, of: Proxy = CLIENT, name = REVIEWS): readonly string[] {
  return endpoints(rig, of, name).map(({ address, priority }) => `${address} ${priority}`);
}

test('an assignment groups endpoints by locality and says who they are', () => {
  const rig = rigWith(...PODS);
  const [first] = (rig.assignment(CLIENT, REVIEWS)?.['endpoints'] ?? []) as readonly JsonValue[];
  deepStrictEqual(first, {
    locality: { region: 'r1', zone: 'z1' },
    lbEndpoints: [
      {
        endpoint: { address: { socketAddress: { address: '10.1.0.1', portValue: 80 } } },
        healthStatus: 'HEALTHY',
        metadata: {
          filterMetadata: {
            'envoy.transport_socket_match': { tlsMode: 'istio' },
            istio: { workload: 'r1;default;reviews;v1;Kubernetes' },
            lateen: {
              workload: 'r1',
              namespace: 'default',
              app: 'reviews',
              version: 'v1',
              canonical_service: 'reviews',
              canonical_revision: 'v1',
              cluster: 'Kubernetes',
              principal: 'spiffe://cluster.local/ns/default/sa/sa',
            },
          },
        },
        loadBalancingWeight: 1,
      },
    ],
    loadBalancingWeight: 1,
  });
});

test('every EDS cluster has its assignment, also without endpoints; other clusters have none', () => {
  const rig = rigWith(
    serviceEntry('dns', { hosts: ['dns.com'], resolution: 'DNS' }),
    kubernetesService('headless', { clusterIP: 'None' }),
  );
  deepStrictEqual([...rig.endpointEntries(CLIENT).keys()], [REVIEWS]);
  deepStrictEqual(rig.assignment(CLIENT, REVIEWS), { clusterName: REVIEWS });
});

test('a subset takes the endpoints with its labels, topology labels among them', () => {
  const region = { 'topology.kubernetes.io/region': 'r2' };
  const rig = rigWith(
    ...PODS,
    rule({
      subsets: [
        { name: 'v1', labels: { version: 'v1' } },
        { name: 'far', labels: region },
      ],
    }),
  );
  deepStrictEqual(
    [
      addresses(rig, CLIENT, 'outbound|80|v1|reviews.default.svc.cluster.local'),
      addresses(rig, CLIENT, 'outbound|80|far|reviews.default.svc.cluster.local'),
    ],
    [['10.1.0.1 0'], ['10.1.0.2 0']],
  );
});

test('proxies in different places share assignments until localities matter', () => {
  const near = proxy('near', { id: 'near', locality: { region: 'r1', zone: 'z1', subzone: '' } });
  const far = proxy('far', { id: 'far', locality: { region: 'r2', zone: 'z1', subzone: '' } });
  const rig = rigWith(...PODS);
  rig.connect(near, far);
  strictEqual(
    rig.endpointEntries(near).get(REVIEWS)?.resource,
    rig.endpointEntries(far).get(REVIEWS)?.resource,
  );
  rig.apply(rule({ trafficPolicy: { outlierDetection: { consecutive5xxErrors: 3 } } }));
  deepStrictEqual(
    [addresses(rig, near), addresses(rig, far)],
    [
      ['10.1.0.1 0', '10.1.0.2 1'],
      ['10.1.0.1 1', '10.1.0.2 0'],
    ],
  );
});

test('labels of clients tell their views apart once some rule compares them', () => {
  const v1 = proxy('c1', { id: 'c1', labels: { version: 'v1' } });
  const v2 = proxy('c2', { id: 'c2', labels: { version: 'v2' } });
  const rig = rigWith(...PODS);
  rig.connect(v1, v2);
  const localityLbSetting = { failoverPriority: ['version'] };
  rig.apply(
    rule({
      trafficPolicy: { outlierDetection: { consecutive5xxErrors: 3 }, loadBalancer: { localityLbSetting } },
    }),
  );
  deepStrictEqual(
    [addresses(rig, v1), addresses(rig, v2)],
    [
      ['10.1.0.1 0', '10.1.0.2 1'],
      ['10.1.0.1 1', '10.1.0.2 0'],
    ],
  );
});

test('a draining endpoint is kept for sessions by cookie, marked as such', () => {
  const draining = (labels: Record<string, string>) =>
    rigWith(
      kubernetesService('reviews', {}, { labels }),
      pod('r1', '10.1.0.1', { 'istio.io/draining': 'true' }),
      slice('reviews', [sliceEndpoint('10.1.0.1', 'r1')]),
    );
  deepStrictEqual(addresses(draining({})), []);
  const kept = endpoints(draining({ 'istio.io/persistent-session': 'cookie' }));
  deepStrictEqual(
    kept.map(({ address, health }) => `${address} ${health}`),
    ['10.1.0.1 DRAINING'],
  );
});

test('internalTrafficPolicy Local shows the endpoints of the own node', () => {
  const rig = rigWith(
    kubernetesService('reviews', { internalTrafficPolicy: 'Local' }),
    pod('r1', '10.1.0.1', {}, { nodeName: 'n1' }),
    pod('r2', '10.1.0.2', {}, { nodeName: 'n2' }),
    slice('reviews', [sliceEndpoint('10.1.0.1', 'r1'), sliceEndpoint('10.1.0.2', 'r2')]),
  );
  const client = proxy('client', { nodeName: 'n2' });
  rig.connect(client);
  deepStrictEqual(addresses(rig, client), ['10.1.0.2 0']);
});

test('trafficDistribution ranks endpoints by the place of the client', () => {
  const places = [
    ['10.1.0.1', 'n1', 'z1'],
    ['10.1.0.2', 'n2', 'z1'],
    ['10.1.0.3', 'n3', 'z2'],
  ] as const;
  const ranked = (trafficDistribution: string): readonly string[] => {
    const rig = rigWith(
      kubernetesService('reviews', { trafficDistribution }),
      ...places.map(([address, nodeName, zone], i) =>
        pod(`r${i}`, address, { 'istio-locality': `r/${zone}` }, { nodeName }),
      ),
      slice(
        'reviews',
        places.map(([address], i) => sliceEndpoint(address, `r${i}`)),
      ),
    );
    const client = describeProxy(
      proxy('client', { nodeName: 'n1', locality: { region: 'r', zone: 'z1', subzone: '' } }),
      undefined,
    );
    rig.connect(client);
    return [...addresses(rig, client)].sort();
  };
  deepStrictEqual(['', 'PreferSameZone', 'PreferSameNode'].map(ranked), [
    ['10.1.0.1 0', '10.1.0.2 0', '10.1.0.3 0'],
    ['10.1.0.1 0', '10.1.0.2 0', '10.1.0.3 1'],
    ['10.1.0.1 0', '10.1.0.2 1', '10.1.0.3 2'],
  ]);
});

test('endpoints that are not ready are sent as such, unless panic may use them', () => {
  const unready = slice('reviews', [
    sliceEndpoint('10.1.0.1', 'r1', { ready: false }),
    sliceEndpoint('10.1.0.2', 'r2'),
  ]);
  const rig = rigWith(...PODS, unready);
  deepStrictEqual(
    endpoints(rig).map(({ health }) => health),
    ['UNHEALTHY', 'HEALTHY'],
  );
  rig.apply(rule({ trafficPolicy: { outlierDetection: { minHealthPercent: 10 } } }));
  deepStrictEqual(
    endpoints(rig).map(({ health }) => health),
    ['HEALTHY'],
  );
});

const TLS: readonly (readonly [string, DestinationRuleSpec, boolean])[] = [
  ['no rule', {}, true],
  ['plain text', { trafficPolicy: { tls: { mode: 'DISABLE' } } }, false],
  ['mesh mTLS', { trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' } } }, true],
  ['own TLS', { trafficPolicy: { tls: { mode: 'SIMPLE' } } }, false],
  [
    'plain text for another port',
    { trafficPolicy: { portLevelSettings: [{ port: { number: 81 }, tls: { mode: 'DISABLE' } }] } },
    true,
  ],
];

for (const [what, spec, expected] of TLS) {
  test(`with ${what} in the rule, endpoints are ${expected ? '' : 'not '}marked for mTLS`, () => {
    const rig = rigWith(...PODS, rule(spec));
    deepStrictEqual(
      endpoints(rig).map(({ isMutualTls }) => isMutualTls),
      [expected, expected],
    );
  });
}

test('PeerAuthentication takes the mark away, where no rule decides', () => {
  const rig = outboundRig({
    ...PERMISSIVE_SERVERS,
    endpointMode: (_fetch, endpoint) => (endpoint.labels['version'] === 'v1' ? 'DISABLE' : 'PERMISSIVE'),
  });
  rig.apply(kubernetesService('reviews'), ...PODS);
  rig.connect(CLIENT);
  deepStrictEqual(
    endpoints(rig).map(({ isMutualTls }) => isMutualTls),
    [false, true],
  );
  rig.apply(rule({ trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' } } }));
  deepStrictEqual(
    endpoints(rig).map(({ isMutualTls }) => isMutualTls),
    [true, true],
  );
});

test('host names are for Envoy to resolve, not for EDS; Unix sockets are for both', () => {
  const rig = rigWith(
    serviceEntry('e', {
      hosts: ['x.com'],
      resolution: 'STATIC',
      endpoints: [{ address: 'a.example.com' }, { address: 'unix:///run/a' }, { address: '192.0.2.1' }],
    }),
  );
  deepStrictEqual(addresses(rig, CLIENT, 'outbound|80||x.com'), ['/run/a 0', '192.0.2.1 0']);
});

test('an endpoint without an address is left out: it is behind a gateway of another network', () => {
  const endpoints = [{ network: 'n2' }, { address: 'a.example.com' }];
  const rig = rigWith(serviceEntry('e', { hosts: ['x.com'], resolution: 'DNS', endpoints }));
  const localities = at(rig.cluster(CLIENT, 'outbound|80||x.com'), 'loadAssignment', 'endpoints');
  strictEqual((localities as readonly Json[]).flatMap((each) => each['lbEndpoints']).length, 1);
});

test('a replica on this machine comes and goes', () => {
  const rig = rigWith(localWorkload('r', { app: 'reviews' }));
  const replica = {
    namespace: 'default',
    workload: 'r',
    replica: 0,
    address: '127.0.1.1',
    appAddress: '',
    ready: true,
  };
  rig.localReplicas.set('default/r-0', replica);
  rig.engine.settle();
  deepStrictEqual(addresses(rig), ['127.0.1.1 0']);
  rig.localReplicas.delete('default/r-0');
  rig.engine.settle();
  deepStrictEqual(addresses(rig), []);
});

test('one pod that goes encodes one assignment and no cluster, for all viewers together', () => {
  const both = [sliceEndpoint('10.1.0.3', 'r3'), sliceEndpoint('10.1.0.4', 'r4')];
  const rig = rigWith(
    pod('r3', '10.1.0.3', { app: 'reviews' }),
    pod('r4', '10.1.0.4', { app: 'reviews' }),
    slice('reviews', both),
    ...Array.from({ length: 40 }, (_, i) => kubernetesService(`svc${i}`)),
  );
  rig.connect(...['a', 'b', 'c'].map((namespace) => proxy(namespace, { id: namespace, namespace })));
  const encoded = rig.interner.encoded;
  const recomputed = rig.engine.counters.recomputed;
  rig.apply(slice('reviews', both.slice(1)));
  strictEqual(rig.interner.encoded - encoded, 1);
  const cost = rig.engine.counters.recomputed - recomputed;
  ok(cost <= 4 + 4, `${cost} derivations for one pod seen by four viewers`);
});
