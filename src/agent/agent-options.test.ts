import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AgentOptions, parseAgentOptions, type ProxyFlags } from './agent-options.ts';
import { parseDownwardFile } from './downward-file.ts';
import { buildEnvoyEnvironment } from './envoy-environment.ts';
import { envoyArguments } from './envoy-process.ts';
import { parseProxyConfig, type ProxyConfig } from './proxy-config.ts';
import { buildProxyNode, type NodeFacts } from './proxy-node.ts';
import { NO_SOCKETS } from './secret-sockets.ts';
import { readStatsSettings } from './stats-options.ts';

const noFlags: ProxyFlags = {
  kind: 'sidecar',
  domain: undefined,
  concurrency: undefined,
  serviceCluster: undefined,
  proxyLogLevel: undefined,
  proxyComponentLogLevel: undefined,
  outlierLogPath: undefined,
};

function parse(environment: Readonly<Record<string, string>>, flags: Partial<ProxyFlags> = {}) {
  return parseAgentOptions(
    { ...noFlags, ...flags },
    {
      environment: new Map(Object.entries(environment)),
      hostname: 'host',
      addresses: ['10.0.0.1'],
      version: '1',
      isRoot: false,
      launcher: [],
      isFile: () => false,
    },
  );
}

function options(
  environment: Readonly<Record<string, string>>,
  flags: Partial<ProxyFlags> = {},
): AgentOptions {
  const parsed = parse(environment, flags);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error);
  return parsed.value;
}

function config(json: object = {}): ProxyConfig {
  const parsed = parseProxyConfig(JSON.stringify(json));
  assert.ok(parsed.ok);
  return parsed.value.config;
}

describe('options', () => {
  it('serve DNS where the environment says so, or proxyMetadata where nobody copied it there', () => {
    const metadata = JSON.stringify({ proxyMetadata: { ISTIO_META_DNS_CAPTURE: 'true' } });
    const own = { LATEEN_LISTEN_ADDRESS: '127.4.0.2' };
    assert.equal(options({}).dns, undefined);
    assert.deepEqual(options({ ISTIO_META_DNS_CAPTURE: 'true' }).dns?.listen, {
      address: 'localhost',
      port: 15053,
    });
    assert.deepEqual(options({ ...own, PROXY_CONFIG: metadata }).dns?.listen, {
      address: '127.4.0.2',
      port: 15053,
    });
  });

  it('lead gRPC libraries, with Envoy or without', () => {
    const { grpc, hasEnvoy } = options({});
    assert.deepEqual(
      [grpc, hasEnvoy],
      [
        { bootstrapPath: 'etc/istio/proxy/grpc-bootstrap.json', certificateFolder: undefined, isKept: false },
        true,
      ],
    );
    const without = options({ DISABLE_ENVOY: 'true', OUTPUT_CERTS: '/certs', GRPC_XDS_BOOTSTRAP: '/b.json' });
    assert.deepEqual(
      [without.grpc, without.hasEnvoy],
      [{ bootstrapPath: '/b.json', certificateFolder: '/certs', isKept: false }, false],
    );
  });

  it("are Istio's where nothing is said", () => {
    const { xds, ca, certificate, status, readiness, workload, envoy, xdsSocketPath, sockets } = options({});
    assert.deepEqual([xds.host, xds.port, xds.security], ['istiod.istio-system.svc', 15012, 'tls']);
    assert.deepEqual(ca, xds);
    assert.equal(xds.rootCertPath, './var/run/secrets/istio/root-cert.pem');
    assert.equal(xds.tokenPath, './var/run/secrets/tokens/istio-token');
    assert.equal(certificate.spiffeId, 'spiffe://cluster.local/ns/default/sa/default');
    assert.equal(certificate.ttlMs, 86_400_000);
    assert.deepEqual(status.status, { address: '0.0.0.0', port: 15020 });
    assert.deepEqual(status.prometheus, { address: '0.0.0.0', port: 15090 });
    assert.deepEqual(status.admin, { address: '127.0.0.1', port: 15000 });
    assert.deepEqual(readiness, { address: '0.0.0.0', port: 15021 });
    assert.deepEqual(workload.addresses, ['10.0.0.1']);
    assert.equal(workload.domain, 'default.svc.cluster.local');
    assert.deepEqual(
      [xdsSocketPath, sockets.workload],
      ['etc/istio/proxy/XDS', './var/run/secrets/workload-spiffe-uds/socket'],
    );
    assert.deepEqual(
      envoyArguments(envoy).join(' '),
      '-c etc/istio/proxy/envoy-rev.json --drain-time-s 45 --drain-strategy immediate --local-address-ip-version v4 ' +
        '--file-flush-interval-msec 1000 -l warning --component-log-level misc:error --concurrency 2 ' +
        '--disable-hot-restart --allow-unknown-static-fields --skip-deprecated-logs',
    );
  });

  it('heed what a container says about its CPUs, its end and its bootstrap', () => {
    const { envoy, status } = options({
      ISTIO_CPU_LIMIT: '3',
      EXIT_ON_ZERO_ACTIVE_CONNECTIONS: 'true',
      ISTIO_BOOTSTRAP_OVERRIDE: '/etc/istio/custom-bootstrap/custom_bootstrap.json',
      ISTIO_ENVOY_ENABLE_CORE_DUMP: 'true',
      METRICS_LOCALHOST_ACCESS_ONLY: 'true',
      PILOT_AGENT_MERGE_ENVOY_STATS: 'false',
      PROXY_CONFIG: JSON.stringify({ customConfigFile: '/etc/own.yaml', statsCompression: false }),
    });
    assert.deepEqual(
      [envoy.concurrency, envoy.idleWait, envoy.overridePath, envoy.configPath, envoy.hasCoreDumps],
      [
        3,
        { minimumMs: 5000, ownListeners: ['0.0.0.0_15021'] },
        '/etc/istio/custom-bootstrap/custom_bootstrap.json',
        '/etc/own.yaml',
        true,
      ],
    );
    assert.deepEqual([status.hasLocalMetrics, status.mergesEnvoy, status.compresses], [true, false, false]);
    const own = { ISTIO_CPU_LIMIT: '3', PROXY_CONFIG: JSON.stringify({ concurrency: 1 }) };
    assert.equal(options(own).envoy.concurrency, 1);
  });

  it('take addresses, files and ports of one machine with many agents', () => {
    const { status, readiness, upstreamSourceAddress, xds, ca, xdsSocketPath, problems } = options({
      PROXY_CONFIG: JSON.stringify({
        discoveryAddress: '127.0.0.1:1',
        controlPlaneAuthPolicy: 'NONE',
        configPath: '/w/proxy',
        statusPort: 1020,
        proxyAdminPort: 1000,
      }),
      CA_ADDR: '[::1]:2',
      LATEEN_LISTEN_ADDRESS: '127.0.1.1',
      LATEEN_ADMIN_ADDRESS: '127.0.1.1',
      LATEEN_UPSTREAM_SOURCE_ADDRESS: '127.0.1.1',
      ENVOY_STATUS_PORT: '1021',
      ENVOY_PROMETHEUS_PORT: '1090',
    });
    assert.deepEqual([xds.security, ca.security, ca.host, ca.port], ['plaintext', 'tls', '::1', 2]);
    assert.deepEqual(
      [status.status, status.admin, status.prometheus, readiness].map(
        ({ address, port }) => `${address}:${port}`,
      ),
      ['127.0.1.1:1020', '127.0.1.1:1000', '127.0.1.1:1090', '127.0.1.1:1021'],
    );
    assert.equal(upstreamSourceAddress, '127.0.1.1');
    assert.equal(xdsSocketPath, '/w/proxy/XDS');
    assert.deepEqual(problems, []);
  });

  it('that cannot be used are named and keep their defaults', () => {
    const { problems, envoy, status } = options(
      {
        PROXY_CONFIG: '{"concurrency":"two","drainDuration":"soon","statusPort":-1}',
        ENVOY_STATUS_PORT: 'x',
        SECRET_TTL: '-1h',
        ISTIO_PROMETHEUS_ANNOTATIONS: '{"scrape":"true","port":"99999"}',
      },
      { concurrency: '-2' },
    );
    assert.deepEqual([...problems].sort(), [
      '--concurrency',
      'ENVOY_STATUS_PORT',
      'ISTIO_PROMETHEUS_ANNOTATIONS',
      'PROXY_CONFIG.concurrency',
      'PROXY_CONFIG.drainDuration',
      'PROXY_CONFIG.statusPort',
      'SECRET_TTL',
    ]);
    assert.deepEqual([envoy.concurrency, envoy.drainDurationMs, status.status.port], [2, 45_000, 15020]);
  });

  const refused: readonly [environment: Readonly<Record<string, string>>, reason: RegExp][] = [
    [{ PROXY_CONFIG: '[]' }, /not a JSON object/],
    [{ PROXY_CONFIG: '{' }, /not a JSON object/],
    [{ PROXY_CONFIG: '{"discoveryAddress":"istiod"}' }, /"istiod" is no host:port/],
    [{ CA_ADDR: 'http://x:0' }, /no host:port/],
    [{ POD_NAMESPACE: 'a/b' }, /no identity .* bad path/],
    [{ TRUST_DOMAIN: 'A' }, /no identity .* bad trust domain/],
  ];
  for (const [environment, reason] of refused) {
    it(`are refused: ${JSON.stringify(environment)}`, () => {
      const parsed = parse(environment);
      assert.match(parsed.ok ? '' : parsed.error, reason);
    });
  }

  it("say where the application's metrics are, unless it does not want to be scraped", () => {
    const at = (json: string) => options({ ISTIO_PROMETHEUS_ANNOTATIONS: json }).status.application;
    assert.deepEqual(at('{"scrape":"true","path":"/m","port":"8080"}'), {
      address: '127.0.0.1',
      port: 8080,
      path: '/m',
    });
    assert.equal(at('{"scrape":"false","path":"/m","port":"8080"}'), undefined);
    assert.equal(at('{"scrape":"true","path":"http://evil/\\r\\nx","port":"8080"}'), undefined);
  });
});

describe('the node', () => {
  const facts: NodeFacts = {
    kind: 'sidecar',
    addresses: ['10.0.0.1', 'fd00::1', '10.0.0.1'],
    name: 'reviews-v1-0',
    namespace: 'bookinfo',
    serviceAccount: 'reviews',
    domain: 'bookinfo.svc.cluster.local',
    environment: new Map([
      ['ISTIO_META_WORKLOAD_NAME', 'reviews-v1'],
      ['ISTIO_META_CLUSTER_ID', 'c1'],
      ['ISTIO_METAJSON_LABELS', '{"app":"reviews","version":"v1","__proto__":"x"}'],
      ['ISTIO_METAJSON_ANNOTATIONS', '{"a":"b"}'],
      ['ISTIO_METAJSON_MORE', '{"DNS_CAPTURE":"true"}'],
      ['ISTIO_METAJSON_BROKEN', '{'],
      ['OTHER', 'x'],
    ]),
    proxyConfig: config({
      discoveryAddress: 'istiod.x:15012',
      proxyMetadata: { ISTIO_META_CLUSTER_ID: 'c0', ISTIO_META_M: 'm' },
    }),
    readinessPort: 15021,
    prometheusPort: 15090,
    version: '1.2',
    labelsFile: 'version="v2"\npod-template-hash="77"\nistio-locality="r.z.s"\n',
    annotationsFile: 'note="a \\"b\\"\\n\\x01"\n',
    outlierLogPath: undefined,
    stdoutIsSocket: false,
    sockets: NO_SOCKETS,
  };

  it('names the proxy and carries its facts', () => {
    const node = buildProxyNode(facts);
    assert.equal(node.id, 'sidecar~10.0.0.1~reviews-v1-0.bookinfo~bookinfo.svc.cluster.local');
    assert.equal(node.cluster, 'reviews.bookinfo');
    assert.deepEqual(node.locality, { region: 'r', zone: 'z', sub_zone: 's' });
    const labels = JSON.parse('{"app":"reviews","version":"v2","__proto__":"x","istio-locality":"r/z/s"}');
    assert.deepEqual(node.metadata, {
      ANNOTATIONS: { a: 'b', note: 'a "b"\n\u0001' },
      CLUSTER_ID: 'c1',
      DNS_CAPTURE: 'true',
      ENVOY_PROMETHEUS_PORT: 15090,
      ENVOY_STATUS_PORT: 15021,
      INSTANCE_IPS: '10.0.0.1,fd00::1',
      ISTIO_VERSION: '1.2',
      LABELS: labels,
      LATEEN_ENVIRONMENT: 'true',
      M: 'm',
      NAME: 'reviews-v1-0',
      NAMESPACE: 'bookinfo',
      PILOT_SAN: ['istiod.x'],
      PROXY_CONFIG: {
        discoveryAddress: 'istiod.x:15012',
        proxyMetadata: { ISTIO_META_CLUSTER_ID: 'c0', ISTIO_META_M: 'm' },
      },
      SERVICE_ACCOUNT: 'reviews',
      WORKLOAD_NAME: 'reviews-v1',
    });
  });

  const clusters: readonly [json: object, expected: string][] = [
    [{}, 'reviews.bookinfo'],
    [{ serviceCluster: 'mine' }, 'mine'],
    [{ serviceCluster: 'istio-proxy' }, 'reviews.bookinfo'],
    [{ tracingServiceName: 'CANONICAL_NAME_ONLY' }, 'reviews'],
    [{ tracingServiceName: 'CANONICAL_NAME_AND_NAMESPACE' }, 'reviews.bookinfo'],
  ];
  for (const [json, expected] of clusters) {
    it(`has the cluster ${expected} with ${JSON.stringify(json)}`, () => {
      assert.equal(buildProxyNode({ ...facts, proxyConfig: config(json) }).cluster, expected);
    });
  }

  it("gives Envoy its workload's facts, never a missing or a hostile one", () => {
    const environment = (labels: object): string[] => {
      const given = new Map([
        ...facts.environment,
        ['ISTIO_METAJSON_LABELS', JSON.stringify(labels)] as const,
      ]);
      const node = buildProxyNode({ ...facts, environment: given, labelsFile: undefined });
      const all = buildEnvoyEnvironment(new Map([['KEPT', '1']]), node, 'bookinfo');
      assert.equal(all['KEPT'], '1');
      return Object.entries(all).flatMap(([name, value]) =>
        name.startsWith('LATEEN_') ? [`${name.slice(7)}=${value}`] : [],
      );
    };
    const bare = [
      'WORKLOAD=reviews-v1',
      'NAMESPACE=bookinfo',
      'APP=unknown',
      'VERSION=unknown',
      'CANONICAL_SERVICE=reviews-v1',
      'CANONICAL_REVISION=latest',
      'CLUSTER=c1',
      'MESH_ID=unknown',
    ];
    assert.deepEqual(environment({}), bare);
    assert.deepEqual(environment({ app: 'a\r\nx: y', version: 'ü' }), bare);
    assert.deepEqual(environment({ app: 'reviews', version: 'v1' }).slice(2, 6), [
      'APP=reviews',
      'VERSION=v1',
      'CANONICAL_SERVICE=reviews',
      'CANONICAL_REVISION=v1',
    ]);
  });

  const attributes: readonly [given: string, expected: string][] = [
    ['', 'service.name=reviews.bookinfo'],
    ['team=a,nonsense', 'service.name=reviews.bookinfo,team=a'],
    ['team=a,service.name=mine', 'team=a,service.name=mine'],
  ];
  for (const [given, expected] of attributes) {
    it(`tells OpenTelemetry who sends spans beside "${given}"`, () => {
      const environment = new Map([['OTEL_RESOURCE_ATTRIBUTES', given]]);
      const all = buildEnvoyEnvironment(environment, buildProxyNode(facts), 'bookinfo');
      assert.equal(all['OTEL_RESOURCE_ATTRIBUTES'], expected);
    });
  }

  it("tells Datadog's tracer who sends spans, unless it is told already", () => {
    const service = (...given: readonly [string, string][]): string | undefined =>
      buildEnvoyEnvironment(new Map(given), buildProxyNode(facts), 'bookinfo')['DD_SERVICE'];
    assert.deepEqual([service(), service(['DD_SERVICE', 'mine'])], ['reviews.bookinfo', 'mine']);
  });
});

describe('downward API files', () => {
  it('are read as Go quotes them', () => {
    const text = 'a="b"\nc="x=\\"y\\"\\\\\\t\\x07\\U0001f600\\a"\nbroken=x\n\nd=\n=""\n';
    assert.deepEqual(
      [...parseDownwardFile(text)],
      [
        ['a', 'b'],
        ['c', 'x="y"\\\t\u0007😀\u0007'],
        ['', ''],
      ],
    );
  });
});

describe('statistics', () => {
  it('come from annotations first, else from the mesh, and never break the bootstrap', () => {
    const { stats, problems } = readStatsSettings(
      config({
        proxyStatsMatcher: { inclusionPrefixes: ['mesh'], inclusionRegexps: ['r.*'] },
        extraStatTags: ['one'],
      }),
      new Map([
        ['sidecar.istio.io/statsInclusionPrefixes', 'http.{pod_ip}_,x'],
        ['sidecar.istio.io/extraStatTags', 'two,(a+)+'],
        ['sidecar.istio.io/statsHistogramBuckets', '{"istiocustom":[1,5],"b":[5,1]}'],
        ['sidecar.istio.io/statsFlushInterval', '7s'],
        ['sidecar.istio.io/statsEvictionInterval', '60s'],
      ]),
      ['10.0.0.1', '10.0.0.2'],
    );
    assert.deepEqual(stats, {
      inclusionPrefixes: ['http.10.0.0.1_', 'http.10.0.0.2_', 'x'],
      inclusionSuffixes: [],
      inclusionRegexps: ['r.*'],
      countsConnections: false,
      extraStatTags: ['one', 'two'],
      histogramBuckets: new Map(),
      flushIntervalMs: 7000,
      evictionIntervalMs: 63_000,
    });
    assert.deepEqual(problems, ['extraStatTags', 'statsHistogramBuckets']);
  });
});
