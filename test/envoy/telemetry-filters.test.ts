/** Metrics, peer facts, access logs and mesh ALPN on two real Envoys whose filters our builders made. */
import assert from 'node:assert/strict';
import { type ConnectionOptions, type Server as TlsServer } from 'node:tls';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { waitFor } from './mesh-pair.ts';
import {
  DESTINATION_SIDE,
  findSeries,
  HTTP_OK,
  series,
  SOURCE_SIDE,
  UNKNOWN_SOURCE,
} from './metric-series.ts';
import { ownAddress, type StaticEnvoy } from './static-envoy.ts';
import { startTelemetryPair } from './telemetry-pair.ts';
import { callHttp, callTcp, type TestApp } from './test-apps.ts';
import { type WorkloadCertificate } from './workload-certificates.ts';

const address = ownAddress();
let caller: StaticEnvoy;
let called: StaticEnvoy;
let apps: readonly TestApp[] = [];
let outside: TlsServer;
const offeredOutside: string[][] = [];
const ports = { http: 0, tcp: 0, inbound: 0 };
let foreigner: WorkloadCertificate;

before(async () => {
  ({ caller, called, apps, outside, foreigner } = await startTelemetryPair(address, ports, offeredOutside));
});

after(async () => {
  await caller?.stop();
  await called?.stop();
  for (const app of apps) await app.close();
  outside?.close();
});

async function call(
  host: string,
  headers: Record<string, string> = {},
): Promise<ReturnType<typeof JSON.parse>> {
  const answer = await callHttp({ address, port: ports.http, headers: { host, ...headers } });
  assert.equal(answer.status, 200, answer.body);
  return answer.body === '' ? undefined : JSON.parse(answer.body);
}

describe('telemetry filters on real Envoys', { timeout: 60_000 }, () => {
  it('count a request on both sides with the labels that Istio has', async () => {
    await call('reviews');
    const [atSource] = await findSeries(caller, 'istio_requests_total', {
      source_principal: SOURCE_SIDE.source_principal,
      request_protocol: 'http',
    });
    assert.deepEqual(atSource, {
      reporter: 'source',
      ...SOURCE_SIDE,
      ...DESTINATION_SIDE,
      ...HTTP_OK,
      connection_security_policy: 'unknown',
    });
    const [atDestination] = await findSeries(called, 'istio_requests_total', {
      connection_security_policy: 'mutual_tls',
    });
    assert.deepEqual(atDestination, {
      reporter: 'destination',
      ...SOURCE_SIDE,
      ...DESTINATION_SIDE,
      ...HTTP_OK,
      connection_security_policy: 'mutual_tls',
    });
    for (const metric of [
      'istio_request_duration_milliseconds_count',
      'istio_request_bytes_count',
      'istio_response_bytes_count',
    ]) {
      assert.deepEqual(
        (await findSeries(called, metric, { connection_security_policy: 'mutual_tls' }))[0],
        atDestination,
      );
    }
  });

  it('know nothing of a caller without mesh mTLS, whatever headers it sends, and show none of them to the application', async () => {
    const answer = await callHttp({
      address,
      port: ports.inbound,
      headers: {
        host: 'reviews',
        'x-lateen-peer-workload': 'admin',
        'x-lateen-peer-namespace': 'kube-system',
        'x-other': 'stays',
      },
    });
    const seen = JSON.parse(answer.body).headers;
    assert.deepEqual(
      Object.keys(seen).filter((name) => name.startsWith('x-lateen')),
      [],
    );
    assert.equal(seen['x-other'], 'stays');
    const [labels] = await findSeries(called, 'istio_requests_total', { connection_security_policy: 'none' });
    assert.deepEqual(labels, {
      reporter: 'destination',
      ...UNKNOWN_SOURCE,
      ...DESTINATION_SIDE,
      destination_principal: 'unknown',
      ...HTTP_OK,
      connection_security_policy: 'none',
    });
  });

  it('know a peer whose certificate says nothing more by its SPIFFE id, and never by a namespace that it claims', async () => {
    const options: RequestOptions & ConnectionOptions = {
      host: address,
      port: ports.inbound,
      headers: { host: 'reviews', 'x-lateen-peer-namespace': 'kube-system', 'x-lateen-peer-version': 'v9' },
      key: foreigner.key,
      cert: foreigner.chain,
      ALPNProtocols: ['istio-http/1.1', 'http/1.1'],
      rejectUnauthorized: false,
      agent: false,
    };
    const outgoing = httpsRequest(options);
    outgoing.end();
    const [answer] = await once(outgoing, 'response');
    answer.resume();
    const [labels] = await findSeries(called, 'istio_requests_total', { source_workload: 'old-batch' });
    const source = Object.entries(labels).filter(([name]) => name.startsWith('source_'));
    assert.deepEqual(Object.fromEntries(source), {
      source_workload: 'old-batch',
      source_workload_namespace: 'legacy',
      source_app: 'old-batch',
      source_version: 'v9',
      source_canonical_service: 'old-batch',
      source_canonical_revision: 'latest',
      source_cluster: 'unknown',
      source_principal: 'spiffe://cluster.local/ns/legacy/sa/old-batch',
    });
  });

  it('replace what the application claims about itself, and keep the headers from the called application (T20)', async () => {
    const before = (
      await findSeries(called, 'istio_requests_total', {
        source_workload: 'productpage-v1',
        request_protocol: 'http',
      })
    )[1];
    const seen = await call('reviews', { 'x-lateen-peer-workload': 'admin', 'x-lateen-peer-zone': 'hidden' });
    assert.deepEqual(
      Object.keys(seen.headers).filter((name) => name.startsWith('x-lateen')),
      [],
    );
    await waitFor('the second request', async () => {
      const now = (
        await findSeries(called, 'istio_requests_total', {
          source_workload: 'productpage-v1',
          request_protocol: 'http',
        })
      )[1];
      return now > before ? now : undefined;
    });
    assert.equal(
      (await series(called, 'istio_requests_total')).some(
        ([labels]) => labels['source_workload'] === 'admin',
      ),
      false,
    );
  });

  it('count gRPC as such, with its status', async () => {
    const session = connectHttp2(`http://${address}:${ports.http}`);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/pkg.Service/Method',
      ':authority': 'grpc',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.end(Buffer.alloc(5));
    stream.resume();
    await once(stream, 'close');
    session.close();
    for (const envoy of [caller, called]) {
      const [labels] = await findSeries(envoy, 'istio_requests_total', { request_protocol: 'grpc' });
      assert.equal(labels['grpc_response_status'], '0');
      assert.equal(labels['source_workload'], 'productpage-v1');
    }
  });

  it('count TCP connections and bytes, with the caller known from its certificate', async () => {
    assert.equal(await callTcp(address, ports.tcp, 'sixteen bytes ok'), 'sixteen bytes ok');
    const common = { ...SOURCE_SIDE, ...DESTINATION_SIDE, request_protocol: 'tcp', response_flags: '-' };
    for (const [envoy, reporter, policy] of [
      [caller, 'source', 'unknown'],
      [called, 'destination', 'mutual_tls'],
    ] as const) {
      for (const [metric, value] of [
        ['istio_tcp_connections_opened_total', 1],
        ['istio_tcp_connections_closed_total', 1],
        ['istio_tcp_sent_bytes_total', 16],
        ['istio_tcp_received_bytes_total', 16],
      ] as const) {
        const found = await findSeries(envoy, metric, { reporter });
        assert.deepEqual(found, [{ reporter, ...common, connection_security_policy: policy }, value], metric);
      }
    }
  });

  it('count a TCP connection that stays open once, when the caller is known', async () => {
    const socket = connectTcp(ports.tcp, address);
    await once(socket, 'connect');
    socket.write('stays open');
    const opened = await waitFor('second opened connection', async () => {
      const found = await series(called, 'istio_tcp_connections_opened_total');
      return found.find(([, value]) => value === 2);
    });
    assert.equal(opened[0]['source_principal'], SOURCE_SIDE.source_principal);
    socket.destroy();
    const closed = await waitFor('second closed connection', async () => {
      const found = await series(called, 'istio_tcp_connections_closed_total');
      return found.find(([, value]) => value === 2);
    });
    assert.deepEqual(closed[0], opened[0]);
    assert.deepEqual(await findSeries(called, 'istio_tcp_connections_opened_total', {}), opened);
  });

  it('name pass-through by its cluster, and nothing by the Host header (T40)', async () => {
    await call('passthrough');
    const [labels] = await findSeries(caller, 'istio_requests_total', {
      destination_service_name: 'PassthroughCluster',
    });
    assert.deepEqual(
      { ...labels, destination_canonical_revision: labels['destination_canonical_revision'] },
      {
        reporter: 'source',
        ...SOURCE_SIDE,
        source_principal: 'unknown',
        ...Object.fromEntries(Object.keys(DESTINATION_SIDE).map((label) => [label, 'unknown'])),
        destination_canonical_revision: 'latest',
        destination_service_name: 'PassthroughCluster',
        ...HTTP_OK,
        connection_security_policy: 'unknown',
      },
    );
  });

  it('offer mesh ALPN by the protocol spoken upstream, also where it follows the caller', async () => {
    assert.equal((await call('either')).version, '1.1');
    const session = connectHttp2(`http://${address}:${ports.http}`);
    const stream = session.request({ ':path': '/', ':authority': 'either' });
    const [headers] = await once(stream, 'response');
    stream.resume();
    await once(stream, 'close');
    session.close();
    assert.equal(headers[':status'], 200);
  });

  it('leave the ALPN of TLS that is originated for somebody outside alone', async () => {
    await call('outside');
    assert.deepEqual(offeredOutside, [['http/1.1']]);
  });

  it('write one line per request and per TCP connection', async () => {
    const lines = await waitFor('access log', () => {
      const all = called
        .output()
        .split('\n')
        .filter((line) => line.startsWith('['));
      return all.some((line) => line.includes('"- - -"')) ? all : undefined;
    });
    assert.equal(lines.filter((line) => line.includes('"- - -"')).length, 2);
    assert.match(
      lines.find((line) => line.includes('GET / HTTP/1.1')) ?? '',
      /^\[\S+\] "GET \/ HTTP\/1\.1" 200 - via_upstream - "-" 0 \d+ \d+ \d+ /,
    );
  });
});
