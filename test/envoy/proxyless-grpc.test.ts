/**
 * A gRPC library that is its own proxy: @grpc/grpc-js-xds, led by the bootstrap that an agent without Envoy writes, through
 * that agent to a real control plane. Calls go where VirtualServices and DestinationRules say, live, and over mesh mTLS.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js';
import { openControlPlane } from '#main/control-plane.ts';
import type { ControlPlane } from '#standalone/control-plane.ts';
import { readObjects } from '../support/mesh-fixture.ts';
import {
  makeFolder,
  ownAddress,
  prepareBundle,
  removeFolder,
  TestAgent,
  until,
  writePrivate,
} from './agent-fixture.ts';

const LIMIT_MS = 20_000;
const PORT = 17_070;
const SECURE_PORT = 17_071;
const HOST = 'echo.default.svc.cluster.local';

const pass = (bytes: Buffer): Buffer => bytes;
const ECHO: ServiceDefinition = Object.fromEntries(
  ['Say', 'Secret'].map((method) => [
    method,
    {
      path: `/test.Echo/${method}`,
      requestStream: false,
      responseStream: false,
      requestSerialize: pass,
      requestDeserialize: pass,
      responseSerialize: pass,
      responseDeserialize: pass,
    },
  ]),
);

const folder = makeFolder();
const own = ownAddress();
const backends = { v1: ownAddress(), v2: ownAddress() };
const servers: Server[] = [];
const clients: Client[] = [];
let controlPlane: ControlPlane;
let agent: TestAgent;
let secure: Server | undefined;
let xds: typeof import('@grpc/grpc-js-xds');

const MESH = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: echo }
spec:
  hosts: [${HOST}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: ${PORT}, name: grpc, protocol: GRPC }]
  endpoints:
    - { address: ${backends.v1}, labels: { version: v1 } }
    - { address: ${backends.v2}, labels: { version: v2 } }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: echo }
spec:
  host: ${HOST}
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 }, trafficPolicy: { loadBalancer: { simple: LEAST_REQUEST } } }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: secure }
spec:
  hosts: [secure.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: ${SECURE_PORT}, name: grpc, protocol: GRPC }]
  endpoints: [{ address: ${own}, serviceAccount: default }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: secure }
spec: { host: secure.example.com, trafficPolicy: { tls: { mode: ISTIO_MUTUAL } } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nothing-secret }
spec:
  action: DENY
  rules: [{ to: [{ operation: { paths: ["/test.Echo/Secret"] } }] }]
`;

function virtualService(http: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: echo }
spec: { hosts: [${HOST}], http: [${http}] }
`;
}

function toSubset(subset: string, weight = 100): string {
  return `{ destination: { host: ${HOST}, subset: ${subset} }, weight: ${weight} }`;
}

async function apply(yaml: string): Promise<void> {
  await controlPlane.apply({ set: readObjects(yaml), remove: [] });
}

/** A server that says its name. */
async function serve(server: Server, name: string, address: string, creds: ServerCredentials): Promise<void> {
  const say = (_call: unknown, answer: (error: null, bytes: Buffer) => void): void =>
    answer(null, Buffer.from(name));
  server.addService(ECHO, { Say: say, Secret: say });
  servers.push(server);
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(address, creds, (error) => (error === null ? resolve() : reject(error))),
  );
}

function dial(target: string, creds = credentials.createInsecure()): Client {
  const client = new Client(target, creds);
  clients.push(client);
  return client;
}

/** What answers: a backend's name, or the code of the failure. */
async function call(
  client: Client,
  headers: Readonly<Record<string, string>> = {},
  path = '/test.Echo/Say',
): Promise<string> {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return new Promise((resolve) => {
    const options = { deadline: Date.now() + 5_000 };
    client.makeUnaryRequest(path, pass, pass, Buffer.of(1), metadata, options, (error, bytes) =>
      resolve(error === null ? String(bytes) : (status[error.code] ?? String(error.code))),
    );
  });
}

async function tally(client: Client, calls: number): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  const answers = await Promise.all(Array.from({ length: calls }, () => call(client)));
  for (const answer of answers) counts[answer] = (counts[answer] ?? 0) + 1;
  return counts;
}

async function untilAnswer(client: Client, wanted: string): Promise<void> {
  await until(wanted, LIMIT_MS, async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => call(client)));
    return answers.every((answer) => answer === wanted) ? true : undefined;
  });
}

async function startAgent(): Promise<TestAgent> {
  const home = join(folder, 'agent');
  const token = await controlPlane.issueToken({
    namespace: 'default',
    serviceAccount: 'default',
    workload: 'client',
    replica: 0,
  });
  writePrivate(join(home, 'var/run/secrets/tokens/istio-token'), token);
  writePrivate(join(home, 'var/run/secrets/istio/root-cert.pem'), controlPlane.roots.pem());
  return new TestAgent(home, {
    DISABLE_ENVOY: 'true',
    OUTPUT_CERTS: 'certs',
    GRPC_XDS_BOOTSTRAP: 'grpc/bootstrap.json',
    POD_NAME: 'client-0',
    POD_NAMESPACE: 'default',
    INSTANCE_IP: own,
    ISTIOD_SAN: 'istiod.istio-system.svc',
    ISTIO_META_CLUSTER_ID: 'Kubernetes',
    LATEEN_ADMIN_ADDRESS: own,
    LATEEN_LISTEN_ADDRESS: own,
    PROXY_CONFIG: JSON.stringify({ discoveryAddress: controlPlane.addresses.secure }),
  });
}

/** The library has timers of 10 and 15 s that it never ends: they are not to keep the process. */
function unrefTimers(): void {
  const original = globalThis.setTimeout;
  const unreferenced = (run: () => void, delayMs?: number): NodeJS.Timeout => original(run, delayMs).unref();
  Object.assign(globalThis, { setTimeout: unreferenced });
}

describe('proxyless gRPC', () => {
  before(async () => {
    prepareBundle();
    controlPlane = await openControlPlane({
      stateDir: join(folder, 'state'),
      meshConfig: {},
      log: () => {},
    });
    await apply(MESH);
    agent = await startAgent();
    for (const [name, address] of Object.entries(backends))
      await serve(new Server(), name, `${address}:${PORT}`, ServerCredentials.createInsecure());
    const bootstrap = join(agent.folder, 'grpc/bootstrap.json');
    const files = [
      bootstrap,
      ...['key', 'cert-chain', 'root-cert'].map((name) => join(agent.folder, 'certs', `${name}.pem`)),
    ];
    await until('bootstrap and certificate', LIMIT_MS, () =>
      files.every((file) => existsSync(file)) ? true : undefined,
    );
    // The library reads both once, when it is loaded.
    process.env['GRPC_XDS_BOOTSTRAP'] = bootstrap;
    process.env['GRPC_XDS_EXPERIMENTAL_RBAC'] = 'true';
    unrefTimers();
    xds = await import('@grpc/grpc-js-xds');
    xds.register();
  });

  after(async () => {
    for (const client of clients) client.close();
    for (const server of servers) server.forceShutdown();
    // It watches its listener until then, and the process would not end.
    secure?.unbind(`${own}:${SECURE_PORT}`);
    await agent?.stop();
    await controlPlane?.close();
    removeFolder(folder);
  });

  it('reaches all endpoints of a service, by its full name and by a short one', async () => {
    for (const name of [HOST, 'echo', 'echo.default']) {
      const client = dial(`xds:///${name}:${PORT}`);
      await until(name, LIMIT_MS, async () =>
        Object.keys(await tally(client, 20))
          .sort()
          .join(' ') === 'v1 v2'
          ? true
          : undefined,
      );
    }
  });

  it('splits calls by weight, and follows a change', async () => {
    const client = dial(`xds:///${HOST}:${PORT}`);
    await apply(virtualService(`{ route: [${toSubset('v1', 90)}, ${toSubset('v2', 10)}] }`));
    await until('mostly v1', LIMIT_MS, async () => {
      const { v1 = 0, v2 = 0 } = await tally(client, 200);
      return v1 > 150 && v2 > 0 ? true : undefined;
    });
    const counts = await tally(client, 1_000);
    // Five standard deviations of a binomial share of 10 %.
    assert.ok(Math.abs((counts['v2'] ?? 0) - 100) < 48, JSON.stringify(counts));
    assert.equal((counts['v1'] ?? 0) + (counts['v2'] ?? 0), 1_000);
    await apply(virtualService(`{ route: [${toSubset('v2')}] }`));
    await untilAnswer(client, 'v2');
    await apply(virtualService(`{ route: [${toSubset('v1')}] }`));
    await untilAnswer(client, 'v1');
  });

  it('matches headers, injects faults, and fails what it cannot do', async () => {
    const client = dial(`xds:///${HOST}:${PORT}`);
    await apply(
      virtualService(
        [
          `{ match: [{ headers: { channel: { exact: beta } } }], route: [${toSubset('v2')}] }`,
          `{ match: [{ headers: { channel: { prefix: bro } } }], fault: { abort: { percentage: { value: 100 }, grpcStatus: PERMISSION_DENIED } }, route: [${toSubset('v1')}] }`,
          '{ match: [{ headers: { channel: { regex: "mo.*" } } }], redirect: { uri: /x } }',
          `{ route: [${toSubset('v1')}] }`,
        ].join(', '),
      ),
    );
    const all = async (): Promise<string> =>
      (
        await Promise.all(
          [{ channel: 'beta' }, { channel: 'broken' }, { channel: 'moved' }, {}].map((headers) =>
            call(client, headers),
          ),
        )
      ).join(' ');
    const wanted = 'v2 PERMISSION_DENIED UNAVAILABLE v1';
    await until(wanted, LIMIT_MS, async () => ((await all()) === wanted ? true : undefined));
  });

  it('speaks mesh mTLS with a server that is led by the mesh too, and obeys its policies', async () => {
    const address = `${own}:${SECURE_PORT}`;
    const fallback = ServerCredentials.createInsecure();
    secure = new xds.XdsServer();
    await serve(secure, 'secure', address, new xds.XdsServerCredentials(fallback));
    const client = dial(
      `xds:///secure.example.com:${SECURE_PORT}`,
      new xds.XdsChannelCredentials(credentials.createInsecure()),
    );
    assert.equal(await call(client), 'secure');
    assert.equal(await call(client, {}, '/test.Echo/Secret'), 'PERMISSION_DENIED');
    assert.equal(await call(dial(address)), 'UNAVAILABLE');
  });

  it('has an agent that is ready without Envoy', () => {
    assert.equal(agent.envoyPid, undefined);
    assert.deepEqual(
      controlPlane.proxies().map(({ name, cds, lds, rds }) => [name, cds, lds, rds]),
      [['client-0', 'SYNCED', 'SYNCED', 'SYNCED']],
    );
  });
});
