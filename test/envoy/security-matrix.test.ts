/**
 * Who gets through to a workload, and as whom: modes of PeerAuthentication on every level x kinds of clients x protocols, each cell
 * a call to a real Envoy with the configuration that the workload's sidecar gets.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { MutualTlsMode } from '#model/peer-authentication.ts';
import { type MeshFixture, meshFixture } from '../support/mesh-fixture.ts';
import { SecurityApp } from './security-app.ts';
import {
  callAs,
  CLIENT_NAMES,
  type Client,
  type ClientName,
  createClients,
  type Outcome,
  type Protocol,
} from './security-clients.ts';
import { BLOCK } from './simulation-mesh.ts';
import { SimulationRig } from './simulation-rig.ts';

const CLIENT_ADDRESS = `127.75.${BLOCK}.1`;
const SERVER_ADDRESS = `127.75.${BLOCK}.2`;
/** The workload's ports. The last one belongs to no service. */
const PORTS = { http: 7001, grpc: 7002, tcp: 7003, unserved: 7004 } as const;
type PortName = keyof typeof PORTS;
const PROTOCOLS: Readonly<Record<PortName, Protocol>> = {
  http: 'http',
  grpc: 'grpc',
  tcp: 'tcp',
  unserved: 'tcp',
};

const OBJECTS = `
apiVersion: v1
kind: Service
metadata: {name: server, namespace: default}
spec:
  clusterIP: 127.85.0.1
  selector: {app: server}
  ports: [{name: http, port: 8080, targetPort: 7001}, {name: grpc, port: 8081, targetPort: 7002}, {name: tcp, port: 9000, targetPort: 7003}]
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: default, labels: {app: server}}
spec: {serviceAccountName: server, containers: []}
status: {podIP: ${SERVER_ADDRESS}, podIPs: [{ip: ${SERVER_ADDRESS}}], phase: Running}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: server-1, namespace: default, labels: {kubernetes.io/service-name: server}}
addressType: IPv4
ports: [{name: http, port: 7001}, {name: grpc, port: 7002}, {name: tcp, port: 7003}]
endpoints: [{addresses: [${SERVER_ADDRESS}], conditions: {ready: true}, targetRef: {kind: Pod, name: server, namespace: default}}]
`;

type Level = 'mesh' | 'namespace' | 'workload';
const PLACES: Readonly<Record<Level, string>> = {
  mesh: 'metadata: {name: default, namespace: istio-system}\nspec:',
  namespace: 'metadata: {name: default, namespace: default}\nspec:',
  workload: 'metadata: {name: own, namespace: default}\nspec:\n  selector: {matchLabels: {app: server}}',
};

/** A PeerAuthentication; a mode for ports makes it one with port-level modes. */
function rule(
  level: Level,
  mode: MutualTlsMode | 'UNSET',
  ports: Partial<Record<PortName, MutualTlsMode>> = {},
) {
  const lines = Object.entries(ports).map(([name, of]) => `    ${PORTS[name as PortName]}: {mode: ${of}}`);
  const portLevel = lines.length === 0 ? '' : `  portLevelMtls:\n${lines.join('\n')}\n`;
  return `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
${PLACES[level]}
  mtls: {mode: ${mode}}
${portLevel}`;
}

interface Setting {
  readonly name: string;
  readonly rules: string;
  /** What holds in the end. */
  readonly modes: Readonly<Record<PortName, MutualTlsMode>>;
}

const everywhere = (mode: MutualTlsMode) => ({ http: mode, grpc: mode, tcp: mode, unserved: mode });
const SETTINGS: readonly Setting[] = [
  { name: 'no policy', rules: '', modes: everywhere('PERMISSIVE') },
  { name: 'STRICT for the mesh', rules: rule('mesh', 'STRICT'), modes: everywhere('STRICT') },
  {
    name: 'PERMISSIVE for the namespace in a STRICT mesh',
    rules: rule('mesh', 'STRICT') + rule('namespace', 'PERMISSIVE'),
    modes: everywhere('PERMISSIVE'),
  },
  {
    name: 'UNSET for workload and namespace in a STRICT mesh',
    rules: rule('mesh', 'STRICT') + rule('namespace', 'UNSET') + rule('workload', 'UNSET'),
    modes: everywhere('STRICT'),
  },
  {
    name: 'DISABLE for the workload in a STRICT namespace',
    rules: rule('namespace', 'STRICT') + rule('workload', 'DISABLE'),
    modes: everywhere('DISABLE'),
  },
  {
    name: 'STRICT with ports of their own',
    rules: rule('workload', 'STRICT', { http: 'DISABLE', tcp: 'PERMISSIVE' }),
    modes: { http: 'DISABLE', grpc: 'STRICT', tcp: 'PERMISSIVE', unserved: 'STRICT' },
  },
  {
    name: 'DISABLE with ports of their own',
    rules: rule('workload', 'DISABLE', { http: 'STRICT', grpc: 'PERMISSIVE', unserved: 'STRICT' }),
    modes: { http: 'STRICT', grpc: 'PERMISSIVE', tcp: 'DISABLE', unserved: 'STRICT' },
  },
  {
    name: 'ports of their own without a mode for the workload, in a STRICT mesh',
    rules: rule('mesh', 'STRICT') + rule('workload', 'UNSET', { tcp: 'DISABLE' }),
    modes: { http: 'STRICT', grpc: 'STRICT', tcp: 'DISABLE', unserved: 'STRICT' },
  },
];

/** Callers whose certificate counts; those whose certificate doesn't are refused wherever one is asked for. */
const BELIEVED: readonly ClientName[] = ['mesh', 'mesh of an alias of the trust domain'];

/** The rule behind every cell. Source: Istio's modes; listener_inbound.go for what TLS of the application's own meets. */
function expected(mode: MutualTlsMode, port: PortName, client: ClientName): Outcome {
  const isHttp = port === 'http' || port === 'grpc';
  if (client === 'plain text') return mode === 'STRICT' ? 'refused' : 'plain text';
  // Without mutual TLS a port of bytes gives whatever TLS there is to the application.
  if (mode === 'DISABLE') return isHttp ? 'refused' : 'own TLS';
  if (BELIEVED.includes(client)) return 'mutual TLS';
  return client === 'TLS of its own' && mode === 'PERMISSIVE' && !isHttp ? 'own TLS' : 'refused';
}

let rig: SimulationRig;
let app: SecurityApp;
let clients: Readonly<Record<ClientName, Client>>;

before(async () => {
  rig = await SimulationRig.start('spiffe://cluster.local/ns/default/sa/server');
  clients = await createClients(rig.authority);
  app = new SecurityApp(await rig.authority.issue('spiffe://cluster.local/ns/default/sa/app', {}));
  for (const port of Object.values(PORTS)) await app.listen(SERVER_ADDRESS, port);
});

after(async () => {
  await app[Symbol.asyncDispose]();
  await rig[Symbol.asyncDispose]();
});

function meshWith(rules: string): MeshFixture {
  const fixture = meshFixture();
  fixture.configure({ ...rig.meshConfig(), trustDomainAliases: ['old.domain'] });
  fixture.apply(OBJECTS + rules);
  fixture.connect({
    name: 'server',
    ip: SERVER_ADDRESS,
    labels: { app: 'server' },
    serviceAccount: 'server',
  });
  return fixture;
}

const TO_SERVER = { source: CLIENT_ADDRESS, host: 'server', address: SERVER_ADDRESS };

type Cells = Record<string, string>;

describe('mutual TLS at a server, by mode, client and protocol', { timeout: 60_000 }, () => {
  for (const { name, rules, modes } of SETTINGS) {
    it(`${name}: ${Object.keys(PORTS).length * CLIENT_NAMES.length} cells`, async () => {
      await rig.load(meshWith(rules).entries('server'), { outbound: 15001, inbound: 15006 });
      const [got, wanted]: [Cells, Cells] = [{}, {}];
      for (const [portName, port] of Object.entries(PORTS) as [PortName, number][]) {
        for (const client of CLIENT_NAMES) {
          const cell = `${portName} (${modes[portName]}), ${client}`;
          const to = { ...TO_SERVER, door: rig.door('inbound'), port };
          wanted[cell] = expected(modes[portName], portName, client);
          got[cell] = await callAs(clients[client], PROTOCOLS[portName], to);
        }
      }
      deepStrictEqual(got, wanted);
    });
  }
});
