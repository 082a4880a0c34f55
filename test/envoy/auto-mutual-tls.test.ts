/**
 * What a client's sidecar sends to which server: modes of PeerAuthentication x DestinationRules x protocols, to a pod with a sidecar
 * and to one without, each cell a call through one real Envoy or two.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { MutualTlsMode } from '#model/peer-authentication.ts';
import { meshFixture } from '../support/mesh-fixture.ts';
import { PodRelay } from './pod-relay.ts';
import { SecurityApp } from './security-app.ts';
import { callAs, type Outcome, type Protocol } from './security-clients.ts';
import { BLOCK } from './simulation-mesh.ts';
import { SimulationRig } from './simulation-rig.ts';

const CLIENT_ADDRESS = `127.74.${BLOCK}.1`;
const CLIENT_ID = 'spiffe://cluster.local/ns/default/sa/client';
const CAPTURE = { outbound: 15001, inbound: 15006 };
const PORTS: Readonly<Record<Protocol, { readonly port: number; readonly targetPort: number }>> = {
  http: { port: 8080, targetPort: 7001 },
  grpc: { port: 8081, targetPort: 7002 },
  tcp: { port: 9000, targetPort: 7003 },
};
/** Services by the name of their only pod: `server` has a sidecar, `legacy` has none. */
const SERVICES = {
  server: { address: '127.84.0.1', pod: `127.74.${BLOCK}.2`, label: ', security.istio.io/tlsMode: istio' },
  legacy: { address: '127.84.0.2', pod: `127.74.${BLOCK}.3`, label: '' },
} as const;
type ServiceName = keyof typeof SERVICES;

function serviceYaml(name: ServiceName): string {
  const { address, pod, label } = SERVICES[name];
  return `---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: default}
spec:
  clusterIP: ${address}
  selector: {app: ${name}}
  ports: [{name: http, port: 8080, targetPort: 7001}, {name: grpc, port: 8081, targetPort: 7002}, {name: tcp, port: 9000, targetPort: 7003}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}-1, namespace: default, labels: {kubernetes.io/service-name: ${name}}}
addressType: IPv4
ports: [{name: http, port: 7001}, {name: grpc, port: 7002}, {name: tcp, port: 7003}]
endpoints: [{addresses: [${pod}], conditions: {ready: true}, targetRef: {kind: Pod, name: ${name}, namespace: default}}]
---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: default, labels: {app: ${name}${label}}}
spec: {serviceAccountName: ${name}, containers: []}
status: {podIP: ${pod}, podIPs: [{ip: ${pod}}], phase: Running}
`;
}

interface ServerSetting {
  readonly name: string;
  readonly spec: string;
  readonly modes: Readonly<Record<Protocol, MutualTlsMode>>;
}

const everywhere = (mode: MutualTlsMode) => ({ http: mode, grpc: mode, tcp: mode });
const SERVER_SETTINGS: readonly ServerSetting[] = [
  { name: 'PERMISSIVE', spec: 'mtls: {mode: PERMISSIVE}', modes: everywhere('PERMISSIVE') },
  { name: 'STRICT', spec: 'mtls: {mode: STRICT}', modes: everywhere('STRICT') },
  { name: 'DISABLE', spec: 'mtls: {mode: DISABLE}', modes: everywhere('DISABLE') },
  {
    name: 'STRICT with ports of their own',
    spec: 'selector: {matchLabels: {app: server}}, mtls: {mode: STRICT}, portLevelMtls: {7001: {mode: DISABLE}, 7003: {mode: PERMISSIVE}}',
    modes: { http: 'DISABLE', grpc: 'STRICT', tcp: 'PERMISSIVE' },
  },
];

const RULES = ['no rule', 'DISABLE', 'ISTIO_MUTUAL', 'no rule and no auto mTLS'] as const;
type Rule = (typeof RULES)[number];

function ruleYaml(rule: Rule): string {
  if (rule !== 'DISABLE' && rule !== 'ISTIO_MUTUAL') return '';
  return `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: all, namespace: default}
spec: {host: '*.default.svc.cluster.local', trafficPolicy: {tls: {mode: ${rule}}}}
`;
}

/** A pod without a sidecar takes plain text, whatever the policies say of it. */
function expected(service: ServiceName, mode: MutualTlsMode, rule: Rule, protocol: Protocol): Outcome {
  const hasSidecar = service === 'server';
  const isMutual = rule === 'ISTIO_MUTUAL' || (rule === 'no rule' && hasSidecar && mode !== 'DISABLE');
  const meets = isMutual ? hasSidecar && mode !== 'DISABLE' : !hasSidecar || mode !== 'STRICT';
  if (meets) return isMutual ? 'mutual TLS' : 'plain text';
  return protocol === 'tcp' ? 'refused' : 'unavailable';
}

let clientRig: SimulationRig;
let serverRig: SimulationRig;
let app: SecurityApp;
let relay: PodRelay;

before(async () => {
  serverRig = await SimulationRig.start('spiffe://cluster.local/ns/default/sa/server');
  clientRig = await SimulationRig.start(CLIENT_ID, serverRig.authority);
  app = new SecurityApp(await serverRig.authority.issue('spiffe://cluster.local/ns/default/sa/app', {}));
  relay = new PodRelay({
    podAddress: SERVICES.server.pod,
    clientAddress: CLIENT_ADDRESS,
    door: () => serverRig.door('inbound'),
    serve: (socket) => app.serve(socket),
  });
  for (const { targetPort } of Object.values(PORTS)) {
    await relay.listen(targetPort);
    await app.listen(SERVICES.legacy.pod, targetPort);
  }
});

after(async () => {
  await relay[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
  await clientRig[Symbol.asyncDispose]();
  await serverRig[Symbol.asyncDispose]();
});

async function load({ spec }: ServerSetting, rule: Rule): Promise<void> {
  relay.reset();
  const fixture = meshFixture();
  fixture.apply(`${serviceYaml('server')}${serviceYaml('legacy')}${ruleYaml(rule)}---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: own, namespace: default}
spec: {${spec}}
`);
  for (const [name, ip, rig] of [
    ['client', CLIENT_ADDRESS, clientRig],
    ['server', SERVICES.server.pod, serverRig],
  ] as const) {
    fixture.configure({ ...rig.meshConfig(), enableAutoMtls: rule !== 'no rule and no auto mTLS' });
    fixture.connect({ name, ip, labels: { app: name }, serviceAccount: name });
    await rig.load(fixture.entries(name), CAPTURE);
  }
}

async function call(service: ServiceName, protocol: Protocol): Promise<string> {
  relay.lastWasTls = false;
  const to = {
    door: clientRig.door('outbound'),
    source: CLIENT_ADDRESS,
    host: service,
    address: SERVICES[service].address,
    port: PORTS[protocol].port,
  };
  const outcome = await callAs({ spiffeId: CLIENT_ID }, protocol, to);
  // A port of bytes tells nothing of its caller: what the sidecars spoke is seen between them.
  return protocol === 'tcp' && outcome === 'plain text' && relay.lastWasTls ? 'mutual TLS' : outcome;
}

type Cells = Record<string, string>;

describe('mutual TLS of a client, by the server and the DestinationRule', { timeout: 60_000 }, () => {
  for (const setting of SERVER_SETTINGS) {
    for (const rule of RULES) {
      it(`${setting.name}, ${rule}`, async () => {
        await load(setting, rule);
        const [got, wanted]: [Cells, Cells] = [{}, {}];
        for (const service of ['server', 'legacy'] as const) {
          for (const protocol of ['http', 'grpc', 'tcp'] as const) {
            // Policies with a selector are about the pod with the sidecar alone.
            wanted[`${service} ${protocol}`] = expected(service, setting.modes[protocol], rule, protocol);
            got[`${service} ${protocol}`] = await call(service, protocol);
          }
        }
        deepStrictEqual(got, wanted);
      });
    }
  }
});
