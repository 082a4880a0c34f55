/** HTTP/3 beside HTTPS, with real Envoys: one as the gateway, one as the client, which node:http is not. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import {
  type Cluster,
  Cluster_DiscoveryType,
  ClusterSchema,
} from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import { SocketAddress_Protocol } from '#proto/envoy/config/core/v3/address_pb.ts';
import { TransportSocketSchema } from '#proto/envoy/config/core/v3/base_pb.ts';
import { type Listener, ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { QuicUpstreamTransportSchema } from '#proto/envoy/extensions/transport_sockets/quic/v3/quic_transport_pb.ts';
import { HttpProtocolOptionsSchema } from '#proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import { socketAddress } from '#xds/address.ts';
import { packAny } from '#xds/encode.ts';
import { buildHttpConnectionManager, NO_FILTERS } from '#xds/filters/http-connection-manager.ts';
import { createIssuer } from '#identity/certificate-rig.ts';
import { secretYaml } from '../support/secret-yaml.ts';
import { call, startBackend, until } from './gateway-clients.ts';
import { openGatewayRig } from './gateway-rig.ts';
import { FACTS, hostRoutes } from './mesh-pair.ts';
import { startStaticEnvoy } from './static-envoy.ts';
import { callHttp } from './test-apps.ts';

const ROUTES = ['tcp', 'quic'];

function mesh(address: string, port: number, backend: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: app, namespace: default}
spec:
  hosts: [app.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: ${address}, ports: {http: ${backend}}}]
---
apiVersion: v1
kind: Service
metadata: {name: gateway, namespace: istio-system}
spec:
  ports:
    - {name: https, port: ${port}, targetPort: ${port}, protocol: TCP}
    - {name: http3, port: ${port}, targetPort: ${port}, protocol: UDP}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: gateway-1, namespace: istio-system, labels: {kubernetes.io/service-name: gateway}}
addressType: IPv4
endpoints: [{addresses: [${address}]}]
ports: [{name: https, port: ${port}, protocol: TCP}, {name: http3, port: ${port}, protocol: UDP}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
    - {port: {number: ${port}, name: https, protocol: HTTPS}, hosts: [a.test], tls: {mode: SIMPLE, credentialName: web}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app, namespace: istio-system}
spec:
  hosts: [a.test]
  gateways: [gw]
  http: [{route: [{destination: {host: app.test, port: {number: 80}}}]}]
`;
}

/** A cluster that speaks HTTP/3 to the gateway. */
function http3Cluster(address: string, port: number, root: string): Cluster {
  const transport = create(QuicUpstreamTransportSchema, {
    upstreamTlsContext: {
      sni: 'a.test',
      commonTlsContext: {
        validationContextType: {
          case: 'validationContext',
          value: { trustedCa: { specifier: { case: 'inlineString', value: root } } },
        },
      },
    },
  });
  const options = create(HttpProtocolOptionsSchema, {
    upstreamProtocolOptions: {
      case: 'explicitHttpConfig',
      value: { protocolConfig: { case: 'http3ProtocolOptions', value: {} } },
    },
  });
  const udp = {
    address: {
      case: 'socketAddress' as const,
      value: {
        protocol: SocketAddress_Protocol.UDP,
        address,
        portSpecifier: { case: 'portValue' as const, value: port },
      },
    },
  };
  return create(ClusterSchema, {
    name: 'gateway',
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    loadAssignment: {
      clusterName: 'gateway',
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address: udp } } }] }],
    },
    transportSocket: create(TransportSocketSchema, {
      name: 'envoy.transport_sockets.quic',
      configType: { case: 'typedConfig', value: packAny(QuicUpstreamTransportSchema, transport) },
    }),
    typedExtensionProtocolOptions: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': packAny(HttpProtocolOptionsSchema, options),
    },
  });
}

/** A listener that sends what it gets to the cluster. */
function clientListener(address: string, port: number): Listener {
  const filter = buildHttpConnectionManager({
    direction: 'outbound',
    tracing: undefined,
    statPrefix: 'client',
    settings: FACTS.http,
    routes: { kind: 'inline', config: hostRoutes({ 'a.test': 'gateway' }) },
    accessLog: [],
    peerFilters: NO_FILTERS,
    securityFilters: NO_FILTERS,
    alpnFilters: NO_FILTERS,
  });
  return create(ListenerSchema, {
    name: 'client',
    address: socketAddress(address, port),
    filterChains: [{ filters: [filter] }],
  });
}

test('HTTPS is there over HTTP/3 on the UDP port of the same number, and answers say so', async () => {
  await using rig = await openGatewayRig({ flags: { quicListeners: true } });
  const [issuer, port, clientPort] = await Promise.all([createIssuer('server'), rig.port(), rig.port()]);
  using backend = await startBackend(rig.address, 'app');
  const { chain, key } = await issuer.issue({ dns: ['a.test'] });
  await rig.apply(secretYaml('web', { cert: chain, key }));
  await rig.apply(mesh(rig.address, port, backend.port));
  const listeners = await rig.admin('/listeners?format=json');
  deepStrictEqual(
    ROUTES.filter((kind) => listeners.includes(`"${kind === 'quic' ? 'udp_' : ''}0.0.0.0_${port}"`)),
    ROUTES,
  );
  const place = { address: rig.address, port };
  const answer = await until(
    'HTTPS',
    () => call(place, { sni: 'a.test', ca: issuer.root }),
    ({ status }) => status === 200,
  );
  strictEqual(answer.headers['alt-svc'], `h3=":${port}"; ma=86400`);
  const client = await startStaticEnvoy({
    listeners: [clientListener(rig.address, clientPort)],
    clusters: [http3Cluster(rig.address, port, issuer.root)],
    environment: {},
    address: rig.address,
  });
  try {
    const ask = () =>
      callHttp({ address: rig.address, port: clientPort, headers: { host: 'a.test' } }).catch(
        () => undefined,
      );
    const over = await until('HTTP/3', ask, (one) => one?.status === 200);
    strictEqual((JSON.parse(over?.body ?? '') as { name: string }).name, 'app');
    const stats = await client.admin('/stats?filter=cluster.gateway.upstream_cx_http3_total');
    strictEqual(stats.trim(), 'cluster.gateway.upstream_cx_http3_total: 1');
  } finally {
    await client.stop();
  }
});
