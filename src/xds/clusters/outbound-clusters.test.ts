import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { JsonValue } from '@bufbuild/protobuf';
import type { DestinationRuleSpec, TrafficPolicy } from '#api/destination-rule.ts';
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
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { type OutboundRig, outboundRig } from '../outbound-rig.ts';
import { PERMISSIVE_SERVERS } from '../tls/server-mutual-tls.ts';

const SIDECAR = proxy('client');
const GATEWAY = proxy('gateway', { id: 'gateway', type: 'router' });
const REVIEWS = 'reviews.default.svc.cluster.local';
const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

type Json = Readonly<Record<string, JsonValue>>;

function rigWith(...objects: readonly MeshObject[]): OutboundRig {
  const rig = outboundRig();
  rig.apply(...objects);
  rig.connect(SIDECAR, GATEWAY);
  return rig;
}

function rule(spec: DestinationRuleSpec): MeshObject {
  return object('DestinationRule', 'rule', { host: 'reviews', ...spec });
}

/** The cluster of service reviews, port 80, under a traffic policy. */
function reviews(
  trafficPolicy: TrafficPolicy,
  service = kubernetesService('reviews'),
  mesh: MeshConfigJson = {},
): Json {
  const rig = rigWith(service, rule({ trafficPolicy }));
  rig.meshConfig.set('mesh', mesh);
  rig.engine.settle();
  const cluster = rig.cluster(SIDECAR, `outbound|80||${REVIEWS}`);
  if (cluster === undefined) throw new Error('no such cluster');
  return cluster;
}

function pick(json: Json, ...fields: readonly string[]): Json {
  return Object.fromEntries(
    fields.flatMap((field) => (json[field] === undefined ? [] : [[field, json[field]]])),
  );
}

/** What a path of fields leads to. */
function at(json: JsonValue | undefined, ...path: readonly (string | number)[]): JsonValue | undefined {
  return path.reduce<JsonValue | undefined>(
    (value, key) => (value as Json | undefined)?.[key as string],
    json,
  );
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
          lateen: { host: REVIEWS, name: 'reviews', namespace: 'default' },
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

const BALANCERS: readonly (readonly [TrafficPolicy['loadBalancer'], Json])[] = [
  [{ simple: 'RANDOM' }, { lbPolicy: 'RANDOM' }],
  [{ simple: 'ROUND_ROBIN' }, {}],
  [{ simple: 'LEAST_CONN' }, { lbPolicy: 'LEAST_REQUEST' }],
  [{ simple: 'PASSTHROUGH' }, { lbPolicy: 'CLUSTER_PROVIDED', type: 'ORIGINAL_DST' }],
  [
    { consistentHash: { httpHeaderName: 'x' } },
    { lbPolicy: 'RING_HASH', ringHashLbConfig: { minimumRingSize: '1024' } },
  ],
  [
    { consistentHash: { httpHeaderName: 'x', ringHash: { minimumRingSize: '8' } } },
    { lbPolicy: 'RING_HASH', ringHashLbConfig: { minimumRingSize: '8' } },
  ],
  [
    { consistentHash: { useSourceIp: true, maglev: { tableSize: '101' } } },
    { lbPolicy: 'MAGLEV', maglevLbConfig: { tableSize: '101' } },
  ],
  [{ consistentHash: { useSourceIp: true, maglev: {} } }, { lbPolicy: 'MAGLEV' }],
  [
    { simple: 'ROUND_ROBIN', warmup: { duration: '30s', minimumPercent: 20 } },
    {
      roundRobinLbConfig: {
        slowStartConfig: {
          slowStartWindow: '30s',
          aggression: { defaultValue: 1, runtimeKey: '(' },
          minWeightPercent: { value: 20 },
        },
      },
    },
  ],
];

for (const [loadBalancer, expected] of BALANCERS) {
  test(`load balancer ${JSON.stringify(loadBalancer)}`, () => {
    const { type, ...rest } = pick(
      reviews({ loadBalancer: loadBalancer as NonNullable<typeof loadBalancer> }),
      'type',
      'lbPolicy',
      'ringHashLbConfig',
      'maglevLbConfig',
      'roundRobinLbConfig',
    );
    deepStrictEqual(type === 'EDS' ? rest : { type, ...rest }, expected);
  });
}

test('connection pools become limits, timeouts and keepalive', () => {
  const cluster = reviews({
    connectionPool: {
      tcp: {
        maxConnections: 10,
        connectTimeout: '3s',
        idleTimeout: '9s',
        tcpKeepalive: { time: '60s', probes: 3 },
      },
      http: { http1MaxPendingRequests: 20, http2MaxRequests: 30, maxRetries: 4, maxRequestsPerConnection: 5 },
    },
  });
  deepStrictEqual(
    [
      at(cluster, 'circuitBreakers', 'thresholds', 0),
      cluster['connectTimeout'],
      at(cluster, 'upstreamConnectionOptions', 'tcpKeepalive'),
      at(cluster, 'typedExtensionProtocolOptions', OPTIONS, 'commonHttpProtocolOptions'),
    ],
    [
      { maxConnections: 10, maxPendingRequests: 20, maxRequests: 30, maxRetries: 4 },
      '3s',
      { keepaliveProbes: 3, keepaliveTime: 60 },
      { idleTimeout: '9s', maxRequestsPerConnection: 5 },
    ],
  );
});

test('outlier detection counts errors in a row only', () => {
  const outlierDetection = {
    consecutive5xxErrors: 7,
    consecutiveGatewayErrors: 0,
    interval: '5s',
    baseEjectionTime: '30s',
    maxEjectionPercent: 50,
    minHealthPercent: 40,
  };
  const cluster = reviews({ outlierDetection });
  deepStrictEqual(
    [cluster['outlierDetection'], cluster['commonLbConfig']],
    [
      {
        consecutive5xx: 7,
        enforcingConsecutive5xx: 100,
        consecutiveGatewayFailure: 0,
        enforcingConsecutiveGatewayFailure: 0,
        enforcingSuccessRate: 0,
        interval: '5s',
        baseEjectionTime: '30s',
        maxEjectionPercent: 50,
      },
      { healthyPanicThreshold: { value: 40 } },
    ],
  );
});

test('a retry budget has defaults for what the rule leaves out', () => {
  deepStrictEqual(at(reviews({ retryBudget: {} }), 'circuitBreakers', 'thresholds', 0, 'retryBudget'), {
    budgetPercent: { value: 20 },
    minRetryConcurrency: 3,
  });
});

interface Version {
  readonly sentence: string;
  readonly portName: string;
  readonly policy?: TrafficPolicy;
  readonly mesh?: MeshConfigJson;
  readonly expected: 'http1' | 'http2' | 'downstream' | 'default';
}

const UPGRADE: TrafficPolicy = { connectionPool: { http: { h2UpgradePolicy: 'UPGRADE' } } };

const VERSIONS: readonly Version[] = [
  { sentence: 'an HTTP port is left to Envoy', portName: 'http', expected: 'default' },
  { sentence: 'a TCP port is left to Envoy', portName: 'tcp', expected: 'default' },
  { sentence: 'a gRPC port speaks HTTP/2', portName: 'grpc', expected: 'http2' },
  { sentence: 'a sniffed port passes on what came', portName: '', expected: 'downstream' },
  { sentence: 'a rule upgrades an HTTP port', portName: 'http', policy: UPGRADE, expected: 'http2' },
  { sentence: 'a sniffed port is not upgraded', portName: '', policy: UPGRADE, expected: 'downstream' },
  {
    sentence: 'the mesh upgrades HTTP ports',
    portName: 'http',
    mesh: { h2UpgradePolicy: 'UPGRADE' },
    expected: 'http2',
  },
  {
    sentence: 'the mesh upgrades no TCP ports',
    portName: 'tcp',
    mesh: { h2UpgradePolicy: 'UPGRADE' },
    expected: 'default',
  },
  {
    sentence: 'a rule may refuse what the mesh upgrades',
    portName: 'http',
    policy: { connectionPool: { http: { h2UpgradePolicy: 'DO_NOT_UPGRADE' } } },
    mesh: { h2UpgradePolicy: 'UPGRADE' },
    expected: 'default',
  },
  {
    sentence: "a rule may ask for the client's protocol",
    portName: 'grpc',
    policy: { connectionPool: { http: { useClientProtocol: true } } },
    expected: 'downstream',
  },
  {
    sentence: 'an idle timeout alone makes HTTP/1.1 explicit',
    portName: 'http',
    policy: { connectionPool: { http: { idleTimeout: '5s' } } },
    expected: 'http1',
  },
];

for (const { sentence, portName, policy = {}, mesh = {}, expected } of VERSIONS) {
  test(sentence, () => {
    const cluster = reviews(policy, kubernetesService('reviews', { ports: [port(portName)] }), mesh);
    const options = at(cluster, 'typedExtensionProtocolOptions', OPTIONS);
    const explicit = at(options, 'explicitHttpConfig') as Json | undefined;
    const found =
      options === undefined
        ? 'default'
        : at(options, 'useDownstreamProtocolConfig') !== undefined
          ? 'downstream'
          : explicit?.['http2ProtocolOptions'] !== undefined
            ? 'http2'
            : 'http1';
    strictEqual(found, expected);
  });
}

test('port-level settings replace those of the rule, without inheriting any', () => {
  const cluster = reviews({
    loadBalancer: { simple: 'RANDOM' },
    connectionPool: { tcp: { maxConnections: 7 } },
    portLevelSettings: [{ port: { number: 80 }, connectionPool: { http: { http2MaxRequests: 9 } } }],
  });
  deepStrictEqual(
    [cluster['lbPolicy'], at(cluster, 'circuitBreakers', 'thresholds', 0, 'maxConnections')],
    ['LEAST_REQUEST', 4294967295],
  );
});

test('a subset overrides the rule field by field', () => {
  const rig = rigWith(
    kubernetesService('reviews'),
    rule({
      trafficPolicy: { loadBalancer: { simple: 'RANDOM' }, connectionPool: { tcp: { maxConnections: 7 } } },
      subsets: [{ name: 'v1', trafficPolicy: { connectionPool: { tcp: { maxConnections: 8 } } } }],
    }),
  );
  const cluster = rig.cluster(SIDECAR, `outbound|80|v1|${REVIEWS}`);
  deepStrictEqual(
    [cluster?.['lbPolicy'], at(cluster, 'circuitBreakers', 'thresholds', 0, 'maxConnections')],
    ['RANDOM', 8],
  );
});

test("the mesh's default policy fills blocks that no rule sets", () => {
  const mesh: MeshConfigJson = {
    defaultTrafficPolicy: {
      connectionPool: { tcp: { maxConnections: 5 } },
      outlierDetection: { consecutive5xxErrors: 2 },
    },
  };
  const cluster = reviews(
    { connectionPool: { tcp: { maxConnections: 7 } } },
    kubernetesService('reviews'),
    mesh,
  );
  deepStrictEqual(
    [
      at(cluster, 'circuitBreakers', 'thresholds', 0, 'maxConnections'),
      at(cluster, 'outlierDetection', 'consecutive5xx'),
    ],
    [7, 2],
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
