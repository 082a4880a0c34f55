/**
 * Secrets from somebody else, with real agents and Envoys: a socket as SPIRE's agent has it gives two workloads certificates of its
 * own authority, by which alone they talk; a server of credentials in the pod, and one that mesh config names, give a gateway its own.
 */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert';
import { once } from 'node:events';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { createIssuer, type TestIssuer } from '#identity/certificate-rig.ts';
import { freePort } from './static-envoy.ts';
import { AgentMesh, type Place } from './agent-mesh.ts';
import { ownAddress, type TestAgent, until } from './agent-fixture.ts';
import { handshake } from './gateway-clients.ts';
import { SecretServer } from './secret-server.ts';

const LIMIT_MS = 10_000;
const WORKLOAD_SOCKET = 'var/run/secrets/workload-spiffe-uds';
const CREDENTIAL_SOCKET = 'var/run/secrets/credential-uds/socket';
const idOf = (name: string): string => `spiffe://cluster.local/ns/default/sa/${name}`;

let mesh: AgentMesh;
let spire: TestIssuer;
let credentials: TestIssuer;
let remote: SecretServer;
let remoteAddress = '';
let remotePort = 0;
const servers: SecretServer[] = [];

before(async () => {
  remoteAddress = ownAddress();
  remotePort = await freePort(remoteAddress);
  [mesh, spire, credentials, remote] = await Promise.all([
    AgentMesh.start({
      extensionProviders: [{ name: 'remote', sds: { name: 'x', service: 'sds.test', port: 9090 } }],
    }),
    createIssuer('spire'),
    createIssuer('credentials'),
    SecretServer.listen({ address: remoteAddress, port: remotePort }),
  ]);
  servers.push(remote);
});
after(async () => {
  await mesh[Symbol.asyncDispose]();
  await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
});

/** SPIRE's agent beside one workload. */
async function startSpire({ name, folder }: Place, file: string): Promise<SecretServer> {
  const server = await SecretServer.listen(join(folder, WORKLOAD_SOCKET, file));
  servers.push(server);
  server.setCertificate('default', await spire.issue({ uri: idOf(name) }));
  server.setRoots('ROOTCA', spire.root);
  return server;
}

test('two workloads talk with certificates of another agent, and follow it', async () => {
  const [client, server] = await Promise.all([mesh.place('client'), mesh.place('server')]);
  // Each name of the socket once: the default one, and one that the environment names.
  const [ofClient, ofServer] = [await startSpire(client, 'socket'), await startSpire(server, 'agent.sock')];
  await Promise.all([mesh.serve(client), mesh.serve(server)]);
  const agents = [
    await mesh.startAgent(client),
    await mesh.startAgent(server, { WORKLOAD_IDENTITY_SOCKET_FILE: 'agent.sock' }),
  ] as const;
  await Promise.all([mesh.ready(client, agents[0]), mesh.ready(server, agents[1])]);
  const answer = await until('an answer', LIMIT_MS, async () => {
    const { status, body } = await mesh.call(client, 'server:8080');
    return status === 200 ? (JSON.parse(body) as { name: string; caller: string }) : undefined;
  });
  strictEqual(answer.name, 'server');
  match(answer.caller, /URI=spiffe:\/\/cluster.local\/ns\/default\/sa\/client/);
  deepStrictEqual([...ofClient.asked].sort(), ['ROOTCA', 'default']);
  const served = { address: server.address, port: 8080 };
  const pair = await spire.issue({ uri: idOf('client') });
  const seen = { sni: 'x', certificate: pair, ca: spire.root, alpn: ['istio'] };
  const before = await serialOf(served, seen);
  const renewed = await spire.issue({ uri: idOf('server') });
  ofServer.setCertificate('default', renewed);
  await until('the renewed certificate', LIMIT_MS, async () =>
    (await serialOf(served, seen)) === renewed.serialNumber ? true : undefined,
  );
  ok(before !== renewed.serialNumber);
  ok(agents.every((agent: TestAgent) => !agent.log.includes('workload certificate')));
});

type Wish = Parameters<typeof handshake>[1];

/** Serial number of what a server shows; node's own check of the name does not know SPIFFE ids. */
async function serialOf(
  place: { address: string; port: number },
  { ca: _ca, ...wish }: Wish,
): Promise<string> {
  return (await handshake(place, wish)).serialNumber.toLowerCase().replace(/^0+/, '');
}

interface Partner extends Disposable {
  readonly address: string;
  readonly port: number;
  /** Name in the certificate that a gateway shows to the partner, asked through the gateway. */
  callerBy(gateway: Place): Promise<string>;
}

/** A server outside of the mesh that wants certificates of the same authority. */
async function startPartner(): Promise<Partner> {
  const { chain, key } = await credentials.issue({ dns: ['partner.test'] });
  const demand = { cert: chain, key, ca: credentials.root, requestCert: true, rejectUnauthorized: true };
  const server = createServer(demand, (incoming, response) => {
    const { subjectaltname = '' } = (incoming.socket as TLSSocket).getPeerCertificate();
    response.end(subjectaltname.replace('DNS:', ''));
  });
  const address = ownAddress();
  server.listen(0, address);
  await once(server, 'listening');
  return {
    address,
    port: (server.address() as AddressInfo).port,
    async callerBy(gateway) {
      const options = { host: gateway.address, port: 8443, servername: 'a.test', rejectUnauthorized: false };
      const outgoing = request({ ...options, headers: { host: 'a.test' }, agent: false, timeout: LIMIT_MS });
      outgoing.on('timeout', () => outgoing.destroy(new Error('no answer')));
      outgoing.end();
      const [answer] = await once(outgoing, 'response');
      const chunks: Buffer[] = [];
      for await (const chunk of answer) chunks.push(chunk);
      return Buffer.concat(chunks).toString();
    },
    [Symbol.dispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

test('a gateway asks the server in its pod for sds:// names, the one of the mesh where there is none', async () => {
  const [inPod, plain] = await Promise.all([mesh.place('inpod'), mesh.place('plain')]);
  const pod = await SecretServer.listen(join(inPod.folder, CREDENTIAL_SOCKET));
  servers.push(pod);
  pod.setCertificate('sds://web', await credentials.issue({ dns: ['pod.test'] }));
  pod.setCertificate('sds://client', await credentials.issue({ dns: ['client.test'] }));
  pod.setRoots('sds://client-cacert', credentials.root);
  using partner = await startPartner();
  remote.setCertificate('web', await credentials.issue({ dns: ['remote.test'] }));
  await mesh.apply(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: sds, namespace: default}
spec:
  hosts: [sds.test]
  ports: [{number: 9090, name: grpc, protocol: GRPC}]
  resolution: STATIC
  endpoints: [{address: ${remoteAddress}, ports: {grpc: ${remotePort}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partner, namespace: default}
spec:
  hosts: [partner.test]
  ports: [{number: 443, name: https, protocol: HTTPS}]
  resolution: STATIC
  endpoints: [{address: ${partner.address}, ports: {https: ${partner.port}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: partner, namespace: default}
spec:
  host: partner.test
  trafficPolicy: {tls: {mode: MUTUAL, credentialName: 'sds://client', sni: partner.test}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  selector: {istio: gateway}
  servers:
  - {port: {number: 8443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: 'sds://web'}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: gw, namespace: default}
spec: {hosts: ['*'], gateways: [gw], http: [{route: [{destination: {host: partner.test, port: {number: 443}}}]}]}
`);
  const labels = { ISTIO_METAJSON_LABELS: JSON.stringify({ istio: 'gateway' }) };
  const agents = await Promise.all([inPod, plain].map((place) => mesh.startAgent(place, labels, 'router')));
  await Promise.all([mesh.ready(inPod, agents[0] as TestAgent), mesh.ready(plain, agents[1] as TestAgent)]);
  const shown = async ({ address }: Place): Promise<string> =>
    handshake({ address, port: 8443 }, { sni: 'a.test' }).then(
      (seen) => seen.shown,
      () => '',
    );
  await until('the certificate of the pod', LIMIT_MS, async () =>
    (await shown(inPod)) === 'pod.test' ? true : undefined,
  );
  await until('the certificate of the mesh', LIMIT_MS, async () =>
    (await shown(plain)) === 'remote.test' ? true : undefined,
  );
  pod.setCertificate('sds://web', await credentials.issue({ dns: ['renewed.test'] }));
  await until('the renewed certificate', LIMIT_MS, async () =>
    (await shown(inPod)) === 'renewed.test' ? true : undefined,
  );
  strictEqual(await partner.callerBy(inPod), 'client.test');
  deepStrictEqual(
    [[...pod.asked].sort(), [...remote.asked], mesh.refusals],
    [['sds://client', 'sds://client-cacert', 'sds://web'], ['web'], []],
  );
});
