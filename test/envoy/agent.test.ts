/** The agent with a real Envoy: secrets, rotation, crashes, a lost control plane, metrics, a clean end. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { createServer, request, type ServerResponse } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { decodeCertificateReply, encodeCertificateCall } from '#identity/certificate-message.ts';
import { makeCsr } from '#identity/csr.ts';
import { generateKeyPair, printPrivateKey } from '#identity/key-pair.ts';
import {
  EchoServer,
  envoyPath,
  isRunning,
  makeFolder,
  memoryMb,
  mutualTlsListener,
  ownAddress,
  prepareBundle,
  removeFolder,
  staticCluster,
  TestAgent,
  TestControlPlane,
  openTestAuthority,
  until,
  writePrivate,
} from './agent-fixture.ts';

const reviews = 'spiffe://cluster.local/ns/bookinfo/sa/reviews';
const client = 'spiffe://cluster.local/ns/bookinfo/sa/productpage';
const facts = {
  workload: 'reviews-v1',
  canonicalService: 'reviews',
  canonicalRevision: 'v1',
  cluster: 'Kubernetes',
};
const inboundPort = 15006;
const ttlSeconds = 12;

let folder = '';
let address = '';
let controlPlane: TestControlPlane;
let agent: TestAgent;
let appPort = 0;
let envoy = '';
const echo = new EchoServer();
const credentials = { key: '', cert: '', ca: '' };
const scrape = createServer((_request, response) => writeBigScrape(response));

before(async () => {
  prepareBundle();
  envoy = await envoyPath();
  folder = makeFolder();
  address = ownAddress();
  appPort = await echo.listen(address);
  scrape.listen(9080, address);
  const ca = await openTestAuthority(join(folder, 'ca'));
  controlPlane = new TestControlPlane(
    ca,
    ownAddress(),
    [mutualTlsListener(address, inboundPort)],
    [staticCluster('app', address, appPort)],
  );
  await controlPlane.start();
  await issueClientCertificate();
  agent = await startAgent();
});

after(async () => {
  await agent?.stop();
  await controlPlane?.stop();
  echo.close();
  scrape.close();
  scrape.closeAllConnections();
  removeFolder(folder);
});

async function issueClientCertificate(): Promise<void> {
  const { ca } = controlPlane;
  const keyPair = await generateKeyPair();
  const token = await ca.tokens.issueToken({
    namespace: 'bookinfo',
    serviceAccount: 'productpage',
    facts: {},
    instance: 'x',
  });
  const peer = { authorization: `Bearer ${token.reveal()}`, certificate: undefined };
  const answer = await ca.service.createCertificate(encodeCertificateCall(makeCsr(keyPair, client), 0), peer);
  const chain = decodeCertificateReply(answer.ok ? answer.value : new Uint8Array());
  assert.ok(chain.ok);
  credentials.key = printPrivateKey(keyPair).reveal();
  credentials.cert = chain.value.slice(0, -1).join('');
  credentials.ca = chain.value.at(-1) ?? '';
}

async function startAgent(): Promise<TestAgent> {
  const home = join(folder, 'reviews');
  const token = await controlPlane.ca.tokens.issueToken({
    namespace: 'bookinfo',
    serviceAccount: 'reviews',
    facts,
    instance: 'reviews-v1-0',
  });
  writePrivate(join(home, 'var/run/secrets/tokens/istio-token'), token.reveal());
  writePrivate(join(home, 'var/run/secrets/istio/root-cert.pem'), credentials.ca);
  return new TestAgent(home, {
    ENVOY_PATH: envoy,
    POD_NAME: 'reviews-v1-0',
    POD_NAMESPACE: 'bookinfo',
    SERVICE_ACCOUNT: 'reviews',
    INSTANCE_IP: address,
    SECRET_TTL: `${ttlSeconds}s`,
    ISTIO_META_WORKLOAD_NAME: 'reviews-v1',
    ISTIO_META_CLUSTER_ID: 'Kubernetes',
    ISTIO_META_INTERCEPTION_MODE: 'NONE',
    ISTIO_METAJSON_LABELS: '{"app":"reviews","version":"v1","istio-locality":"r1.z1.s1"}',
    PROXY_CONFIG: JSON.stringify({
      discoveryAddress: controlPlane.target,
      concurrency: 1,
      drainDuration: '2s',
      terminationDrainDuration: '0.5s',
    }),
    LATEEN_ADMIN_ADDRESS: address,
    LATEEN_LISTEN_ADDRESS: address,
    LATEEN_UPSTREAM_SOURCE_ADDRESS: address,
    LATEEN_APP_ADDRESS: address,
    ISTIO_PROMETHEUS_ANNOTATIONS: '{"scrape":"true","path":"/metrics","port":"9080"}',
  });
}

async function call(port: number, path: string, method = 'GET'): Promise<{ status: number; body: string }> {
  const outgoing = request({ host: address, port, path, method, agent: false });
  outgoing.end();
  const [response] = await once(outgoing, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, body: Buffer.concat(chunks).toString() };
}

async function isReady(): Promise<true | undefined> {
  const answer = await call(15021, '/healthz/ready').catch(() => undefined);
  return answer?.status === 200 ? true : undefined;
}

async function openConnection(): Promise<TLSSocket> {
  const socket = connectTls({
    host: address,
    port: inboundPort,
    ...credentials,
    checkServerIdentity: () => undefined,
  });
  await Promise.race([
    once(socket, 'secureConnect'),
    once(socket, 'error').then(([error]) => Promise.reject(error)),
  ]);
  return socket;
}

async function echoes(socket: TLSSocket, text: string): Promise<void> {
  socket.write(text);
  const [chunk] = await once(socket, 'data');
  assert.equal(chunk.toString(), text);
}

function writeBigScrape(response: ServerResponse): void {
  const line = (index: number): string => `app_requests_total{path="/item/${index}",code="200"} ${index}\n`;
  let index = 0;
  const write = (): void => {
    while (index < 200_000) {
      let block = '';
      for (const end = index + 500; index < end; index++) block += line(index);
      if (!response.write(block)) {
        response.once('drain', write);
        return;
      }
    }
    response.end();
  };
  write();
}

describe('an agent and its Envoy', () => {
  it('become ready, with the configuration of the control plane', async (test) => {
    const startedMs = performance.now();
    await until('ready', 10_000, isReady).catch((error) => {
      throw new Error(`${error}\n${agent.log}`);
    });
    test.diagnostic(`ready after ${Math.round(performance.now() - startedMs)} ms`);
    const [first] = controlPlane.requests;
    assert.equal(first?.node?.id, `sidecar~${address}~reviews-v1-0.bookinfo~bookinfo.svc.cluster.local`);
    assert.equal(first?.node?.cluster, 'reviews.bookinfo');
    assert.deepEqual(
      [first?.node?.locality?.region, first?.node?.locality?.zone, first?.node?.locality?.subZone],
      ['r1', 'z1', 's1'],
    );
    assert.deepEqual(first?.node?.metadata?.['LABELS'], {
      app: 'reviews',
      'istio-locality': 'r1/z1/s1',
      version: 'v1',
    });
    assert.deepEqual(
      controlPlane.requests.filter((one) => one.errorDetail !== undefined),
      [],
    );
  });

  it('show the SPIFFE id to a peer that verifies against the root', async () => {
    const socket = await openConnection();
    assert.equal(socket.authorized, true);
    const certificate = socket.getPeerX509Certificate();
    assert.equal(certificate?.subjectAltName, `URI:${reviews}`);
    assert.equal(certificate?.subject, 'O=bookinfo\nOU=v1\nL=Kubernetes\nUID=reviews\nCN=reviews-v1');
    await echoes(socket, 'hello');
    socket.destroy();
    assert.equal(echo.lastCaller, address);
  });

  it('show it to openssl as the documents say', () => {
    writePrivate(join(folder, 'client.pem'), credentials.cert + credentials.key);
    writePrivate(join(folder, 'root.pem'), credentials.ca);
    const target = [
      '-connect',
      `${address}:${inboundPort}`,
      '-cert',
      join(folder, 'client.pem'),
      '-key',
      join(folder, 'client.pem'),
    ];
    const shown = execFileSync(
      'openssl',
      ['s_client', '-showcerts', '-CAfile', join(folder, 'root.pem'), '-verify_return_error', ...target],
      {
        input: '',
        encoding: 'utf8',
        stdio: ['pipe', 'pipe', 'ignore'],
      },
    );
    const text = execFileSync('openssl', ['x509', '-noout', '-text'], { input: shown, encoding: 'utf8' });
    assert.match(text, new RegExp(`X509v3 Subject Alternative Name: critical\\n\\s+URI:${reviews}\\n`));
    assert.match(shown, /Verify return code: 0 \(ok\)/);
  });

  it('refuse a peer without a certificate', async () => {
    const socket = connectTls({
      host: address,
      port: inboundPort,
      ca: credentials.ca,
      checkServerIdentity: () => undefined,
    });
    const outcome = await Promise.race([
      once(socket, 'error').then(([error]) => String(error)),
      once(socket, 'close').then(() => 'closed'),
    ]);
    assert.match(outcome, /certificate required|closed|reset/i);
  });

  it('let nobody but the own user to their sockets', () => {
    for (const path of [
      'etc/istio/proxy/XDS',
      'var/run/secrets/workload-spiffe-uds/socket',
      'etc/istio/proxy/envoy-rev.json',
    ]) {
      assert.equal(statSync(join(agent.folder, path)).mode & 0o777, 0o600, path);
    }
  });

  it('cost little when idle', (test) => {
    const pid = agent.process.pid ?? 0;
    const rssMb = memoryMb(pid, 'VmRSS');
    test.diagnostic(`idle RSS of the agent: ${rssMb} MB, of it its own ${memoryMb(pid, 'RssAnon')} MB`);
    assert.ok(rssMb < 70, `${rssMb} MB`);
  });

  it('keep an open connection through a rotation, and show the new certificate to new ones', async () => {
    const socket = await openConnection();
    const before = socket.getPeerX509Certificate()?.serialNumber;
    await echoes(socket, 'before');
    await until('a new serial', ttlSeconds * 1000, async () => {
      const probe = await openConnection();
      const serial = probe.getPeerX509Certificate()?.serialNumber;
      probe.destroy();
      return serial === before ? undefined : true;
    });
    await echoes(socket, 'after');
    socket.destroy();
  });

  it('print the metrics of agent, Envoy and application, and stay small while doing so', async (test) => {
    const merged = await call(15020, '/stats/prometheus');
    assert.equal(merged.status, 200);
    assert.match(merged.body, /^istio_agent_cert_expiry_seconds\{resource_name="default"\} \d/m);
    assert.match(merged.body, /^istio_build\{component="proxy",tag="[^"]+"\} 1$/m);
    assert.match(merged.body, /^envoy_server_live/m);
    assert.match(merged.body, /^envoy_cluster_upstream_cx_active\{cluster_name="xds-grpc"\} 1$/m);
    assert.match(merged.body, /^app_requests_total\{path="\/item\/199999",code="200"\} 199999$/m);
    assert.ok(merged.body.length > 10_000_000, String(merged.body.length));
    const envoyOnly = await call(15090, '/stats/prometheus');
    assert.doesNotMatch(envoyOnly.body, /istio_agent_|app_requests_total/);
    for (let round = 0; round < 3; round++) await call(15020, '/metrics');
    const peakMb = memoryMb(agent.process.pid ?? 0, 'VmHWM');
    test.diagnostic(`peak RSS of the agent with scrapes of 10 MB: ${peakMb} MB`);
    assert.ok(peakMb < 100, `${peakMb} MB`);
  });

  it('take commands only by POST, and no order to quit', async () => {
    const answers = [
      await call(15020, '/drain'),
      await call(15020, '/quitquitquit', 'POST'),
      await call(15020, '/nothing'),
      await call(15090, '/healthz/ready'),
    ];
    assert.deepEqual(
      answers.map((one) => one.status),
      [405, 404, 404, 404],
    );
  });

  it('are back within two seconds after Envoy was killed', async (test) => {
    const pid = agent.envoyPid ?? 0;
    const startedMs = performance.now();
    process.kill(pid, 'SIGKILL');
    await until('another Envoy that is ready', 2000, async () => {
      const next = agent.envoyPid;
      return next !== undefined && next !== pid ? isReady() : undefined;
    });
    test.diagnostic(`ready again after ${Math.round(performance.now() - startedMs)} ms`);
    const socket = await openConnection();
    await echoes(socket, 'again');
    socket.destroy();
  });

  it('keep serving without the control plane and find it again, saying what they hold', async (test) => {
    await controlPlane.stop();
    const socket = await openConnection();
    await echoes(socket, 'still here');
    socket.destroy();
    controlPlane.requests.length = 0;
    const startedMs = performance.now();
    await controlPlane.start();
    const initial = await until('a new stream', 5000, () =>
      controlPlane.requests.find((one) => one.typeUrl.endsWith('.Listener')),
    );
    test.diagnostic(`stream back after ${Math.round(performance.now() - startedMs)} ms`);
    assert.deepEqual(initial.initialResourceVersions, { inbound: '1' });
  });

  it('end cleanly: exit code 0, no process, no socket, no bootstrap, no port', async (test) => {
    const envoyPid = agent.envoyPid ?? 0;
    const startedMs = performance.now();
    const code = await agent.stop();
    test.diagnostic(`stopped after ${Math.round(performance.now() - startedMs)} ms`);
    assert.equal(code, 0, agent.log);
    assert.equal(isRunning(envoyPid), false);
    const left = readdirSync(agent.folder, { recursive: true, encoding: 'utf8' }).filter(
      (path) => !statSync(join(agent.folder, path)).isDirectory(),
    );
    assert.deepEqual(left.sort(), [
      'agent.log',
      'var/run/secrets/istio/root-cert.pem',
      'var/run/secrets/tokens/istio-token',
    ]);
    for (const port of [15000, 15020, 15021, 15090, inboundPort]) {
      const socket = connectTcp({ host: address, port });
      const [error] = await once(socket, 'error');
      assert.equal(error.code, 'ECONNREFUSED', `port ${port}`);
    }
    assert.doesNotMatch(agent.log, /PRIVATE KEY|eyJ/);
  });
});
