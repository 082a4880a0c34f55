/** Random settings and policies: DestinationRules, Sidecars, PeerAuthentications, AuthorizationPolicies, mesh config. */
import type { ResolvedName } from '#model/resolved-name.ts';
import fc from 'fast-check';
import type { MeshNetworks } from '#api/mesh-networks.ts';
import {
  all,
  exportTo,
  few,
  host,
  istioManifests,
  type Manifest,
  portNumber,
  selector,
  some,
} from './mesh-names.ts';
import { credentialName } from './secret-arbitrary.ts';

const duration = fc.constantFrom('1s', '2.500s', '30s');

const loadBalancer = fc.oneof(
  fc.constantFrom({ simple: 'ROUND_ROBIN' }, { simple: 'LEAST_REQUEST' }, { simple: 'RANDOM' }),
  fc.constantFrom(
    { consistentHash: { httpHeaderName: 'x-user' } },
    { consistentHash: { useSourceIp: true } },
    { consistentHash: { httpCookie: { name: 'u', ttl: '60s' } } },
  ),
  fc.constantFrom(
    { simple: 'ROUND_ROBIN', warmup: { duration: '10s' } },
    { localityLbSetting: { enabled: true, failover: [{ from: 'r1', to: 'r2' }] } },
    { localityLbSetting: { distribute: [{ from: 'r1/*', to: { 'r1/*': 80, 'r2/*': 20 } }] } },
    { zoneAwareLbSetting: { failover: [{ from: 'r1', to: 'r2' }], failoverPriority: ['version'] } },
    { zoneAwareLbSetting: { enabled: false, minClusterSize: 2 } },
    { backendUtilization: { weightUpdatePeriod: '1s' } },
  ),
);

const connectionPool = some({
  tcp: some({
    maxConnections: fc.constantFrom(1, 100),
    connectTimeout: duration,
    idleTimeout: duration,
    maxConnectionDuration: duration,
  }),
  http: some({
    http1MaxPendingRequests: fc.constantFrom(1, 10),
    maxRequestsPerConnection: fc.constantFrom(1, 2),
    maxRetries: fc.constant(3),
    h2UpgradePolicy: fc.constantFrom('UPGRADE', 'DO_NOT_UPGRADE'),
  }),
});

const clientTls = fc.oneof(
  fc.constantFrom(
    { mode: 'DISABLE' },
    { mode: 'ISTIO_MUTUAL' },
    { mode: 'SIMPLE', sni: 'x.example.com' },
    { mode: 'SIMPLE', credentialName: 'configmap://default/a' },
  ),
  fc
    .tuple(fc.constantFrom('SIMPLE', 'MUTUAL'), credentialName)
    .map(([mode, credential]) => ({ mode, credentialName: credential })),
);

const settings = some({
  loadBalancer,
  connectionPool,
  outlierDetection: some({
    consecutive5xxErrors: fc.constantFrom(0, 3),
    interval: duration,
    minHealthPercent: fc.constant(50),
    outlierDetectionHttpErrorCodes: fc.constant([404]),
  }),
  tls: clientTls,
  proxyProtocol: fc.constant({ version: 'V2' }),
  retryBudget: fc.constantFrom({}, { percent: 30 }),
  tunnel: fc.constant({ protocol: 'CONNECT', targetHost: 'x.example.com', targetPort: 443 }),
});

/** Failover between places needs outlier detection. */
const failover = fc
  .constantFrom(
    { failover: [{ from: 'r1', to: 'r2' }] },
    { failoverPriority: ['topology.istio.io/network', 'version'] },
    { failoverPriority: ['version=v1', 'topology.kubernetes.io/region'] },
  )
  .map((how) => ({
    outlierDetection: { consecutive5xxErrors: 3 },
    loadBalancer: { simple: 'ROUND_ROBIN', localityLbSetting: { enabled: true, ...how } },
  }));

const trafficPolicy = fc.oneof(
  settings,
  failover,
  fc.tuple(settings, few(portNumber), settings).map(([own, ports, perPort]) => ({
    ...own,
    portLevelSettings: ports.map((number) => ({ port: { number }, ...perPort })),
  })),
);

const subsets = fc.uniqueArray(
  fc.tuple(fc.constantFrom('v1', 'v2'), fc.option(settings)).map(([version, policy]) => ({
    name: version,
    labels: { version },
    ...(policy === null ? {} : { trafficPolicy: policy }),
  })),
  { maxLength: 2, selector: (subset) => subset.name },
);

const reach = fc.oneof(
  some({ exportTo }),
  selector.map((matchLabels) => ({ workloadSelector: { matchLabels }, exportTo: ['.'] })),
);
const destinationRule = fc
  .tuple(host, some({ trafficPolicy, subsets }), reach)
  .map(([target, rest, to]) => ({ host: target, ...rest, ...to }));

const egressHost = fc.constantFrom(
  '*/*',
  './*',
  'shop/*',
  'default/a.default.svc.cluster.local',
  '~/*',
  '*/x.example.com',
);
const egressPort = fc.constantFrom(
  { port: { number: 80, protocol: 'HTTP', name: 'http' } },
  { port: { number: 3306, protocol: 'TCP', name: 'tcp' } },
  { port: { number: 3306, protocol: 'TCP', name: 'tcp' }, bind: '127.0.0.7', captureMode: 'NONE' },
  { port: { number: 443, protocol: 'TLS', name: 'tls' }, captureMode: 'NONE' },
  { port: { number: 15007, protocol: 'HTTP_PROXY', name: 'proxy' } },
  { port: { number: 0, protocol: 'HTTP', name: 'unix' }, bind: 'unix:///run/egress' },
);
const egress = fc
  .tuple(few(egressHost), fc.option(egressPort))
  .map(([hosts, port]) => ({ hosts, ...(port === null ? {} : port) }));

/** One listener for a port at most, and the one for all others last, as Istio wants it. */
const egressListeners = fc
  .uniqueArray(egress, {
    minLength: 1,
    maxLength: 3,
    selector: (listener) => ('port' in listener ? listener.port.number : -1),
  })
  .map((listeners) => listeners.toSorted((x, y) => Number('port' in y) - Number('port' in x)));

const limits = fc.constantFrom({ tcp: { maxConnections: 5 } }, { tcp: { connectTimeout: '2s' } });
const ingressPort = fc.constantFrom(
  { number: 80, protocol: 'HTTP', name: 'http' },
  { number: 3306, protocol: 'TCP', name: 'tcp' },
  { number: 9000, protocol: 'GRPC', name: 'grpc' },
);
const ingressListeners = fc.uniqueArray(
  fc
    .tuple(
      ingressPort,
      some({
        bind: fc.constantFrom('127.0.0.8', '0.0.0.0'),
        captureMode: fc.constantFrom('DEFAULT', 'NONE', 'IPTABLES'),
        defaultEndpoint: fc.constantFrom('127.0.0.1:8080', '0.0.0.0:8080', '[::1]:8080', 'unix:///run/app'),
        connectionPool: limits,
      }),
    )
    .map(([port, rest]) => ({ port, ...rest })),
  { minLength: 1, maxLength: 2, selector: ({ port }) => port.number },
);

const sidecar = some({
  workloadSelector: selector.map((labels) => ({ labels })),
  egress: egressListeners,
  ingress: ingressListeners,
  inboundConnectionPool: limits,
  outboundTrafficPolicy: fc.constantFrom<object>(
    { mode: 'REGISTRY_ONLY' },
    { mode: 'ALLOW_ANY' },
    { mode: 'ALLOW_ANY', egressProxy: { host: 'a.default.svc.cluster.local', port: { number: 80 } } },
  ),
});

const mode = fc.constantFrom('UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT');
const peerAuthentication = fc.oneof(
  some({ mtls: all({ mode }) }),
  fc
    .tuple(selector, all({ mode }), fc.option(portNumber), mode)
    .map(([matchLabels, mtls, port, portMode]) => ({
      selector: { matchLabels },
      mtls,
      ...(port === null ? {} : { portLevelMtls: { [port]: { mode: portMode } } }),
    })),
);

const rule = some({
  from: fc.constantFrom(
    [{ source: { principals: ['cluster.local/ns/default/sa/sa-a'] } }],
    [{ source: { namespaces: ['shop'], notIpBlocks: ['10.0.0.0/8'] } }],
  ),
  to: fc.constantFrom(
    [{ operation: { methods: ['GET'], paths: ['/a*', '/b'] } }],
    [{ operation: { ports: ['80', '3306'] } }],
    [{ operation: { hosts: ['*.example.com'], notPaths: ['/admin'] } }],
  ),
  when: fc.constantFrom(
    [{ key: 'request.headers[x-user]', values: ['jason'] }],
    [{ key: 'destination.port', values: ['80'] }],
  ),
});

const authorizationPolicy = fc
  .tuple(
    some({
      selector: selector.map((matchLabels) => ({ matchLabels })),
      rules: fc.array(rule, { maxLength: 2 }),
    }),
    fc.constantFrom('ALLOW', 'DENY', 'AUDIT', 'CUSTOM'),
  )
  // Istio refuses DENY and AUDIT without rules.
  .map(([spec, action]) => ({
    ...spec,
    action,
    ...(action === 'CUSTOM' ? { provider: { name: 'opa' } } : {}),
    ...(action === 'ALLOW' || spec.rules?.length ? {} : { rules: [{}] }),
  }));

const dryRun = fc.constantFrom({}, { annotations: { 'istio.io/dry-run': 'true' } });
const policyMetadata = fc.tuple(fc.constantFrom('ALLOW', 'DENY'), dryRun).map(([, metadata]) => metadata);

/** Objects of one kind each, with how often they are drawn. */
export const POLICY_KINDS: readonly (readonly [number, fc.Arbitrary<Manifest>])[] = [
  [6, istioManifests('networking', 'DestinationRule', destinationRule)],
  [3, istioManifests('networking', 'Sidecar', sidecar)],
  [3, istioManifests('security', 'PeerAuthentication', peerAuthentication)],
  [2, istioManifests('security', 'AuthorizationPolicy', authorizationPolicy)],
  [
    1,
    istioManifests(
      'security',
      'AuthorizationPolicy',
      authorizationPolicy.filter(({ action }) => action !== 'AUDIT'),
      policyMetadata,
    ),
  ],
];

const meshConfigFields: { readonly [field: string]: fc.Arbitrary<unknown> } = {
  serviceSettings: fc.constantFrom(
    [{ settings: { clusterLocal: true }, hosts: ['*.default.svc.cluster.local'] }],
    [{ settings: { clusterLocal: false }, hosts: ['*'] }],
  ),
  caCertificates: fc.constant([{ trustDomains: ['west.example'], spiffeBundleUrl: 'https://west.example' }]),
  outboundTrafficPolicy: fc.constantFrom(
    { mode: 'REGISTRY_ONLY' },
    { mode: 'ALLOW_ANY' },
    { mode: 'ALLOW_ANY_DYNAMIC_DNS' },
  ),
  inboundTrafficPolicy: fc.constant({ mode: 'LOCALHOST' }),
  protocolDetectionTimeout: duration,
  disableEnvoyListenerLog: fc.constant(true),
  defaultInboundHttpRetryPolicy: fc.constant({ attempts: 1 }),
  defaultConfig: fc.constantFrom<object>(
    { proxyHeaders: { requestId: { disabled: true }, attemptCount: { disabled: true } } },
    { proxyHeaders: { preserveHttp1HeaderCase: true, xForwardedHost: { enabled: true } } },
    { connectionSettings: { profile: 'EDGE', httpIdleTimeout: '9s' } },
    { tracing: { sampling: 50, customTags: { who: { environment: { name: 'WHO' } } } } },
  ),
  enableTracing: fc.constant(false),
  defaultProviders: fc.constantFrom({ tracing: ['spans'] }, { tracing: ['otel'] }),
  trustDomain: fc.constantFrom('cluster.local', 'td.example'),
  trustDomainAliases: fc.constant(['old.example']),
  rootNamespace: fc.constantFrom('istio-system', 'shop'),
  enableAutoMtls: fc.boolean(),
  extensionProviders: host.map((service) => [
    { name: 'opa', envoyExtAuthzGrpc: { service, port: 9000 } },
    { name: 'spans', zipkin: { service, port: 80 } },
    { name: 'otel', opentelemetry: { service, port: 80 } },
    { name: 'secrets', sds: { name: 'secrets', service, port: 9001 } },
  ]),
  h2UpgradePolicy: fc.constantFrom('UPGRADE', 'DO_NOT_UPGRADE'),
  accessLogFile: fc.constant('/dev/stdout'),
  connectTimeout: duration,
  proxyHttpPort: fc.constant(15080),
  defaultServiceExportTo: fc.constantFrom(['.'], ['*']),
  defaultVirtualServiceExportTo: fc.constantFrom(['.'], ['*']),
  defaultDestinationRuleExportTo: fc.constantFrom(['.'], ['*']),
  localityLbSetting: fc.constantFrom(
    { enabled: false },
    { enabled: true, failover: [{ from: 'r1', to: 'r2' }] },
  ),
  zoneAwareLbSetting: fc.constantFrom({}, { minClusterSize: 3 }),
  serviceEntryVisibility: fc.constantFrom(
    { applyToSidecars: true, defaultVisibility: 'NAMESPACE' },
    { applyToSidecars: true, policies: [{ visibility: 'NONE' }] },
  ),
  outboundClusterStatName: fc.constant('%SERVICE%_%SERVICE_PORT%'),
  defaultTrafficPolicy: fc.constant({ connectionPool: { tcp: { maxConnections: 7 } } }),
  meshMTLS: fc.constant({ minProtocolVersion: 'TLSV1_3' }),
  tlsDefaults: fc.constant({ minProtocolVersion: 'TLSV1_2', cipherSuites: ['ECDHE-RSA-AES256-GCM-SHA384'] }),
  pathNormalization: fc.constant({ normalization: 'MERGE_SLASHES' }),
  defaultHttpRetryPolicy: fc.constant({ attempts: 1 }),
};

/** Networks, by block and by registry, with gateways by address and by the name of a Service. */
export const meshNetworks: fc.Arbitrary<MeshNetworks> = fc.constantFrom<MeshNetworks>(
  {},
  {
    networks: {
      n1: {
        gateways: [
          { address: '192.0.2.1', port: 15443 },
          { address: 'door.example.com', port: 443 },
        ],
      },
      n2: { endpoints: [{ fromRegistry: 'Kubernetes' }] },
    },
  },
  {
    networks: {
      n2: {
        endpoints: [{ fromCidr: '10.9.0.0/24' }, { fromRegistry: 'Kubernetes' }],
        gateways: [{ registryServiceName: 'a.default.svc.cluster.local', port: 443 }],
      },
    },
  },
);

/** What DNS has for the gateway with a name. */
export const resolvedName: fc.Arbitrary<readonly [string, ResolvedName]> = fc
  .subarray(['192.0.2.7', '192.0.2.8', '2001:db8::1'])
  .map((addresses) => ['door.example.com', { addresses }]);

/** A user's part of mesh config: one field mostly, so that what depends on it stands out. */
export const meshConfigPart: fc.Arbitrary<object> = fc.oneof(
  some(meshConfigFields),
  fc
    .constantFrom(...Object.keys(meshConfigFields))
    .chain((field) => all({ [field]: meshConfigFields[field] as fc.Arbitrary<unknown> })),
  fc.constant({}),
);
