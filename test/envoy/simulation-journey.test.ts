/**
 * Calls from one sidecar to another, both real Envoys with certificates of one CA: the last word that the simulator predicts is the
 * one that the last Envoy logs. The pod's address is a relay, which does what iptables would.
 */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { plainRequest } from '#simulation/call.ts';
import type { SimulatedProxy } from '#simulation/evaluation.ts';
import { type SimulationWorld, simulateCall } from '#simulation/simulate.ts';
import { meshFixture } from '../support/mesh-fixture.ts';
import { PodRelay } from './pod-relay.ts';
import { actualSight, expectedSight } from './simulation-agreement.ts';
import { SimulationApp } from './simulation-app.ts';
import { BLOCK } from './simulation-mesh.ts';
import { type RigCall, SimulationRig, type Truth } from './simulation-rig.ts';

const CLIENT_ADDRESS = `127.76.${BLOCK}.1`;
const SERVER_ADDRESS = `127.76.${BLOCK}.2`;
const SERVICE_ADDRESS = '127.86.0.1';
const CLIENT_ID = 'spiffe://cluster.local/ns/default/sa/client';
const SERVER_ID = 'spiffe://cluster.local/ns/default/sa/server';
const CAPTURE = { outbound: 15001, inbound: 15006 };

const OBJECTS = `
apiVersion: v1
kind: Service
metadata: {name: server, namespace: default}
spec:
  clusterIP: ${SERVICE_ADDRESS}
  selector: {app: server}
  ports: [{name: http, port: 8080, targetPort: 7001}, {name: tcp, port: 9000, targetPort: 7002}, {name: http2-b, port: 8081, targetPort: 7003}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: server-1, namespace: default, labels: {kubernetes.io/service-name: server}}
addressType: IPv4
ports: [{name: http, port: 7001}, {name: tcp, port: 7002}, {name: http2-b, port: 7003}]
endpoints: [{addresses: [${SERVER_ADDRESS}], conditions: {ready: true}, targetRef: {kind: Pod, name: server, namespace: default}}]
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: default, labels: {app: server, security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: server, containers: []}
status: {podIP: ${SERVER_ADDRESS}, podIPs: [{ip: ${SERVER_ADDRESS}}], phase: Running}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: friends, namespace: default}
spec:
  selector: {matchLabels: {app: server}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/default/sa/client]}}]
    to: [{operation: {paths: [/open/*]}}, {operation: {ports: ["7002"]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: server, namespace: default}
spec:
  hosts: [server]
  http:
  - name: renamed
    match: [{uri: {prefix: /renamed/}}]
    rewrite: {uri: /open/}
    route: [{destination: {host: server, port: {number: 8080}}}]
  - name: gone
    match: [{uri: {prefix: /gone}}]
    directResponse: {status: 410}
  - name: rest
    route: [{destination: {host: server}}]
`;
const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: default}
spec: {mtls: {mode: STRICT}}
`;
const PLAIN_CLIENT = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: server, namespace: default}
spec: {host: server, trafficPolicy: {tls: {mode: DISABLE}}}
`;

let clientRig: SimulationRig;
let serverRig: SimulationRig;
let app: SimulationApp;
let relay: PodRelay;

before(async () => {
  serverRig = await SimulationRig.start(SERVER_ID);
  clientRig = await SimulationRig.start(CLIENT_ID, serverRig.authority);
  app = new SimulationApp();
  relay = new PodRelay({
    podAddress: SERVER_ADDRESS,
    clientAddress: CLIENT_ADDRESS,
    door: () => serverRig.door('inbound'),
    serve: (socket) => app.serve(socket),
  });
  for (const port of [7001, 7002, 7003]) await relay.listen(port);
});

after(async () => {
  await relay[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
  await clientRig[Symbol.asyncDispose]();
  await serverRig[Symbol.asyncDispose]();
});

async function loadWorld(extra: string): Promise<SimulationWorld> {
  // A cluster that stays the same keeps its connections, to what the server was before.
  relay.reset();
  const fixture = meshFixture();
  fixture.apply(OBJECTS + extra);
  const proxies = new Map<string, SimulatedProxy>();
  for (const [name, ip, rig, spiffeId] of [
    ['client', CLIENT_ADDRESS, clientRig, CLIENT_ID],
    ['server', SERVER_ADDRESS, serverRig, SERVER_ID],
  ] as const) {
    fixture.configure(rig.meshConfig());
    fixture.connect({ name, ip, labels: { app: name }, serviceAccount: name });
    const snapshot = fixture.entries(name);
    await rig.load(snapshot, CAPTURE);
    proxies.set(name, { name, snapshot, spiffeId, addresses: [ip] });
  }
  return {
    proxy: (name) => proxies.get(name),
    proxyAt: (address) => [...proxies.values()].find(({ addresses }) => addresses.includes(address)),
  };
}

function callTo(
  port: number,
  path: string | undefined,
  protocol: 'http/1.1' | 'http/2' = 'http/1.1',
): RigCall {
  const connection = {
    sourceAddress: CLIENT_ADDRESS,
    sourcePort: 3000,
    address: SERVICE_ADDRESS,
    port,
    protocol: path === undefined ? 'tcp' : protocol,
    tls: undefined,
  } as const;
  const scheme = protocol === 'http/2' ? 'http' : '';
  const request = path === undefined ? undefined : { ...plainRequest(`server:${port}`, path), scheme };
  return { direction: 'outbound', connection, request, group: 0, certificate: undefined };
}

const CALLS = [
  callTo(8080, '/open/a'),
  callTo(8080, '/open/a?q=1', 'http/2'),
  callTo(8080, '/renamed/a'),
  callTo(8080, '/closed'),
  callTo(8080, '/gone'),
  callTo(8081, '/open/b'),
  callTo(8081, '/closed', 'http/2'),
  callTo(9000, undefined),
];

for (const [name, extra] of [
  ['permissive', ''],
  ['strict', `---${STRICT}`],
  ['a client that speaks plain text to a permissive server', `---${PLAIN_CLIENT}`],
  ['a client that speaks plain text to a strict server', `---${STRICT}---${PLAIN_CLIENT}`],
] as const) {
  test(name, async () => {
    const world = await loadWorld(extra);
    for (const call of CALLS) {
      const source = { kind: 'workload', proxy: 'client' } as const;
      const { outcomes } = simulateCall(world, { ...call, source });
      const [outcome] = outcomes;
      ok(outcome !== undefined && outcomes.length === 1);
      const before = serverRig.logLines().length;
      const [truth] = await clientRig.run([call]);
      ok(truth !== undefined);
      const where = `${call.connection.port}${call.request?.path ?? ''}`;
      const actual = outcome.proxy === 'client' ? actualSight(truth) : await serverSight(truth, before);
      deepStrictEqual(
        `${where} ${outcome.proxy} ${expectedSight(outcome.verdict)}`,
        `${where} ${outcome.proxy} ${actual}`,
      );
    }
  });
}

/** What the server logged of the call; a connection that it does not take may leave no line. */
async function serverSight(truth: Truth, before: number): Promise<string> {
  const endMs = performance.now() + 1_000;
  while (serverRig.logLines().length === before && performance.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  // What the client got is its own sidecar's word.
  return actualSight({ ...truth, answer: { kind: 'closed' }, log: serverRig.logLines()[before] });
}
