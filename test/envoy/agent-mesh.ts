/**
 * A mesh in this process whose proxies are real agents with their Envoys, each in a folder of its own: what is between an agent and
 * its surroundings (sockets, files, other authorities) can be set up before it starts. Workloads of the namespace `default`.
 */
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { noMetrics } from '#ads/ads-metrics.ts';
import { systemClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { systemRng } from '#base/rng.ts';
import type { LocalAuthority } from '#ca/certificate-authority.ts';
import { createMesh, type Mesh } from '#main/mesh.ts';
import { openXdsDoor, type XdsDoor } from '#main/xds-door.ts';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { readMeshConfig, readObjects } from '../support/mesh-fixture.ts';
import {
  envoyPath,
  makeFolder,
  openTestAuthority,
  ownAddress,
  prepareBundle,
  removeFolder,
  TestAgent,
  until,
  writePrivate,
} from './agent-fixture.ts';
import { ask, type Answer } from './discovery-fixture.ts';

export const NAMESPACE = 'default';
const READY_MS = 15_000;
const PROXY_PORT = 15080;
const APP_PORT = 8080;

/** One workload of the mesh, before its agent starts. */
export interface Place {
  readonly name: string;
  /** The agent's working directory. */
  readonly folder: string;
  readonly address: string;
}

export class AgentMesh implements AsyncDisposable {
  readonly mesh: Mesh;
  readonly door: XdsDoor;
  readonly authority: LocalAuthority;
  readonly address = ownAddress();
  readonly folder: string;
  /** What Envoys did not take. */
  readonly refusals: string[];
  readonly #agents: TestAgent[] = [];
  readonly #apps: Server[] = [];

  private constructor(
    folder: string,
    { mesh, door, authority, refusals }: Pick<AgentMesh, 'mesh' | 'door' | 'authority' | 'refusals'>,
  ) {
    this.folder = folder;
    this.mesh = mesh;
    this.door = door;
    this.authority = authority;
    this.refusals = refusals;
  }

  static async start(meshConfig: object = {}): Promise<AgentMesh> {
    prepareBundle();
    const folder = makeFolder();
    const [clock, log] = [systemClock(), silentLogger()];
    const mesh = createMesh({
      meshConfig: readMeshConfig(meshConfig),
      clusterId: 'Kubernetes',
      clusterDomain: 'cluster.local',
      onError: (collection, key, error) => process.stderr.write(`${collection} ${key}: ${String(error)}\n`),
      flags: DEFAULT_MESH_FLAGS,
    });
    const refusals: string[] = [];
    const onNack = ({ message }: { readonly message: string }): void => void refusals.push(message);
    const metrics = noMetrics();
    const door = await openXdsDoor({ mesh, clock, rng: systemRng(), log, metrics, version: 'test', onNack });
    const authority = await openTestAuthority(join(folder, 'ca'));
    const made = new AgentMesh(folder, { mesh, door, authority, refusals });
    await door.listenSecurely(authority, { host: '127.0.0.1', port: 0 });
    return made;
  }

  async apply(yaml: string): Promise<void> {
    this.mesh.objects.apply({ set: readObjects(yaml), remove: [] });
    await this.mesh.driver.settled();
  }

  /** A folder with the mesh's root and, unless the workload proves itself otherwise, its token. */
  async place(name: string, hasToken = true): Promise<Place> {
    const folder = join(this.folder, name);
    mkdirSync(folder);
    writePrivate(join(folder, 'var/run/secrets/istio/root-cert.pem'), this.authority.rotation.rootsPem);
    if (hasToken) {
      const token = await this.authority.tokens.issueToken({
        namespace: NAMESPACE,
        serviceAccount: name,
        facts: {},
        instance: `${name}-0`,
      });
      writePrivate(join(folder, 'var/run/secrets/tokens/istio-token'), token.reveal());
    }
    return { name, folder, address: ownAddress() };
  }

  /** Makes the workload known, with an application that says its name and how it was called. */
  async serve({ name, address }: Place): Promise<void> {
    const app = createServer((request, response) =>
      response.end(JSON.stringify({ name, caller: request.headers['x-forwarded-client-cert'] ?? '' })),
    );
    this.#apps.push(app);
    const appAddress = ownAddress();
    app.listen(APP_PORT, appAddress);
    await once(app, 'listening');
    const replica = { namespace: NAMESPACE, workload: name, replica: 0, address, appAddress, ready: true };
    this.mesh.replicas.set(`${NAMESPACE}/${name}-0`, replica);
    await this.apply(workloadYaml(name));
  }

  /** Starts the agent of a workload and its Envoy. */
  async startAgent(
    { name, folder, address }: Place,
    environment: Readonly<Record<string, string>> = {},
    kind: 'sidecar' | 'router' = 'sidecar',
  ): Promise<TestAgent> {
    const agent = new TestAgent(
      folder,
      {
        ENVOY_PATH: await envoyPath(),
        POD_NAME: `${name}-0`,
        POD_NAMESPACE: NAMESPACE,
        SERVICE_ACCOUNT: name,
        INSTANCE_IP: address,
        LATEEN_ADMIN_ADDRESS: address,
        LATEEN_LISTEN_ADDRESS: address,
        ISTIO_META_INTERCEPTION_MODE: 'NONE',
        ISTIO_META_OUTBOUND_ADDRESS: address,
        ISTIO_META_HTTP_PROXY_PORT: String(PROXY_PORT),
        ISTIO_METAJSON_LABELS: JSON.stringify({ app: name }),
        PROXY_CONFIG: JSON.stringify({
          discoveryAddress: `127.0.0.1:${this.door.securePort}`,
          concurrency: 1,
          terminationDrainDuration: '0s',
        }),
        ...environment,
      },
      kind,
    );
    this.#agents.push(agent);
    return agent;
  }

  /** Resolves when a proxy may serve. */
  async ready({ name, address }: Place, agent: TestAgent): Promise<void> {
    await until(`${name} is ready`, READY_MS, async () => {
      if (agent.process.exitCode !== null) throw new Error(`the agent of ${name} ended:\n${agent.log}`);
      const { status } = await ask(address, 15021, '/healthz/ready', 'x');
      return status === 200 ? true : undefined;
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${agent.log.slice(-3000)}`);
    });
  }

  /** A call through the HTTP proxy listener of a workload's Envoy. */
  call(from: Place, host: string): Promise<Answer> {
    return ask(from.address, PROXY_PORT, '/', host);
  }

  admin({ address }: Place, path: string): Promise<string> {
    return ask(address, 15000, path, 'x').then(({ body }) => body);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.stop()));
    for (const app of this.#apps) app.close();
    await this.door.close();
    this.authority[Symbol.dispose]();
    removeFolder(this.folder);
  }
}

function workloadYaml(name: string): string {
  return `
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: {name: ${name}, namespace: ${NAMESPACE}}
spec:
  labels: {app: ${name}}
  serviceAccount: ${name}
  command: [none]
  ports: [{name: http, port: ${APP_PORT}}]
---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${NAMESPACE}}
spec:
  selector: {app: ${name}}
  ports: [{name: http, port: ${APP_PORT}}]
`;
}
