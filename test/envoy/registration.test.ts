/** A machine outside of a cluster, end to end: its agent registers it by a group, traffic follows its health, and its entry goes with it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { MeshObject } from '#api/mesh-object.ts';
import { openControlPlane } from '#main/control-plane.ts';
import { localMeshDefaults } from '#standalone/mesh-settings.ts';
import type { ControlPlane } from '#standalone/control-plane.ts';
import { readObjects } from '../support/mesh-fixture.ts';
import {
  envoyPath,
  makeFolder,
  ownAddress,
  prepareBundle,
  removeFolder,
  TestAgent,
  until,
  writePrivate,
} from './agent-fixture.ts';

const LIMIT_MS = 15_000;
const GRACE_MS = 1_000;
const HOST = 'db.shop.example';
const PORT = 8080;
const PROXY_PORT = 15080;

let folder = '';
let envoy = '';
let controlPlane: ControlPlane;
let client: TestAgent;
let machine: TestAgent;
const [clientAddress, machineAddress] = [ownAddress(), ownAddress()];
/** The application of the machine, and how it is. */
let health = 200;
const application = createServer(({ url, headers }, response) => {
  response.statusCode = url === '/health' ? health : 200;
  response.end(String(headers['x-forwarded-client-cert'] ?? 'plain'));
});

function mesh(applicationPort: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: db, namespace: shop}
spec:
  metadata: {labels: {app: db}}
  template: {serviceAccount: db, ports: {http: ${PORT}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: shop}
spec:
  hosts: [${HOST}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: db}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: db, namespace: shop}
spec:
  workloadSelector: {labels: {app: db}}
  ingress:
  - port: {number: ${PORT}, name: http, protocol: HTTP}
    defaultEndpoint: 127.0.0.1:${applicationPort}
`;
}

interface Started {
  readonly name: string;
  readonly serviceAccount: string;
  readonly address: string;
  readonly readinessProbe?: object;
  readonly environment: Readonly<Record<string, string>>;
}

async function startAgent({ name, serviceAccount, address, ...given }: Started): Promise<TestAgent> {
  const home = join(folder, name);
  const token = await controlPlane.issueToken({
    namespace: 'shop',
    serviceAccount,
    workload: name,
    replica: 0,
  });
  writePrivate(join(home, 'var/run/secrets/tokens/istio-token'), token);
  writePrivate(join(home, 'var/run/secrets/istio/root-cert.pem'), controlPlane.roots.pem());
  const { readinessProbe, environment } = given;
  return new TestAgent(home, {
    POD_NAME: name,
    POD_NAMESPACE: 'shop',
    SERVICE_ACCOUNT: serviceAccount,
    INSTANCE_IP: address,
    ISTIOD_SAN: 'istiod.istio-system.svc',
    LATEEN_ADMIN_ADDRESS: address,
    LATEEN_LISTEN_ADDRESS: address,
    ISTIO_META_CLUSTER_ID: 'Kubernetes',
    ISTIO_META_INTERCEPTION_MODE: 'NONE',
    PROXY_CONFIG: JSON.stringify({
      discoveryAddress: controlPlane.addresses.secure,
      binaryPath: envoy,
      terminationDrainDuration: '0.1s',
      ...(readinessProbe === undefined ? {} : { readinessProbe }),
    }),
    ...environment,
  });
}

/** Status and body by way of the client's proxy. */
function ask(): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve) => {
    const path = `http://${HOST}/`;
    const target = { host: clientAddress, port: PROXY_PORT, path, headers: { host: HOST }, agent: false };
    const call = request(target, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    call.on('error', () => resolve({ status: 0, body: '' }));
    call.end();
  });
}

async function untilStatus(wanted: number): Promise<string> {
  return until(`status ${wanted}`, LIMIT_MS, async () => {
    const { status, body } = await ask();
    return status === wanted ? body : undefined;
  });
}

const entries = (): readonly MeshObject[] => controlPlane.objects('WorkloadEntry');
const name = (): string => `db-${machineAddress}`;

describe('a machine of a WorkloadGroup', () => {
  before(async () => {
    prepareBundle();
    folder = makeFolder();
    envoy = await envoyPath();
    application.listen(0, '127.0.0.1');
    await once(application, 'listening');
    const { port } = application.address() as AddressInfo;
    controlPlane = await openControlPlane({
      stateDir: join(folder, 'state'),
      meshConfig: localMeshDefaults(),
      log: () => {},
      registration: { graceMs: GRACE_MS },
    });
    await controlPlane.apply({ set: readObjects(mesh(port)), remove: [] });
    client = await startAgent({
      name: 'client',
      serviceAccount: 'client',
      address: clientAddress,
      environment: {
        ISTIO_META_HTTP_PROXY_PORT: String(PROXY_PORT),
        ISTIO_META_OUTBOUND_ADDRESS: ownAddress(),
      },
    });
    machine = await startAgent({
      name: 'machine',
      serviceAccount: 'db',
      address: machineAddress,
      readinessProbe: { httpGet: { host: '127.0.0.1', port, path: '/health' }, periodSeconds: 1 },
      environment: {
        ISTIO_META_AUTO_REGISTER_GROUP: 'db',
        ISTIO_METAJSON_LABELS: JSON.stringify({ app: 'db' }),
      },
    });
  });

  after(async () => {
    await Promise.all([machine?.stop(), client?.stop()]);
    await controlPlane?.close();
    application.close();
    application.closeAllConnections();
    removeFolder(folder);
  });

  it('registers itself, and is called by mesh mTLS when its application is healthy', async () => {
    const body = await untilStatus(200);
    assert.match(body, /URI=spiffe:\/\/cluster.local\/ns\/shop\/sa\/client/);
    const [entry] = entries();
    assert.deepEqual([entry?.name, entry?.namespace, entry?.status], [name(), 'shop', { healthy: true }]);
    assert.equal(entry?.annotations['istio.io/autoRegistrationGroup'], 'db');
  });

  it('is not called while its application is not healthy', async () => {
    health = 503;
    await untilStatus(503);
    assert.deepEqual(entries()[0]?.status, { healthy: false });
    health = 200;
    await untilStatus(200);
  });

  it('does not register with another service account than the group’s', async () => {
    const thief = await startAgent({
      name: 'thief',
      serviceAccount: 'web',
      address: ownAddress(),
      environment: { ISTIO_META_AUTO_REGISTER_GROUP: 'db' },
    });
    try {
      await until('a refusal', LIMIT_MS, () =>
        thief.log.includes('of another service account than the WorkloadEntry') ? true : undefined,
      );
      assert.deepEqual(
        entries().map((entry) => entry.name),
        [name()],
      );
    } finally {
      await thief.stop();
    }
  });

  it('has no entry any more when it has been away for the grace period', async () => {
    const left = (): string | undefined => entries()[0]?.annotations['istio.io/disconnectedAt'];
    await machine.stop();
    await until('the end of its connection', LIMIT_MS, left);
    const startMs = performance.now();
    await until('the end of its entry', LIMIT_MS, () => (entries().length === 0 ? true : undefined));
    assert.ok(performance.now() - startMs > GRACE_MS / 2);
    await untilStatus(503);
  });
});
