import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import type { TrafficPolicy } from '#api/destination-rule.ts';
import { kubernetesService, object, port, proxy } from '#model/service-model-rig.ts';
import type { MeshConfigJson } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { at, type Json, outboundRig, pick, REVIEWS_HOST, reviewsCluster } from '#xds/outbound-rig.ts';

const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

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
      reviewsCluster({ loadBalancer: loadBalancer as NonNullable<typeof loadBalancer> }),
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
  const cluster = reviewsCluster({
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
  const cluster = reviewsCluster({ outlierDetection });
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
  deepStrictEqual(
    at(reviewsCluster({ retryBudget: {} }), 'circuitBreakers', 'thresholds', 0, 'retryBudget'),
    {
      budgetPercent: { value: 20 },
      minRetryConcurrency: 3,
    },
  );
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
    const cluster = reviewsCluster(policy, kubernetesService('reviews', { ports: [port(portName)] }), mesh);
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
  const cluster = reviewsCluster({
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
  const rig = outboundRig();
  const client = proxy('client');
  rig.apply(
    kubernetesService('reviews'),
    object('DestinationRule', 'rule', {
      host: 'reviews',
      trafficPolicy: { loadBalancer: { simple: 'RANDOM' }, connectionPool: { tcp: { maxConnections: 7 } } },
      subsets: [{ name: 'v1', trafficPolicy: { connectionPool: { tcp: { maxConnections: 8 } } } }],
    }),
  );
  rig.connect(client);
  const cluster = rig.cluster(client, `outbound|80|v1|${REVIEWS_HOST}`);
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
  const cluster = reviewsCluster(
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
