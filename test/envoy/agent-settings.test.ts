/** What a pod may say to its agent about certificates, statistics, the bootstrap and the end, with a real Envoy. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { createIssuer, type TestCertificate } from '#identity/certificate-rig.ts';
import {
  EchoServer,
  envoyPath,
  makeFolder,
  mutualTlsListener,
  openTestAuthority,
  ownAddress,
  prepareBundle,
  removeFolder,
  staticCluster,
  TestAgent,
  TestControlPlane,
  until,
  writePrivate,
} from './agent-fixture.ts';

const INBOUND_PORT = 15006;
const REVIEWS = 'spiffe://platform.example/ns/bookinfo/sa/reviews';
const PLATFORM_FOLDER = 'var/run/secrets/workload-spiffe-credentials';

const folder = makeFolder();
const address = ownAddress();
const echo = new EchoServer();
const statsd = createSocket('udp4');
const packets: string[] = [];
let controlPlane: TestControlPlane;
let agent: TestAgent;
let clientFiles: { readonly key: string; readonly cert: string; readonly ca: string };

before(async () => {
  prepareBundle();
  statsd.on('message', (packet) => packets.push(packet.toString())).bind(0, address);
  await once(statsd, 'listening');
  const appPort = await echo.listen(address);
  const listener = mutualTlsListener(address, INBOUND_PORT);
  const ca = await openTestAuthority(join(folder, 'ca'));
  controlPlane = new TestControlPlane(ca, ownAddress(), [listener], [staticCluster('app', address, appPort)]);
  await controlPlane.start();
  const platform = await createIssuer('platform');
  const [own, client] = await Promise.all([
    platform.issue({ uri: REVIEWS }),
    platform.issue({ uri: 'spiffe://platform.example/ns/bookinfo/sa/productpage' }),
  ]);
  clientFiles = { key: client.key, cert: client.chain, ca: platform.root };
  agent = await startAgent(own, platform.root);
});

after(async () => {
  await agent?.stop();
  await controlPlane?.stop();
  echo.close();
  statsd.close();
  removeFolder(folder);
});

async function startAgent(own: TestCertificate, platformRoot: string): Promise<TestAgent> {
  const home = join(folder, 'reviews');
  const { tokens } = controlPlane.ca;
  const token = await tokens.issueToken({
    namespace: 'bookinfo',
    serviceAccount: 'reviews',
    facts: {},
    instance: 'reviews-0',
  });
  writePrivate(join(home, 'var/run/secrets/tokens/istio-token'), token.reveal());
  writePrivate(join(home, 'var/run/secrets/istio/root-cert.pem'), controlPlane.ca.signer.authority.rootPem);
  writePrivate(join(home, PLATFORM_FOLDER, 'cert-chain.pem'), own.chain);
  writePrivate(join(home, PLATFORM_FOLDER, 'key.pem'), own.key);
  writePrivate(join(home, PLATFORM_FOLDER, 'root-cert.pem'), platformRoot);
  writePrivate(join(home, 'override.yaml'), 'node: { metadata: { WHERE: "at $(HOST_IP)" } }\n');
  return new TestAgent(home, {
    ENVOY_PATH: await envoyPath(),
    POD_NAME: 'reviews-0',
    POD_NAMESPACE: 'bookinfo',
    SERVICE_ACCOUNT: 'reviews',
    INSTANCE_IP: address,
    HOST_IP: '10.0.0.7',
    EXIT_ON_ZERO_ACTIVE_CONNECTIONS: 'true',
    MINIMUM_DRAIN_DURATION: '100ms',
    ISTIO_BOOTSTRAP_OVERRIDE: 'override.yaml',
    PROXY_CONFIG: JSON.stringify({
      discoveryAddress: controlPlane.target,
      concurrency: 1,
      statsdUdpAddress: `${address}:${(statsd.address() as AddressInfo).port}`,
    }),
    LATEEN_ADMIN_ADDRESS: address,
    LATEEN_LISTEN_ADDRESS: address,
  });
}

async function ask(port: number, path: string): Promise<{ readonly status: number; readonly body: string }> {
  const outgoing = request({ host: address, port, path, agent: false }).end();
  const [response] = await once(outgoing, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, body: Buffer.concat(chunks).toString() };
}

async function openConnection(): Promise<TLSSocket> {
  const socket = connectTls({
    host: address,
    port: INBOUND_PORT,
    ...clientFiles,
    checkServerIdentity: () => undefined,
  });
  await once(socket, 'secureConnect');
  return socket;
}

it('shows the certificate that the platform keeps in files, and asks no authority for one', async () => {
  const isReady = async (): Promise<true | undefined> =>
    (await ask(15021, '/healthz/ready').catch(() => undefined))?.status === 200 ? true : undefined;
  await until('readiness', 15_000, isReady);
  const socket = await openConnection();
  assert.equal(socket.getPeerCertificate().subjectaltname, `URI:${REVIEWS}`);
  socket.destroy();
  assert.doesNotMatch(agent.log, /no certificate/);
});

it('sends statistics to a statsd listener', async () => {
  const sent = await until('a packet', 15_000, () => packets.find((text) => text.includes('server.')));
  assert.match(sent, /envoy\.server\.\w+:\d+\|(?:c|g|ms)/);
});

it("lays the user's bootstrap over its own", async () => {
  const { body } = await ask(15000, '/config_dump?resource=bootstrap').then((answer) =>
    answer.status === 200 ? answer : ask(15000, '/config_dump'),
  );
  assert.match(body, /"WHERE": "at 10\.0\.0\.7"/);
});

it('ends when the last client has gone, not before', async () => {
  const socket = await openConnection();
  socket.on('error', () => {});
  const exited = once(agent.process, 'exit');
  agent.process.kill('SIGTERM');
  await until('the wait', 10_000, () => /waiting for clients to go.*1/.test(agent.log) || undefined);
  socket.write('still here');
  const [chunk] = await once(socket, 'data');
  assert.equal(chunk.toString(), 'still here');
  assert.equal(agent.process.exitCode, null);
  socket.end();
  const [code] = await exited;
  assert.equal(code, 0);
});
