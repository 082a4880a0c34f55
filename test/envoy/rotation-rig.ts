/**
 * Two workloads of a mesh, `client` and `server`, with real agents and Envoys, under the real CA with an operator's authority plugged in:
 * xDS and CA in this process, certificates that live for seconds.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { noMetrics } from '#ads/ads-metrics.ts';
import type { LocalWorkloadSpec } from '#api/local-workload.ts';
import { defaultMeshConfig } from '#api/mesh-config.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { type Clock, systemClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { systemRng } from '#base/rng.ts';
import { type LocalAuthority, openCertificateAuthority } from '#ca/certificate-authority.ts';
import { defaultSignerOptions } from '#ca/signer.ts';
import { createMesh, type Mesh } from '#main/mesh.ts';
import type { TrustBundleStatus } from '#main/trust-bundle.ts';
import { openXdsDoor, type XdsDoor } from '#main/xds-door.ts';
import { agentEnvironment, ROOT_CERT_PATH, TOKEN_PATH } from '#standalone/agent-environment.ts';
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
import { fetchAgentSecret, type WorkloadSecret } from './workload-secret.ts';

/** Life of certificates, unless a test says otherwise. */
const TTL_MS = 6_000;
export const PROXY_PORT = 15080;
const ADMIN_PORT = 15000;
/** Not one that somebody else's server is likely to hold on every address of the machine. */
export const APP_PORT = 8479;
const START_LIMIT_MS = 30_000;
/** Waits of hours and more take a second: the CA's clock is an accelerated one. */
const LONG_WAIT_MS = 600_000;
const SHORT_WAIT_MS = 1_000;
/** Connections between the sidecars are new so often that every certificate is shown and checked. */
const OBJECTS = `
apiVersion: v1
kind: Service
metadata: {name: server, namespace: default}
spec: {selector: {app: server}, ports: [{name: http, port: ${APP_PORT}}]}
---
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: {name: server, namespace: default}
spec: {labels: {app: server}, serviceAccount: server, command: [none], ports: [{name: http, port: ${APP_PORT}}]}
---
apiVersion: lateen.dev/v1alpha1
kind: LocalWorkload
metadata: {name: client, namespace: default}
spec: {labels: {app: client}, serviceAccount: client, command: [none]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: server, namespace: default}
spec: {host: server, trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 10}}}}
`;

export interface RotationOptions {
  readonly ttlMs?: number;
  /** How long the CA really waits for a wait of so long. */
  readonly waitMs?: (delayMs: number) => number;
}

export type WorkloadName = 'client' | 'server';

interface Workload {
  readonly address: string;
  readonly agent: TestAgent;
}

export class RotationRig implements AsyncDisposable {
  readonly authority: LocalAuthority;
  readonly mesh: Mesh;
  /** Where the operator's files are. */
  readonly cacerts: string;
  readonly #folder: string;
  readonly #door: XdsDoor;
  readonly #app: Server;
  readonly #workloads: ReadonlyMap<WorkloadName, Workload>;

  private constructor(parts: {
    readonly folder: string;
    readonly authority: LocalAuthority;
    readonly mesh: Mesh;
    readonly door: XdsDoor;
    readonly app: Server;
    readonly workloads: ReadonlyMap<WorkloadName, Workload>;
  }) {
    this.#folder = parts.folder;
    this.cacerts = cacertsOf(parts.folder);
    this.authority = parts.authority;
    this.mesh = parts.mesh;
    this.#door = parts.door;
    this.#app = parts.app;
    this.#workloads = parts.workloads;
  }

  /** Starts everything; `plugIn` writes the first authority into the folder that it is given. */
  static async start(
    plugIn: (cacerts: string) => void,
    { ttlMs = TTL_MS, waitMs = shortened }: RotationOptions = {},
  ): Promise<RotationRig> {
    prepareBundle();
    const folder = makeFolder();
    plugIn(cacertsOf(folder));
    const authority = await openAuthority(folder, ttlMs, waitMs);
    const mesh = openMesh();
    const [clock, rng, log] = [systemClock(), systemRng(), silentLogger()];
    // Nobody is waited for who was there before: this mesh has no past.
    const rollout = { isAlone: () => true, returnMs: 1_000 };
    const door = await openXdsDoor({ mesh, clock, rng, log, metrics: noMetrics(), version: 'test' });
    await door.listenSecurely(authority, { host: '127.0.0.1', port: 0 }, rollout);
    const [appAddress, app] = [ownAddress(), startApp()];
    app.listen(APP_PORT, appAddress);
    try {
      await once(app, 'listening');
    } catch (error) {
      await door.close();
      authority[Symbol.dispose]();
      throw error;
    }
    const workloads = new Map<WorkloadName, Workload>();
    for (const name of ['server', 'client'] as const) {
      const address = ownAddress();
      const replica = { namespace: 'default', workload: name, replica: 0, address, appAddress, ready: true };
      mesh.replicas.set(`default/${name}-0`, replica);
      const agent = await startAgent({ folder, name, address, appAddress, ttlMs, authority, door });
      workloads.set(name, { address, agent });
    }
    mesh.driver.poke();
    const rig = new RotationRig({ folder, authority, mesh, door, app, workloads });
    try {
      await rig.#ready();
    } catch (error) {
      await rig[Symbol.asyncDispose]();
      throw error;
    }
    return rig;
  }

  /** How far the agents are with the newest bundle. */
  get bundle(): TrustBundleStatus {
    const { trustBundle } = this.#door;
    if (trustBundle === undefined) throw new Error('the secure port is not open');
    return trustBundle.status;
  }

  address(name: WorkloadName): string {
    return this.#workload(name).address;
  }

  /** What the agent gives its Envoy now. */
  secret(name: WorkloadName): Promise<WorkloadSecret> {
    return fetchAgentSecret(join(this.#folder, name));
  }

  /** The process of a workload's Envoy. */
  envoyPid(name: WorkloadName): number | undefined {
    return this.#workload(name).agent.envoyPid;
  }

  /** Sum of the counters of a workload's Envoy whose names match. */
  async counted(name: WorkloadName, pattern: string): Promise<number> {
    const query = `filter=${encodeURIComponent(pattern)}`;
    const text = await (await fetch(`http://${this.address(name)}:${ADMIN_PORT}/stats?${query}`)).text();
    const values = text.split('\n').map((line) => Number(/: (\d+)$/.exec(line)?.[1] ?? 0));
    return values.reduce((sum, value) => sum + value, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Array.from(this.#workloads.values(), ({ agent }) => agent.stop()));
    this.#app.closeAllConnections();
    this.#app.close();
    await this.#door.close();
    this.authority[Symbol.dispose]();
    removeFolder(this.#folder);
  }

  async #ready(): Promise<void> {
    for (const [name, { address, agent }] of this.#workloads) {
      await until(`${name} is ready`, START_LIMIT_MS, async () => {
        const answer = await fetch(`http://${address}:15021/healthz/ready`).catch(() => undefined);
        if (agent.process.exitCode !== null) throw new Error(agent.log);
        return answer?.status === 200 ? true : undefined;
      });
    }
  }

  #workload(name: WorkloadName): Workload {
    const workload = this.#workloads.get(name);
    if (workload === undefined) throw new Error(`${name} does not run`);
    return workload;
  }
}

function cacertsOf(folder: string): string {
  return join(folder, 'cacerts');
}

function openMesh(): Mesh {
  const mesh = createMesh({
    meshConfig: defaultMeshConfig(),
    clusterId: 'Kubernetes',
    clusterDomain: 'cluster.local',
    onError: (collection, key, error) => process.stderr.write(`${collection} ${key}: ${String(error)}\n`),
  });
  mesh.objects.apply({ set: readObjects(OBJECTS), remove: [] });
  return mesh;
}

function shortened(delayMs: number): number {
  return delayMs > LONG_WAIT_MS ? SHORT_WAIT_MS : delayMs;
}

async function openAuthority(
  folder: string,
  ttlMs: number,
  waitMs: (delayMs: number) => number,
): Promise<LocalAuthority> {
  const system = systemClock();
  const clock: Clock = {
    ...system,
    schedule: (delayMs, run) => system.schedule(waitMs(delayMs), run),
  };
  const ca = await openCertificateAuthority({
    folder: join(folder, 'ca'),
    pluggedInFolder: cacertsOf(folder),
    trustDomain: 'cluster.local',
    trustDomainAliases: [],
    signer: { ...defaultSignerOptions, defaultTtlMs: ttlMs, maxTtlMs: ttlMs },
    tokenVerifiers: [],
    clock,
    log: silentLogger(),
  });
  if (!ca.ok) throw new Error(ca.error);
  return ca.value;
}

/** `/stream` goes on until somebody asks for `/end`. */
function startApp(): Server {
  const streams = new Set<() => void>();
  return createServer((request, response) => {
    request.resume();
    if (request.url === '/stream') {
      response.write('begin ');
      const timer = setInterval(() => response.write('.'), 100);
      const end = (): void => {
        clearInterval(timer);
        response.end(' end');
      };
      streams.add(end);
      response.on('close', () => clearInterval(timer));
      return;
    }
    if (request.url === '/end') for (const end of streams) end();
    response.end('ok');
  });
}

interface AgentFacts {
  readonly folder: string;
  readonly name: WorkloadName;
  readonly address: string;
  readonly appAddress: string;
  readonly ttlMs: number;
  readonly authority: LocalAuthority;
  readonly door: XdsDoor;
}

async function startAgent({ folder, name, address, appAddress, ttlMs, authority, door }: AgentFacts) {
  const object = readObjects(OBJECTS).find((one) => one.kind === 'LocalWorkload' && one.name === name);
  if (object === undefined) throw new Error(`no workload ${name}`);
  const proxyConfig = defaultMeshConfig().defaultConfig ?? {};
  const environment = agentEnvironment(
    {
      envoyPath: await envoyPath(),
      controlPlaneAddress: `127.0.0.1:${door.securePort}`,
      trustDomain: 'cluster.local',
      httpProxyPort: PROXY_PORT,
    },
    {
      object: object as MeshObject<LocalWorkloadSpec>,
      replica: 0,
      addresses: { proxy: address, app: appAddress, outbound: ownAddress() },
      proxyConfig: {
        ...proxyConfig,
        concurrency: 1,
        terminationDrainDuration: '0.1s',
        proxyStatsMatcher: { inclusionRegexps: ['.*'] },
      },
      mergesMetrics: false,
    },
  );
  const home = join(folder, name);
  const subject = {
    namespace: 'default',
    serviceAccount: name,
    facts: { workload: name },
    instance: `${name}-0`,
  };
  writePrivate(join(home, TOKEN_PATH), (await authority.tokens.issueToken(subject)).reveal());
  followRoots(join(home, ROOT_CERT_PATH), authority);
  const started = { ...Object.fromEntries(environment), SECRET_TTL: `${ttlMs / 1000}s` };
  return new TestAgent(home, started);
}

/** What a controller does with the ConfigMap of roots. */
function followRoots(path: string, { rotation }: LocalAuthority): void {
  const write = (): void => {
    mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
    writeFileSync(`${path}.new`, rotation.rootsPem, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  };
  write();
  rotation.watch(write);
}
