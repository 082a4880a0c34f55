/**
 * One stock Envoy on loopback that is fed snapshot after snapshot over live delta ADS, with secrets for every name that
 * it asks for. Listeners are not bound unless asked for, so that any snapshot can be tried on any machine; names are not looked up.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, type JsonValue } from '@bufbuild/protobuf';
import { noMetrics } from '#ads/ads-metrics.ts';
import { AdsServer } from '#ads/ads-server.ts';
import { GrpcServer } from '#ads/grpc-server.ts';
import type { NackEvent } from '#ads/nack-event.ts';
import { systemClock } from '#base/clock.ts';
import { silentLogger } from '#base/logger.ts';
import { ok } from '#base/result.ts';
import { seededRng } from '#base/rng.ts';
import { emptyMap, mapOf, type PersistentMap } from '#collections/persistent-map.ts';
import { type Listener, ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { SecretSchema } from '#proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import { encodeResource } from '#xds/encode.ts';
import type { ProxySnapshot } from '#xds/proxy-snapshot.ts';
import { type ResourceEntry, TYPE_LISTENER, TYPE_SECRET } from '#xds/resource.ts';
import { FakeSource } from '../ads/fake-world.ts';
import { DELTA_METHOD } from '../ads/grpc-rig.ts';
import { createTestAuthority, type TestAuthority } from '../envoy/workload-certificates.ts';
import { feedBootstrap, NODE_ID, NO_DNS_PORT } from './envoy-feed-bootstrap.ts';
import { plainResource, SNAPSHOT_PARTS } from './mesh-fixture.ts';
import { withModule } from './extension-module.ts';
import { wasmModule } from './wasm-module.ts';

const SDS_METHOD = '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets';
const SPIFFE_ID = 'spiffe://cluster.local/ns/default/sa/default';
const LIMIT_MS = 15_000;

/** Makes listeners what a test can reach; the default takes their sockets away. */
export type ListenerPreparation = (listener: Listener) => void;

/** How an Envoy differs from one that only tries configuration. */
export interface FeedOptions {
  /** Port of a DNS server on 127.0.0.1; by default names are not looked up. */
  readonly dnsPort?: number;
  /** Where it is, if it is to know its own cluster. */
  readonly discoversItselfIn?: { readonly region: string; readonly zone: string };
  /** Who it is. */
  readonly spiffeId?: string;
  /** The CA of its certificate; one of its own by default. */
  readonly authority?: TestAuthority;
  /** Group that Envoy runs as, for rules of the kernel that tell its traffic from others'; the test's own by default. */
  readonly gid?: number;
}

interface Certificates {
  readonly authority: TestAuthority;
  readonly key: string;
  readonly chain: string;
}

/** What Envoy holds, from its own dump. */
interface Holdings {
  /** Versions of active clusters and listeners by name. */
  readonly active: ReadonlyMap<string, string>;
  /** Number of active listeners. */
  readonly listeners: number;
  readonly warming: readonly string[];
  readonly refused: readonly string[];
}

export class EnvoyFeed implements AsyncDisposable {
  readonly nacks: NackEvent[] = [];
  /** Signs what Envoy shows, and what it accepts. */
  readonly authority: TestAuthority;
  readonly #ads: AdsServer;
  readonly #sds: AdsServer;
  readonly #source: FakeSource = new FakeSource();
  readonly #secrets: FakeSource = new FakeSource();
  readonly #grpc: GrpcServer;
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'lateen-feed-'));
  readonly #certificates: Certificates;
  #envoy: ChildProcess | undefined;
  #adminPort = 0;
  #log = '';
  readonly #options: FeedOptions;

  private constructor(certificates: Certificates, options: FeedOptions) {
    this.authority = certificates.authority;
    this.#certificates = certificates;
    this.#options = options;
    const clock = systemClock();
    const log = silentLogger();
    const metrics = noMetrics();
    const onNack = (event: NackEvent): void => void this.nacks.push(event);
    const admission = { admit: (_peer: unknown, proxy: Parameters<FakeSource['connect']>[0]) => ok(proxy) };
    const common = { admission, clock, log, metrics, controlPlane: 'lateen', onNack };
    this.#ads = new AdsServer({ ...common, source: this.#source });
    this.#sds = new AdsServer({ ...common, source: this.#secrets });
    // Secrets are for callers with an identity only.
    const authenticator = { authenticate: async () => ok({ identity: SPIFFE_ID, isTrusted: true }) };
    this.#grpc = new GrpcServer({
      authenticator,
      clock,
      rng: seededRng(1),
      log,
      metrics,
      limits: { graceMs: 200 },
    });
    this.#grpc.stream(DELTA_METHOD, (stream, peer) => this.#ads.serveDelta(stream, peer));
    this.#grpc.stream(SDS_METHOD, (stream, peer) => this.#sds.serveSotw(stream, peer));
  }

  /** Starts Envoy with nothing but where to ask. */
  static async start(envoyPath: string, options: FeedOptions = {}): Promise<EnvoyFeed> {
    const authority = options.authority ?? (await createTestAuthority());
    const { key, chain } = await authority.issue(options.spiffeId ?? SPIFFE_ID, {
      CN: 'app',
    });
    const feed = new EnvoyFeed({ authority, key, chain }, options);
    await feed.#spawn(envoyPath);
    return feed;
  }

  /** Body of an admin page. */
  admin(path: string): Promise<string> {
    return this.#admin(path);
  }

  /** Gives Envoy another snapshot in place of what it has, listeners bound, and waits until it has taken it. */
  async update(snapshot: ProxySnapshot): Promise<void> {
    const secrets = this.#secretsFor(snapshot);
    this.#secrets.publish({ ...EMPTY, secrets }, NODE_ID);
    this.nacks.length = 0;
    this.#source.publish({ ...snapshot, secrets }, NODE_ID);
    const endMs = performance.now() + LIMIT_MS;
    for (;;) {
      const { active, warming, refused } = await this.#holdings();
      const problems = [...this.nacks.map((nack) => JSON.stringify(nack)), ...refused];
      if (problems.length > 0) throw new Error(`Envoy refused: ${problems.join('\n')}`);
      const missing = [
        ...[...snapshot.clusters].filter(([name, { resource }]) => active.get(name) !== resource.version),
        ...[...snapshot.listeners].filter(([name]) => !active.has(name)),
      ];
      if (missing.length + warming.length === 0 && this.#ads.connections.synced(NODE_ID)) return;
      if (performance.now() > endMs) throw new Error(`Envoy warms ${warming.join(', ')}\n${this.#log}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Gives Envoy another snapshot without the secrets of the agent, and does not wait. */
  offer(snapshot: ProxySnapshot): void {
    this.#source.publish(snapshot, NODE_ID);
  }

  /** Names of clusters and listeners that Envoy has and cannot use yet. */
  async warming(): Promise<readonly string[]> {
    return (await this.#holdings()).warming;
  }

  /**
   * Gives Envoy a snapshot, and waits until all of it is active and acknowledged. Throws when it does not get there, with
   * what Envoy said. What the last snapshot had may stay for a while: the server drains it.
   */
  async accept(snapshot: ProxySnapshot, prepare: ListenerPreparation = unbind): Promise<void> {
    // Listeners begin anew each time: one that is updated in place keeps its old version in Envoy's dump.
    await this.#reach(EMPTY);
    const secrets = this.#secretsFor(snapshot);
    this.#secrets.publish({ ...EMPTY, secrets }, NODE_ID);
    const listeners = preparedListeners(snapshot.listeners, prepare);
    const extensions = withModule(snapshot.extensions, join(this.#folder, 'module.wasm'));
    await this.#reach({ ...snapshot, listeners, secrets, secretsOwner: SPIFFE_ID, extensions });
  }

  async #reach(snapshot: ProxySnapshot): Promise<void> {
    this.nacks.length = 0;
    this.#source.publish(snapshot, NODE_ID);
    const expected = [...snapshot.clusters, ...snapshot.listeners];
    const endMs = performance.now() + LIMIT_MS;
    for (;;) {
      const { active, listeners, warming, refused } = await this.#holdings();
      const problems = [...this.nacks.map((nack) => JSON.stringify(nack)), ...refused];
      if (problems.length > 0) throw new Error(`Envoy refused: ${problems.join('\n')}`);
      const missing = expected.filter(([name, { resource }]) => active.get(name) !== resource.version);
      const isThere = missing.length + warming.length === 0 && listeners === snapshot.listeners.size;
      if (isThere && this.#ads.connections.synced(NODE_ID)) return;
      if (performance.now() > endMs) {
        const names = missing.map(([name]) => name);
        throw new Error(`Envoy lacks ${names.join(', ')}; warms ${warming.join(', ')}\n${this.#log}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const envoy = this.#envoy;
    if (envoy !== undefined && envoy.exitCode === null) {
      const exited = new Promise((resolve) => envoy.once('exit', resolve));
      envoy.kill('SIGKILL');
      await exited;
    }
    this.#ads[Symbol.dispose]();
    this.#sds[Symbol.dispose]();
    await this.#grpc[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }

  async #spawn(envoyPath: string): Promise<void> {
    const { port } = await this.#grpc.listenTcp('127.0.0.1', 0);
    const config = join(this.#folder, 'envoy.json');
    writeFileSync(join(this.#folder, 'module.wasm'), wasmModule());
    const adminFile = join(this.#folder, 'admin');
    writeFileSync(
      config,
      JSON.stringify(
        feedBootstrap(port, this.#options.dnsPort ?? NO_DNS_PORT, this.#options.discoversItselfIn),
      ),
    );
    const args = [
      '-c',
      config,
      '--admin-address-path',
      adminFile,
      '--use-dynamic-base-id',
      '--drain-time-s',
      '1',
      '--file-flush-interval-msec',
      '50',
      '--concurrency',
      '1',
      '-l',
      'warning',
    ];
    const { gid } = this.#options;
    this.#envoy = spawn(envoyPath, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      ...(gid === undefined ? {} : { gid }),
    });
    this.#envoy.stderr?.on('data', (chunk: Buffer) => {
      this.#log = (this.#log + chunk.toString()).slice(-10_000);
    });
    const endMs = performance.now() + LIMIT_MS;
    while (this.#adminPort === 0) {
      if (performance.now() > endMs) throw new Error(`Envoy did not start\n${this.#log}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
      this.#adminPort = readPort(adminFile);
    }
  }

  async #holdings(): Promise<Holdings> {
    const dump = JSON.parse(await this.#admin('/config_dump')) as { readonly configs: readonly DumpPart[] };
    const active = new Map<string, string>();
    const warming: string[] = [];
    const refused: string[] = [];
    let listeners = 0;
    for (const part of dump.configs) {
      for (const { cluster, version_info } of part.dynamic_active_clusters ?? [])
        active.set(cluster.name, version_info);
      for (const { cluster } of part.dynamic_warming_clusters ?? []) warming.push(cluster.name);
      for (const listener of part.dynamic_listeners ?? []) {
        if (listener.active_state !== undefined) {
          active.set(listener.name, listener.active_state.version_info);
          listeners++;
        }
        if (listener.warming_state !== undefined) warming.push(listener.name);
        if (listener.error_state !== undefined) refused.push(JSON.stringify(listener.error_state));
      }
    }
    return { active, listeners, warming, refused };
  }

  #admin(path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const request = get({ host: '127.0.0.1', port: this.#adminPort, path, agent: false }, (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => resolve(body));
      });
      request.on('error', (cause) => reject(new Error(`Envoy is gone\n${this.#log}`, { cause })));
    });
  }

  /** A secret for every name that the snapshot refers to: roots for what sounds like roots, else key and certificate. */
  #secretsFor(snapshot: ProxySnapshot): PersistentMap<ResourceEntry> {
    const names = new Set<string>();
    for (const part of SNAPSHOT_PARTS) {
      for (const { resource } of snapshot[part].values())
        collectSecrets(plainResource(part, resource), names);
    }
    return mapOf(Array.from(names, (name) => [name, this.#secret(name)] as const));
  }

  #secret(name: string): ResourceEntry {
    const { authority, key, chain } = this.#certificates;
    const inline = (text: string) => ({ specifier: { case: 'inlineString', value: text } }) as const;
    const isRoot = name === 'ROOTCA' || name.endsWith('-cacert') || name.startsWith('file-root:');
    const message = create(SecretSchema, {
      name,
      type: isRoot
        ? { case: 'validationContext', value: { trustedCa: inline(authority.root) } }
        : { case: 'tlsCertificate', value: { certificateChain: inline(chain), privateKey: inline(key) } },
    });
    return { resource: encodeResource(SecretSchema, message, TYPE_SECRET, name), causes: [] };
  }
}

interface DumpPart {
  readonly dynamic_active_clusters?: readonly {
    readonly version_info: string;
    readonly cluster: { readonly name: string };
  }[];
  readonly dynamic_warming_clusters?: readonly { readonly cluster: { readonly name: string } }[];
  readonly dynamic_listeners?: readonly {
    readonly name: string;
    readonly active_state?: { readonly version_info: string };
    readonly warming_state?: unknown;
    readonly error_state?: unknown;
  }[];
}

const NONE: PersistentMap<ResourceEntry> = emptyMap();
const EMPTY: ProxySnapshot = {
  clusters: NONE,
  endpoints: NONE,
  listeners: NONE,
  routes: NONE,
  nameTable: NONE,
  trustBundle: NONE,
  secrets: NONE,
  secretsOwner: SPIFFE_ID,
  extensions: NONE,
};

/** Without its socket everything else of a listener is checked. */
function unbind(listener: Listener): void {
  listener.bindToPort = false;
  // Envoy ends itself over a transparent listener that has no socket of its own.
  delete listener.transparent;
}

function preparedListeners(
  listeners: PersistentMap<ResourceEntry>,
  prepare: ListenerPreparation,
): PersistentMap<ResourceEntry> {
  return mapOf(
    Array.from(listeners, ([name, { resource, causes }]) => {
      const message = fromBinary(ListenerSchema, resource.bytes);
      prepare(message);
      const encoded = encodeResource(ListenerSchema, message, TYPE_LISTENER, name, resource.references);
      return [name, { resource: encoded, causes }] as const;
    }),
  );
}

/** Names beside an `sdsConfig`, at any depth. */
function collectSecrets(value: JsonValue, names: Set<string>): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) collectSecrets(item, names);
    return;
  }
  if ('sdsConfig' in value && typeof value['name'] === 'string') names.add(value['name']);
  for (const inner of Object.values(value)) collectSecrets(inner, names);
}

function readPort(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8').split(':').at(-1)) || 0;
  } catch {
    return 0;
  }
}
