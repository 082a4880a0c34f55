import { deepStrictEqual, match, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { readBootstrapTracing } from './bootstrap-tracing.ts';
import type { JsonObject } from './json-value.ts';

function read(tracing: JsonObject, addresses: readonly string[] = ['10.0.0.1']) {
  return readBootstrapTracing({ tracing }, { hostIp: '192.0.2.9', addresses, serviceName: 'web.shop' });
}

const NOTHING = { clusters: [], tracing: {} };

test('there is no tracer without one in the config', () => {
  deepStrictEqual(readBootstrapTracing({}, { hostIp: '', addresses: [], serviceName: '' }), {
    ...NOTHING,
    problems: [],
  });
  deepStrictEqual(read({ sampling: 7 }), { ...NOTHING, problems: [] });
});

test('Zipkin is reached by a cluster of its name, client and server spans apart', () => {
  const { clusters, tracing, problems } = read({ zipkin: { address: 'zipkin.infra:9411' } });
  deepStrictEqual(problems, []);
  strictEqual(clusters[0]?.['name'], 'zipkin');
  match(JSON.stringify(clusters), /"socket_address":\{"address":"zipkin\.infra","port_value":9411\}/);
  deepStrictEqual(tracing, {
    tracing: {
      http: {
        name: 'envoy.tracers.zipkin',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.config.trace.v3.ZipkinConfig',
          collector_cluster: 'zipkin',
          collector_endpoint: '/api/v2/spans',
          collector_endpoint_version: 'HTTP_JSON',
          trace_id_128bit: true,
          shared_span_context: false,
        },
      },
    },
  });
});

test("Datadog's agent is on the node, and is told the name of the service; TLS is as asked for, without HTTP/2", () => {
  const { clusters, tracing } = read({
    datadog: { address: '$(HOST_IP):8126' },
    tlsSettings: { mode: 'SIMPLE', caCertificates: '/ca.pem' },
  });
  strictEqual(clusters[0]?.['name'], 'datadog_agent');
  match(JSON.stringify(clusters), /"address":"192\.0\.2\.9"/);
  match(JSON.stringify(clusters[0]?.['transport_socket']), /^((?!alpn).)*\/ca\.pem((?!alpn).)*$/);
  match(JSON.stringify(tracing), /"collector_cluster":"datadog_agent","service_name":"web\.shop"/);
});

const FAMILIES: readonly (readonly [addresses: readonly string[], family: string])[] = [
  [['10.0.0.1'], 'V4_ONLY'],
  [['fd00::1'], 'V6_ONLY'],
  [['10.0.0.1', 'fd00::1'], 'ALL'],
];
for (const [addresses, family] of FAMILIES) {
  test(`names are looked up as ${family} for a workload at ${addresses.join()}`, () => {
    const { clusters } = read({ zipkin: { address: 'z:1' } }, addresses);
    match(JSON.stringify(clusters), new RegExp(`"dns_lookup_family":"${family}"`));
  });
}

const PROBLEMS: readonly (readonly [tracing: JsonObject, problem: string])[] = [
  [{ zipkin: { address: 'nowhere' } }, 'tracing.zipkin.address'],
  [{ datadog: {} }, 'tracing.datadog.address'],
  [{ lightstep: { address: 'l:1', accessToken: 'x' } }, 'tracing.lightstep'],
  [{ stackdriver: {} }, 'tracing.stackdriver'],
  [{ openCensusAgent: {} }, 'tracing.openCensusAgent'],
];
for (const [tracing, problem] of PROBLEMS) {
  test(`${JSON.stringify(tracing)} cannot be used`, () => {
    deepStrictEqual(read(tracing), { ...NOTHING, problems: [problem] });
  });
}
