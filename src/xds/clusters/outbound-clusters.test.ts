import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { DestinationRuleSpec } from '#api/destination-rule.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { ServiceEntrySpec } from '#api/service-entry.ts';
import type { Proxy } from '#model/proxy.ts';
import {
  kubernetesService,
  object,
  pod,
  port,
  proxy,
  serviceEntry,
  slice,
  sliceEndpoint,
} from '#model/service-model-rig.ts';
import { at, type Json, type OutboundRig, outboundRig, pick, REVIEWS_HOST } from '#xds/outbound-rig.ts';
import { PERMISSIVE_SERVERS } from '#xds/tls/server-mutual-tls.ts';

const SIDECAR = proxy('client');
const GATEWAY = proxy('gateway', { id: 'gateway', type: 'router' });
const REVIEWS = REVIEWS_HOST;

function rigWith(...objects: readonly MeshObject[]): OutboundRig {
  const rig = outboundRig();
  rig.apply(...objects);
  rig.connect(SIDECAR, GATEWAY);
  return rig;
}

function rule(spec: DestinationRuleSpec): MeshObject {
  return object('DestinationRule', 'rule', { host: 'reviews', ...spec });
}

function names(rig: OutboundRig, of: Proxy): readonly string[] {
  return [...rig.clusterEntries(of).keys()];
}

test('a service has a cluster per port and subset; UDP ports and aliases have none', () => {
  const ports = [port('http'), port('udp', { port: 53, protocol: 'UDP' })];
  const rig = rigWith(
    kubernetesService('reviews', { ports }),
    kubernetesService('ext', { type: 'ExternalName', externalName: 'x.com', clusterIP: '' }),
    rule({ subsets: [{ name: 'v1' }, { name: 'v2' }] }),
  );
  const own = [`outbound|80|v1|${REVIEWS}`, `outbound|80|v2|${REVIEWS}`, `outbound|80||${REVIEWS}`];
  deepStrictEqual(names(rig, SIDECAR), ['BlackHoleCluster', 'PassthroughCluster', ...own]);
  deepStrictEqual(names(rig, GATEWAY), ['BlackHoleCluster', ...own]);
});

test('a plain service gets what Istio gives it', () => {
  const rig = rigWith(
    kubernetesService('reviews'),
    pod('r', '10.1.0.1', { app: 'reviews' }, { serviceAccountName: 'reviews' }),
    slice('reviews', [sliceEndpoint('10.1.0.1', 'r')]),
  );
  const cluster = rig.cluster(SIDECAR, `outbound|80||${REVIEWS}`) ?? {};
  deepStrictEqual(
    pick(
      cluster,
      'type',
      'lbPolicy',
      'connectTimeout',
      'commonLbConfig',
      'circuitBreakers',
      'edsClusterConfig',
      'metadata',
    ),
    {
      type: 'EDS',
      lbPolicy: 'LEAST_REQUEST',
      connectTimeout: '10s',
      commonLbConfig: { healthyPanicThreshold: {} },
      circuitBreakers: {
        thresholds: [
          {
            maxConnections: 4294967295,
            maxPendingRequests: 4294967295,
            maxRequests: 4294967295,
            maxRetries: 4294967295,
          },
        ],
      },
      edsClusterConfig: {
        edsConfig: { ads: {}, initialFetchTimeout: '0s', resourceApiVersion: 'V3' },
        serviceName: `outbound|80||${REVIEWS}`,
      },
      metadata: {
        filterMetadata: {
          istio: { services: [{ host: REVIEWS, name: 'reviews', namespace: 'default' }] },
          lateen: {
            alpn: 'istio-http/1.1,istio,http/1.1',
            host: REVIEWS,
            name: 'reviews',
            namespace: 'default',
          },
        },
      },
    },
  );
  const context = at(cluster, 'transportSocketMatches', 0, 'transportSocket', 'typedConfig');
  deepStrictEqual(
    {
      sni: at(context, 'sni'),
      alpn: at(context, 'commonTlsContext', 'alpnProtocols'),
      names: at(
        context,
        'commonTlsContext',
        'combinedValidationContext',
        'defaultValidationContext',
        'matchSubjectAltNames',
      ),
      certificate: at(context, 'commonTlsContext', 'tlsCertificateSdsSecretConfigs', 0, 'name'),
      roots: at(
        context,
        'commonTlsContext',
        'combinedValidationContext',
        'validationContextSdsSecretConfig',
        'name',
      ),
      match: at(cluster, 'transportSocketMatches', 0, 'match'),
      otherwise: at(cluster, 'transportSocketMatches', 1, 'transportSocket', 'name'),
    },
    {
      sni: `outbound_.80_._.${REVIEWS}`,
      alpn: ['istio'],
      names: [{ exact: 'spiffe://cluster.local/ns/default/sa/reviews' }],
      certificate: 'default',
      roots: 'ROOTCA',
      match: { tlsMode: 'istio' },
      otherwise: 'envoy.transport_sockets.raw_buffer',
    },
  );
});

interface Discovery {
  readonly sentence: string;
  readonly entry: ServiceEntrySpec;
  /** Type for a sidecar and for a gateway; undefined for no cluster. */
  readonly expected: readonly (string | undefined)[];
}

const DISCOVERIES: readonly Discovery[] = [
  { sentence: 'STATIC asks for endpoints', entry: { resolution: 'STATIC' }, expected: ['EDS', 'EDS'] },
  {
    sentence: 'DNS resolves all names',
    entry: { resolution: 'DNS' },
    expected: ['STRICT_DNS', 'STRICT_DNS'],
  },
  {
    sentence: 'DNS_ROUND_ROBIN resolves one name',
    entry: { resolution: 'DNS_ROUND_ROBIN' },
    expected: ['LOGICAL_DNS', 'LOGICAL_DNS'],
  },
  {
    sentence: 'NONE goes where the application wanted to, which a gateway cannot know',
    entry: { resolution: 'NONE' },
    expected: ['ORIGINAL_DST', 'EDS'],
  },
  {
    sentence: 'DNS without any endpoint makes no cluster',
    entry: { resolution: 'DNS', workloadSelector: { labels: { app: 'none' } } },
    expected: [undefined, undefined],
  },
];

for (const { sentence, entry, expected } of DISCOVERIES) {
  test(sentence, () => {
    const rig = rigWith(serviceEntry('e', { hosts: ['x.com'], ...entry }));
    const types = [SIDECAR, GATEWAY].map((each) => rig.cluster(each, 'outbound|80||x.com')?.['type']);
    deepStrictEqual(types, expected);
  });
}

test('inline endpoints of a DNS service are ordered by distance where a rule asks for failover', () => {
  const near = proxy('near', { id: 'near', locality: { region: 'r1', zone: 'z1', subzone: '' } });
  const far = proxy('far', { id: 'far', locality: { region: 'r2', zone: 'z1', subzone: '' } });
  const endpoints = [
    { address: 'a.x.com', locality: 'r1/z1' },
    { address: 'b.x.com', locality: 'r2/z1' },
  ];
  const rig = rigWith(serviceEntry('e', { hosts: ['x.com'], resolution: 'DNS', endpoints }));
  rig.connect(near, far);
  const priorities = (of: Proxy) => {
    const localities = at(
      rig.cluster(of, 'outbound|80||x.com'),
      'loadAssignment',
      'endpoints',
    ) as readonly Json[];
    return localities.map((locality) => locality['priority'] ?? 0);
  };
  deepStrictEqual(
    [priorities(near), priorities(far)],
    [
      [0, 0],
      [0, 0],
    ],
  );
  const trafficPolicy = { outlierDetection: { consecutive5xxErrors: 1 } };
  rig.apply(object('DestinationRule', 'dns', { host: 'x.com', trafficPolicy }));
  deepStrictEqual(
    [priorities(near), priorities(far)],
    [
      [0, 1],
      [1, 0],
    ],
  );
});

test('a wildcard host with dynamic resolution resolves what each request names', () => {
  const rig = rigWith(serviceEntry('e', { hosts: ['*.x.com'], resolution: 'DYNAMIC_DNS' }));
  const cluster = rig.cluster(SIDECAR, 'outbound|80||*.x.com');
  deepStrictEqual(
    [at(cluster, 'clusterType', 'name'), cluster?.['lbPolicy']],
    ['envoy.clusters.dynamic_forward_proxy', 'CLUSTER_PROVIDED'],
  );
});

test('without interception the endpoints of a headless service are sent: nobody knows the original destination', () => {
  const bound = proxy('bound', { id: 'bound', interceptionMode: 'NONE' });
  const rig = rigWith(kubernetesService('db', { clusterIP: 'None' }));
  rig.connect(bound);
  const name = 'outbound|80||db.default.svc.cluster.local';
  deepStrictEqual(
    [rig.cluster(SIDECAR, name)?.['type'], rig.cluster(bound, name)?.['type']],
    ['ORIGINAL_DST', 'EDS'],
  );
});

test('a headless service is called by mTLS only when all its endpoints take it', () => {
  const rig = rigWith(
    kubernetesService('db', { clusterIP: 'None' }),
    pod('db-0', '10.1.0.1', {}),
    slice('db', [sliceEndpoint('10.1.0.1', 'db-0')]),
  );
  const name = 'outbound|80||db.default.svc.cluster.local';
  strictEqual(at(rig.cluster(SIDECAR, name), 'transportSocket', 'name'), 'envoy.transport_sockets.tls');
  const plain = object('Pod', 'db-1', { ...pod('db-1', '10.1.0.2', {}).spec });
  rig.apply(plain, slice('db', [sliceEndpoint('10.1.0.1', 'db-0'), sliceEndpoint('10.1.0.2', 'db-1')]));
  strictEqual(at(rig.cluster(SIDECAR, name), 'transportSocket'), undefined);
});

test('where servers refuse mTLS no cluster offers it', () => {
  const rig = outboundRig({ ...PERMISSIVE_SERVERS, namespaceMode: () => 'DISABLE' });
  rig.apply(kubernetesService('reviews'));
  rig.connect(SIDECAR);
  deepStrictEqual(
    pick(rig.cluster(SIDECAR, `outbound|80||${REVIEWS}`) ?? {}, 'transportSocket', 'transportSocketMatches'),
    {},
  );
});

test('a changed subset names its rule and path among its causes', () => {
  const rig = rigWith(kubernetesService('reviews'), rule({ subsets: [{ name: 'v1' }, { name: 'v2' }] }));
  const causes = rig.clusterEntries(SIDECAR).get(`outbound|80|v2|${REVIEWS}`)?.causes ?? [];
  deepStrictEqual(
    causes.map(({ kind, name, path }) => `${kind} ${name} ${path}`),
    ['Service reviews ', 'DestinationRule rule ', 'DestinationRule rule spec.subsets[1]'],
  );
});

test('viewers share the encoded cluster, and a change of causes alone encodes nothing', () => {
  const other = proxy('other', { id: 'other', namespace: 'elsewhere' });
  const rig = rigWith(kubernetesService('reviews'));
  rig.connect(other);
  const name = `outbound|80||${REVIEWS}`;
  const before = rig.clusterEntries(SIDECAR).get(name);
  strictEqual(rig.clusterEntries(other).get(name)?.resource, before?.resource);
  const encoded = rig.interner.encoded;
  rig.apply(rule({}));
  const after = rig.clusterEntries(SIDECAR).get(name);
  strictEqual(after?.resource, before?.resource);
  ok((after?.causes.length ?? 0) > (before?.causes.length ?? 0));
  strictEqual(rig.interner.encoded, encoded);
});
