/**
 * A control plane with law 9 in this process, and real Envoys as its proxies, on loopback addresses of the test's own. The
 * state folder outlives a control plane, so that one can be started again. Stopping leaves neither process nor file.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noMetrics } from '#ads/ads-metrics.ts';
import type { NackEvent } from '#ads/nack-event.ts';
import { defaultMeshConfig } from '#api/mesh-config.ts';
import { systemClock } from '#base/clock.ts';
import { createLogger, LogLevels } from '#base/logger.ts';
import type { ObjectRef } from '#base/object-ref.ts';
import { seededRng } from '#base/rng.ts';
import type { HeldBackController } from '#controllers/held-back.ts';
import { resolveEnvoy } from '#envoy/envoy-provider.ts';
import { openHeldBack } from '#main/held-back.ts';
import { createMesh, type Mesh, type MeshOptions } from '#main/mesh.ts';
import { openXdsDoor, type XdsDoor } from '#main/xds-door.ts';
import { bytesOf, readObjects, type ResourceBytes } from '../support/mesh-fixture.ts';

const root = join(import.meta.dirname, '..', '..');

/** Who an Envoy says it is. */
export interface EnvoyNode {
  readonly type: 'router' | 'sidecar';
  readonly address: string;
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Port of Envoy's admin pages on its address; none when absent. */
  readonly adminPort?: number;
}

/** A control plane whose state lies in a folder of the test's. */
export class ControlPlaneRig implements AsyncDisposable {
  readonly mesh: Mesh;
  readonly nacks: NackEvent[] = [];
  readonly log: string[];
  readonly heldBack: HeldBackController;
  #door: XdsDoor | undefined;

  private constructor(mesh: Mesh, heldBack: HeldBackController, log: string[]) {
    this.mesh = mesh;
    this.heldBack = heldBack;
    this.log = log;
  }

  static async start(folder: string): Promise<ControlPlaneRig> {
    const meshOptions: MeshOptions = {
      meshConfig: defaultMeshConfig(),
      clusterId: 'Kubernetes',
      clusterDomain: 'cluster.local',
      onError: (collection, key, error) => {
        throw new Error(`${collection} failed for ${key}: ${error}`, { cause: error });
      },
    };
    const mesh = createMesh(meshOptions);
    const lines: string[] = [];
    const clock = systemClock();
    const log = createLogger({
      clock,
      levels: new LogLevels(),
      format: 'text',
      sink: (line) => lines.push(line),
    });
    const findEnvoy = async () => ({ path: await envoyPath(), version: '1.40.0' });
    const heldBack = await openHeldBack({ mesh, meshOptions, clock, log, folder, findEnvoy });
    const rig = new ControlPlaneRig(mesh, heldBack, lines);
    rig.#door = await openXdsDoor({
      mesh,
      clock,
      rng: seededRng(1),
      log,
      metrics: noMetrics(),
      version: 'test',
      plain: { host: '127.0.0.1', port: 0 },
      onNack: (event) => {
        rig.nacks.push(event);
        heldBack.refused(event);
      },
    });
    return rig;
  }

  get xdsPort(): number {
    return this.#door?.plainPort ?? 0;
  }

  /** As ControlPlane.apply: looked at, applied, computed. */
  async apply(yaml: string, remove: readonly ObjectRef[] = []): Promise<void> {
    const batch = { set: readObjects(yaml), remove };
    this.heldBack.applying(batch);
    this.mesh.objects.apply(batch);
    await this.mesh.driver.settled();
  }

  /** `Kind/namespace/name`, and whether a good form stands in. */
  held(): readonly string[] {
    return this.heldBack
      .list()
      .map(
        ({ kind, namespace, name, lastGood }) =>
          `${kind}/${namespace}/${name}${lastGood === undefined ? '' : ' (last good)'}`,
      );
  }

  /** All bytes of a proxy's snapshot. */
  bytes(proxyId: string): readonly ResourceBytes[] {
    const snapshot = this.mesh.graph.snapshots.get(proxyId);
    if (snapshot === undefined) throw new Error(`no snapshot of ${proxyId}`);
    return bytesOf(snapshot);
  }

  /** Resolves when every proxy has answered all that it was sent. */
  async synced(): Promise<void> {
    await this.mesh.driver.settled();
    const ads = this.#door?.ads;
    const report = await ads?.connections.waitForAck(ads.epoch.number, 10_000);
    if (report?.isSynced !== true) throw new Error('proxies have not answered');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#door?.close();
    await this.heldBack[Symbol.asyncDispose]();
  }
}

/** A folder that goes with the test. */
export function testFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'lateen-held-back-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

export function nodeId({ type, address, name, namespace }: EnvoyNode): string {
  return `${type}~${address}~${name}.${namespace}~${namespace}.svc.cluster.local`;
}

/** Starts a real Envoy as a proxy of the control plane. */
export async function startProxy(node: EnvoyNode, xdsPort: number, folder: string): Promise<AsyncDisposable> {
  const file = join(folder, `${node.name}.json`);
  writeFileSync(file, JSON.stringify(bootstrap(node, xdsPort)));
  const args = [
    '-c',
    file,
    '--use-dynamic-base-id',
    '--concurrency',
    '1',
    '-l',
    'error',
    '--drain-time-s',
    '1',
  ];
  const child = spawn(await envoyPath(), args, { stdio: ['ignore', 'ignore', 'inherit'] });
  return { [Symbol.asyncDispose]: () => end(child) };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

export async function envoyPath(): Promise<string> {
  const binary = await resolveEnvoy({
    pathDirs: [],
    cacheDir: join(root, '.cache'),
    ...(process.env['ENVOY_PATH'] === undefined ? {} : { envoyPath: process.env['ENVOY_PATH'] }),
  });
  if (!binary.ok) throw new Error(binary.error.text);
  return binary.value.path;
}

function bootstrap(node: EnvoyNode, xdsPort: number): object {
  const ads = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' };
  const http2 = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  const metadata = {
    NAME: node.name,
    NAMESPACE: node.namespace,
    LABELS: node.labels,
    INTERCEPTION_MODE: 'NONE',
    INSTANCE_IPS: node.address,
  };
  const cluster = (name: string): object => ({
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    typed_extension_protocol_options: {
      [http2]: {
        '@type': `type.googleapis.com/${http2}`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [
        {
          lb_endpoints: [
            { endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: xdsPort } } } },
          ],
        },
      ],
    },
  });
  const admin = {
    address: { socket_address: { address: node.address, port_value: node.adminPort } },
  };
  return {
    node: { id: nodeId(node), cluster: node.name, metadata },
    ...(node.adminPort === undefined ? {} : { admin }),
    layered_runtime: {
      layers: [{ name: 'static', static_layer: { 're2.max_program_size.error_level': 32768 } }],
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
    static_resources: { clusters: [cluster('xds-grpc'), cluster('sds-grpc')] },
  };
}
