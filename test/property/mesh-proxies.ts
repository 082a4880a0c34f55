/** The proxies of random meshes: one of every kind that is told apart. */
import { PLAIN_TRAITS } from '#model/proxy.ts';
import type { ProxyFacts } from '../support/mesh-fixture.ts';

function identityIn(namespace: string): string {
  return `spiffe://cluster.local/ns/${namespace}/sa/default`;
}

const gatewayLabels = { istio: 'ingressgateway', app: 'a' };

/** What gRPC libraries ask for: hosts of the pools, in and out of them, by full and by short names. */
const GRPC_NAMES = {
  listeners: [
    ...['a.default', 'b.default', 'b.shop'].flatMap((host) =>
      [80, 7070].map((port) => `${host}.svc.cluster.local:${port}`),
    ),
    'a:7070',
    'b.shop:80',
    'a.example.com:443',
    ...[80, 7070, 8080, 9000].map((port) => `xds.istio.io/grpc/lds/inbound/0.0.0.0:${port}`),
  ],
  routes: ['a.default', 'b.default', 'b.shop'].flatMap((host) =>
    [80, 7070].map((port) => `outbound|${port}||${host}.svc.cluster.local`),
  ),
  clusters: ['a.default', 'b.default', 'b.shop'].flatMap((host) =>
    ['', 'v1'].map((subset) => `outbound|7070|${subset}|${host}.svc.cluster.local`),
  ),
};

const ALL: readonly ProxyFacts[] = [
  {
    name: 'a-1',
    ip: '10.9.0.1',
    labels: { app: 'a', version: 'v1' },
    locality: { region: 'r1', zone: 'z1' },
    metadata: { ENABLE_SELF_DISCOVERY: 'true' },
    dnsCapture: true,
    asks: { nameTable: true },
  },
  {
    name: 'a-2',
    ip: '10.9.0.2',
    labels: { app: 'a', version: 'v2' },
    locality: { region: 'r2', zone: 'z1' },
    dnsCapture: true,
  },
  {
    name: 'b-1',
    ip: '10.9.0.3',
    namespace: 'shop',
    labels: { app: 'b', version: 'v1' },
    interceptionMode: 'TPROXY',
    asks: { nameTable: true },
    traits: { ...PLAIN_TRAITS, foreign: true, serviceCluster: 'b.shop' },
  },
  {
    name: 'c-1',
    ip: 'fd00::5',
    namespace: 'istio-system',
    labels: { app: 'a', version: 'v1' },
    asks: { nameTable: true },
  },
  {
    name: 'a-0',
    ip: '127.4.0.2',
    labels: { app: 'a' },
    interceptionMode: 'NONE',
    outboundAddress: '127.4.0.4',
    httpProxyPort: 15080,
  },
  {
    name: 'a-3',
    ip: '10.9.0.2',
    addresses: ['10.9.0.2', 'fd00::5'],
    labels: { app: 'a', version: 'v2' },
    traits: { ...PLAIN_TRAITS, http10: true, idleTimeoutMs: 90_000, reservedPorts: [9000] },
    proxyConfig: { proxyHeaders: { server: { value: 'web' }, envoyDebugHeaders: { disabled: true } } },
  },
  {
    name: 'b-2',
    ip: '10.9.0.3',
    namespace: 'shop',
    labels: { app: 'b' },
    interceptionMode: 'NONE',
    metadata: { 'file-credential': 'true' },
  },
  {
    name: 'b-4',
    ip: '10.9.0.3',
    namespace: 'shop',
    labels: { app: 'b' },
    clusterId: 'remote',
    metadata: {
      TLS_CLIENT_CERT_CHAIN: '/certs/client.pem',
      TLS_CLIENT_KEY: '/certs/client.key',
      TLS_SERVER_ROOT_CERT: '/certs/root.pem',
    },
    proxyConfig: { proxyHeaders: { metadataExchangeHeaders: { mode: 'IN_MESH' } } },
  },
  {
    name: 'in-1',
    type: 'router',
    ip: '10.9.0.3',
    namespace: 'istio-system',
    labels: gatewayLabels,
    workloadName: 'b',
    metadata: { ENABLE_SELF_DISCOVERY: 'true' },
  },
  {
    name: 'in-2',
    type: 'router',
    ip: '127.4.0.6',
    labels: gatewayLabels,
    metadata: { credential: 'true', 'file-credential': 'true' },
    interceptionMode: 'NONE',
  },
  {
    name: 'out-1',
    type: 'router',
    ip: '10.9.0.2',
    namespace: 'shop',
    labels: { istio: 'egressgateway' },
    network: 'n1',
    traits: { ...PLAIN_TRAITS, unprivileged: true },
    proxyConfig: { connectionSettings: { profile: 'EDGE' }, gatewayTopology: { numTrustedProxies: 1 } },
  },
  {
    name: 'g-1',
    ip: '10.9.0.1',
    generator: 'grpc',
    labels: { app: 'a', version: 'v1', 'security.istio.io/tlsMode': 'istio' },
    asks: GRPC_NAMES,
  },
  {
    name: 'g-2',
    ip: '10.9.0.3',
    generator: 'grpc',
    namespace: 'shop',
    asks: { ...GRPC_NAMES, routes: [] },
  },
];

/** All but one have proven who they are. */
export const PROXIES: readonly ProxyFacts[] = ALL.map((facts) =>
  facts.name === 'a-2' ? facts : { ...facts, identity: identityIn(facts.namespace ?? 'default') },
);
