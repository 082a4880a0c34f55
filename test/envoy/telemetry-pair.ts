/** The two Envoys of the telemetry tests: a caller's and a called workload's, with filters that our builders made. */
import assert from 'node:assert/strict';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { once } from 'node:events';
import type { Filter } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { buildHttpConnectionManager } from '#xds/filters/http-connection-manager.ts';
import { inboundChainFilters } from '#xds/filters/inbound-filters.ts';
import { callerHttpParts, plainStream } from '#xds/filters/outbound-filters.ts';
import { MESH_HTTP_ALPN_VALUES } from '#xds/filters/alpn.ts';
import { buildInboundRoutes } from '#xds/listeners/inbound-routes.ts';
import { FACTS, hostRoutes, INBOUND, testCluster, testListener, workloadEnvironment } from './mesh-pair.ts';
import { freePort, startStaticEnvoy, type StaticEnvoy } from './static-envoy.ts';
import { startEchoApp, startHttp2App, startHttpApp, type TestApp } from './test-apps.ts';
import { createTestAuthority, type WorkloadCertificate } from './workload-certificates.ts';

const MESH_TLS = { transportProtocol: 'tls' };
const REVIEWS = { host: 'reviews.bookinfo.svc.cluster.local', name: 'reviews', namespace: 'bookinfo' };
const REVIEWS_ENDPOINT = {
  workload: 'reviews-v1',
  namespace: 'bookinfo',
  app: 'reviews',
  version: 'v1',
  canonical_service: 'reviews',
  canonical_revision: 'v1',
  cluster: 'Kubernetes',
};

export interface TelemetryPair {
  readonly caller: StaticEnvoy;
  readonly called: StaticEnvoy;
  readonly apps: readonly TestApp[];
  readonly outside: TlsServer;
  readonly foreigner: WorkloadCertificate;
}

/** Starts everything on `address`; fills `ports`, and notes in `offeredOutside` the ALPN that strangers were offered. */
export async function startTelemetryPair(
  address: string,
  ports: { http: number; tcp: number; inbound: number },
  offeredOutside: string[][],
): Promise<TelemetryPair> {
  const authority = await createTestAuthority();
  const [httpApp, grpcApp, echoApp] = await Promise.all([
    startHttpApp(address),
    startHttp2App(address),
    startEchoApp(address),
  ]);
  const apps = [httpApp, grpcApp, echoApp];
  const server = await authority.issue('spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews', {});
  const client = await authority.issue('spiffe://cluster.local/ns/front/sa/productpage-account', {
    O: 'front',
    OU: 'v1',
    L: 'Kubernetes',
    UID: 'productpage',
    CN: 'productpage-v1',
  });
  const foreigner = await authority.issue('spiffe://cluster.local/ns/legacy/sa/old-batch', {});
  const outside = createTlsServer({
    key: server.key,
    cert: server.chain,
    ALPNCallback: ({ protocols }) => {
      offeredOutside.push(protocols);
      return 'http/1.1';
    },
  });
  outside.on('secureConnection', (socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () =>
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'),
    );
  });
  outside.listen(0, address);
  await once(outside, 'listening');
  const outsideAddress = outside.address();
  assert.ok(outsideAddress !== null && typeof outsideAddress === 'object');

  const autoPort = await freePort(address);
  const grpcPort = await freePort(address);
  ports.inbound = autoPort;
  ports.http = await freePort(address);
  ports.tcp = await freePort(address);
  const inboundFilters = (carries: 'http' | 'tcp', mutualTls: boolean, port: number): Filter[] =>
    inboundChainFilters(
      {
        inbound: INBOUND,
        facts: FACTS,
        policies: {
          trustDomains: ['cluster.local'],
          policies: [],
          mayAskSeveral: false,
          authorizers: [],
          tokenRules: [],
        },
        extensions: [],
      },
      {
        carries,
        mutualTls,
        cluster: `inbound|${port}||`,
        statPrefix: 'inbound',
        port,
        servicePort: port,
        protocol: carries === 'http' ? 'HTTP' : 'TCP',
        routes: () =>
          buildInboundRoutes({
            cluster: `inbound|${port}||`,
            label: String(port),
            operation: 'x',
            retryPolicy: undefined,
          }),
      },
    );
  const called = await startStaticEnvoy({
    address,
    environment: workloadEnvironment('reviews', 'bookinfo'),
    listeners: [
      testListener('auto', address, autoPort, authority.root, [
        {
          match: { ...MESH_TLS, applicationProtocols: ['istio-http/1.1', 'istio-h2'] },
          filters: inboundFilters('http', true, 9080),
          certificate: server,
        },
        {
          match: { ...MESH_TLS, applicationProtocols: ['istio'] },
          filters: inboundFilters('tcp', true, 9090),
          certificate: server,
        },
        { match: { transportProtocol: 'raw_buffer' }, filters: inboundFilters('http', false, 9080) },
      ]),
      testListener('grpc', address, grpcPort, authority.root, [
        {
          match: { ...MESH_TLS, applicationProtocols: ['istio-h2'] },
          filters: inboundFilters('http', true, 9070),
          certificate: server,
        },
      ]),
    ],
    clusters: [
      testCluster({ name: 'inbound|9080||', address, port: httpApp.port, metadata: REVIEWS }),
      testCluster({ name: 'inbound|9070||', address, port: grpcApp.port, metadata: REVIEWS, http2: true }),
      testCluster({ name: 'inbound|9090||', address, port: echoApp.port, metadata: REVIEWS }),
    ],
  });

  const mesh = (name: string, port: number, alpn: keyof typeof MESH_HTTP_ALPN_VALUES) => ({
    name,
    address,
    port,
    metadata: { ...REVIEWS, alpn: MESH_HTTP_ALPN_VALUES[alpn] },
    endpointMetadata: REVIEWS_ENDPOINT,
    tls: { certificate: client, alpn: ['istio'] },
  });
  const routes = hostRoutes({
    reviews: 'reviews',
    grpc: 'grpc',
    either: 'either',
    plain: 'plain',
    outside: 'outside',
    passthrough: 'PassthroughCluster',
  });
  const caller = await startStaticEnvoy({
    address,
    environment: workloadEnvironment('productpage', 'front'),
    listeners: [
      testListener('http', address, ports.http, authority.root, [
        {
          filters: [
            buildHttpConnectionManager({
              direction: 'outbound',
              tracing: undefined,
              statPrefix: 'outbound',
              routes: { kind: 'inline', config: routes },
              settings: FACTS.http,
              ...callerHttpParts(FACTS),
              securityFilters: [],
            }),
          ],
        },
      ]),
      testListener('tcp', address, ports.tcp, authority.root, [{ filters: [plainStream(FACTS, 'reviews')] }]),
    ],
    clusters: [
      testCluster(mesh('reviews', autoPort, 'http1')),
      testCluster({ ...mesh('grpc', grpcPort, 'http2'), http2: true }),
      testCluster({ ...mesh('either', autoPort, 'downstream'), followsCaller: true }),
      testCluster({
        name: 'plain',
        address,
        port: autoPort,
        metadata: REVIEWS,
        endpointMetadata: REVIEWS_ENDPOINT,
      }),
      testCluster({
        name: 'outside',
        address,
        port: outsideAddress.port,
        metadata: { host: 'example.com', name: 'example.com', namespace: 'front' },
        tls: { certificate: client, alpn: ['http/1.1'] },
      }),
      testCluster({ name: 'PassthroughCluster', address, port: httpApp.port }),
    ],
  });
  return { caller, called, apps, outside, foreigner };
}
