import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { readAccessLogClusters } from './access-log-service.ts';
import type { JsonObject } from './json-value.ts';

function cluster(service: JsonObject, hostIp = ''): JsonObject | undefined {
  const { clusters, problems } = readAccessLogClusters({ envoyAccessLogService: service }, hostIp);
  deepStrictEqual(problems, []);
  return clusters[0];
}

function addressOf(service: JsonObject, hostIp = ''): unknown {
  const found = JSON.stringify(cluster(service, hostIp));
  return /"socket_address":(\{[^}]*\})/.exec(found)?.[1];
}

test('there is no cluster without a service', () => {
  deepStrictEqual(readAccessLogClusters({}, ''), { clusters: [], problems: [] });
});

test('names, addresses of both families and the host of the node are where logs go', () => {
  strictEqual(addressOf({ address: 'als.infra:15000' }), '{"address":"als.infra","port_value":15000}');
  strictEqual(addressOf({ address: '[fd00::1]:9' }), '{"address":"fd00::1","port_value":9}');
  strictEqual(addressOf({ address: '$(HOST_IP):9' }, '10.0.0.1'), '{"address":"10.0.0.1","port_value":9}');
});

for (const address of ['als', 'als:0x1', 'als:70000', ':9', '[als:9']) {
  test(`"${address}" is no address`, () => {
    deepStrictEqual(readAccessLogClusters({ envoyAccessLogService: { address } }, ''), {
      clusters: [],
      problems: ['envoyAccessLogService.address'],
    });
  });
}

test('keepalive and TLS are as the service asks', () => {
  const built = cluster({
    address: 'als:9',
    tcpKeepalive: { probes: 3, time: '10s', interval: '0s' },
    tlsSettings: {
      mode: 'SIMPLE',
      caCertificates: '/ca.pem',
      sni: 'als.test',
      subjectAltNames: ['als.test'],
    },
  });
  deepStrictEqual(built?.['upstream_connection_options'], {
    tcp_keepalive: { keepalive_probes: 3, keepalive_time: 10 },
  });
  deepStrictEqual(built['transport_socket'], {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      sni: 'als.test',
      common_tls_context: {
        alpn_protocols: ['h2'],
        validation_context: {
          match_typed_subject_alt_names: [
            { san_type: 'URI', matcher: { exact: 'als.test' } },
            { san_type: 'DNS', matcher: { exact: 'als.test' } },
          ],
          trusted_ca: { filename: '/ca.pem' },
        },
      },
    },
  });
});

test("a service of the mesh gets the workload's own certificate", () => {
  const socket = JSON.stringify(
    cluster({ address: 'als:9', tlsSettings: { mode: 'ISTIO_MUTUAL' } })?.['transport_socket'],
  );
  deepStrictEqual(
    [
      /"sni":"([^"]*)"/.exec(socket)?.[1],
      [...socket.matchAll(/"name":"(default|ROOTCA)"/g)].map(([, name]) => name),
    ],
    ['envoy_accesslog_service', ['default', 'ROOTCA']],
  );
});
