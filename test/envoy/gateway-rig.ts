/**
 * A real Envoy as the gateway of a mesh in this process: objects from YAML, xDS over TLS under the gateway's own identity (without
 * which it gets no secrets), the agent's secrets over a Unix socket. Listens on a loopback address of the test's own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noMetrics } from '#ads/ads-metrics.ts';
import { SdsServer } from '#agent/sds-server.ts';
import { UnixGrpcServer } from '#agent/unix-grpc-server.ts';
import type { WorkloadSecrets } from '#agent/workload-certificate.ts';
import { systemClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import type { ObjectRef } from '#base/object-ref.ts';
import { systemRng } from '#base/rng.ts';
import type { CertificateAuthority } from '#ca/certificate-authority.ts';
import { generateKeyPair, printPrivateKey } from '#identity/key-pair.ts';
import { openHeldBack } from '#main/held-back.ts';
import { DEFAULT_MESH_FLAGS, type MeshFlags } from '#model/mesh-flags.ts';
import { createMesh, type Mesh, type MeshOptions } from '#main/mesh.ts';
import { openXdsDoor, type XdsDoor } from '#main/xds-door.ts';
import { readMeshConfig, readObjects } from '../support/mesh-fixture.ts';
import { envoyPath, openTestAuthority } from './agent-fixture.ts';
import { freePort, ownAddress } from './static-envoy.ts';

const LIMIT_MS = 15_000;
const NAMESPACE = 'istio-system';
const SERVICE_ACCOUNT = 'gateway';

export interface GatewayRigOptions {
  readonly meshConfig?: object;
  readonly flags?: Partial<MeshFlags>;
  /** ProxyConfig of the gateway. */
  readonly proxyConfig?: object;
}

export interface GatewayRig extends AsyncDisposable {
  /** Where the gateway's servers listen. */
  readonly address: string;
  readonly mesh: Mesh;
  readonly door: XdsDoor;
  readonly authority: CertificateAuthority;
  /** For files that Envoy is to read. */
  readonly folder: string;
  /** A port that nobody listens on. */
  port(): Promise<number>;
  /** Applies objects and waits until the gateway has taken what came of them. */
  apply(yaml: string): Promise<void>;
  remove(ref: ObjectRef): Promise<void>;
  /** Objects that are held back, as `name: reason`. */
  heldBack(): readonly string[];
  admin(path: string): Promise<string>;
}

/** A certificate of a workload of the mesh. */
export async function issueWorkload(
  { signer }: CertificateAuthority,
  namespace: string,
  serviceAccount: string,
): Promise<{ readonly chain: string; readonly key: string }> {
  const keyPair = await generateKeyPair();
  const { publicKey } = keyPair;
  const identity = { trustDomain: 'cluster.local', namespace, serviceAccount };
  const chain = await signer.sign({ publicKey, identity, facts: { workload: serviceAccount }, ttlMs: 0 });
  if (!chain.ok) throw new Error(chain.error);
  return { chain: chain.value.join(''), key: printPrivateKey(keyPair).reveal() };
}

/** Starts a mesh without objects and its gateway (labels `istio: ingressgateway`). */
export async function openGatewayRig(options: GatewayRigOptions = {}): Promise<GatewayRig> {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-gw-'));
  const address = ownAddress();
  const [clock, log] = [systemClock(), silentLogger()];
  const authority = await openTestAuthority(join(folder, 'ca'));
  const meshOptions: MeshOptions = {
    meshConfig: readMeshConfig(options.meshConfig ?? {}),
    clusterId: 'Kubernetes',
    clusterDomain: 'cluster.local',
    onError: (collection, key, error) => process.stderr.write(`${collection} ${key}: ${String(error)}\n`),
    flags: { ...DEFAULT_MESH_FLAGS, ...options.flags },
  };
  const mesh = createMesh(meshOptions);
  const heldBack = await openHeldBack({ mesh, meshOptions, clock, log, folder: join(folder, 'held-back') });
  const door = await openXdsDoor({
    mesh,
    clock,
    rng: systemRng(),
    log,
    metrics: noMetrics(),
    version: 'test',
    onNack: (event) => process.stderr.write(`refused: ${event.message}\n`),
  });
  await door.listenSecurely(authority, { host: address, port: 0 });
  const { chain, key } = await issueWorkload(authority, NAMESPACE, SERVICE_ACCOUNT);
  const secrets = { chainPem: chain, rootsPem: authority.rotation.rootsPem } as WorkloadSecrets;
  const socket = join(folder, 'sds');
  const sds = new SdsServer(
    {
      current: { ...secrets, privateKey: { reveal: () => key } as WorkloadSecrets['privateKey'] },
      watch: () => ({ [Symbol.dispose]: () => {} }),
    },
    { clock, log },
  );
  const sdsDoor = new UnixGrpcServer(socket, sds.handlers, log);
  await sdsDoor.listen();
  const adminPort = await freePort(address);
  const bootstrap = gatewayBootstrap({
    address,
    adminPort,
    xdsPort: door.securePort,
    socket,
    chain,
    key,
    root: authority.rotation.rootsPem,
    proxyConfig: options.proxyConfig ?? {},
  });
  const file = join(folder, 'bootstrap.json');
  writeFileSync(file, JSON.stringify(bootstrap));
  const envoy = spawn(
    await envoyPath(),
    ['-c', file, '--use-dynamic-base-id', '--concurrency', '1', '-l', 'error'],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const taken = async (): Promise<void> => {
    await mesh.driver.settled();
    const report = await door.ads.connections.waitForAck(door.ads.epoch.number, LIMIT_MS);
    if (report.waitingFor.length > 0) throw new Error(`not taken by ${report.waitingFor.join()}`);
  };
  await connected(door);
  return {
    address,
    mesh,
    door,
    authority,
    folder,
    port: () => freePort(address),
    async apply(yaml) {
      const batch = { set: readObjects(yaml), remove: [] };
      heldBack.applying(batch);
      mesh.objects.apply(batch);
      await taken();
    },
    async remove(ref) {
      heldBack.applying({ set: [], remove: [ref] });
      mesh.objects.apply({ set: [], remove: [ref] });
      await taken();
    },
    heldBack: () => heldBack.list().map(({ name, reason }) => `${name}: ${reason}`),
    admin: async (path) => (await fetch(`http://${address}:${adminPort}${path}`)).text(),
    async [Symbol.asyncDispose]() {
      await end(envoy);
      await door.close();
      await sdsDoor.close();
      sds[Symbol.dispose]();
      await heldBack[Symbol.asyncDispose]();
      authority[Symbol.dispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

async function connected(door: XdsDoor): Promise<void> {
  const endMs = performance.now() + LIMIT_MS;
  while ([...door.ads.connections].length === 0) {
    if (performance.now() > endMs) throw new Error('the gateway does not connect');
    await new Promise(setImmediate);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await exited;
  clearTimeout(timer);
}

interface BootstrapFacts {
  readonly address: string;
  readonly adminPort: number;
  readonly xdsPort: number;
  readonly socket: string;
  readonly chain: string;
  readonly key: string;
  readonly root: string;
  readonly proxyConfig: object;
}

function gatewayBootstrap(facts: BootstrapFacts): object {
  const { address, adminPort, xdsPort, socket } = facts;
  const ads = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' };
  const socketAddress = (port: number): object => ({ socket_address: { address, port_value: port } });
  const inline = (text: string): object => ({ inline_string: text });
  const tls = {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      common_tls_context: {
        tls_certificates: [{ certificate_chain: inline(facts.chain), private_key: inline(facts.key) }],
        validation_context: { trusted_ca: inline(facts.root) },
      },
    },
  };
  return {
    admin: { address: socketAddress(adminPort) },
    node: {
      id: `router~${address}~gateway.${NAMESPACE}~${NAMESPACE}.svc.cluster.local`,
      cluster: 'gateway',
      metadata: {
        NAME: 'gateway',
        NAMESPACE,
        LABELS: { istio: 'ingressgateway' },
        INTERCEPTION_MODE: 'NONE',
        INSTANCE_IPS: address,
        PROXY_CONFIG: facts.proxyConfig,
      },
    },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds-grpc' } }],
      },
      cds_config: ads,
      lds_config: ads,
    },
    static_resources: {
      clusters: [
        { ...grpcCluster('xds-grpc', socketAddress(xdsPort)), transport_socket: tls },
        grpcCluster('sds-grpc', { pipe: { path: socket } }),
      ],
    },
  };
}

function grpcCluster(name: string, address: object): object {
  const http2 = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    typed_extension_protocol_options: {
      [http2]: {
        '@type': `type.googleapis.com/${http2}`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}
