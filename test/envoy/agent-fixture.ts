/**
 * A workload with a real agent and a real Envoy on an address of its own in 127.0.0.0/8, and a tiny control plane for it: the real CA, and an
 * ADS server that hands out one mTLS listener in front of an echo server.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import {
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { create, fromBinary, fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { systemClock } from '#base/clock.ts';
import { issueServerCertificate } from '#ca/server-certificate.ts';
import { encodeGrpcMessage, GrpcFrameReader, grpcFrame } from '#base/grpc-frame.ts';
import { silentLogger } from '#base/logger.ts';
import { type LocalAuthority, openCertificateAuthority } from '#ca/certificate-authority.ts';
import { defaultSignerOptions } from '#ca/signer.ts';
import { resolveEnvoy } from '#envoy/envoy-provider.ts';
import { createCertificatePath } from '#identity/certificate-message.ts';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { ClusterSchema } from '#proto/envoy/config/cluster/v3/cluster_pb.ts';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';

const projectRoot = join(import.meta.dirname, '..', '..');
const clusterType = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';
const listenerType = 'type.googleapis.com/envoy.config.listener.v3.Listener';

/** The Envoy that all tests run. */
export async function envoyPath(): Promise<string> {
  const given = process.env['ENVOY_PATH'];
  const binary = await resolveEnvoy({
    pathDirs: [],
    cacheDir: join(projectRoot, '.cache'),
    ...(given === undefined ? {} : { envoyPath: given }),
  });
  if (!binary.ok) throw new Error(binary.error.text);
  return binary.value.path;
}

/** A loopback address that is most likely nobody else's. */
export function ownAddress(): string {
  const byte = (): number => 1 + Math.floor(Math.random() * 253);
  return `127.${byte()}.${byte()}.${byte()}`;
}

/** Waits until a condition gives something else than undefined; fails after the limit. */
export async function until<T>(
  what: string,
  limitMs: number,
  probe: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > endMs) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** An echo server: the workload's application. */
export class EchoServer {
  readonly #server: Server = createServer((socket) =>
    socket.pipe(socket).on('error', () => socket.destroy()),
  );
  readonly #sockets = new Set<Socket>();
  /** Where the last connection came from. */
  lastCaller = '';

  async listen(address: string): Promise<number> {
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      this.lastCaller = socket.remoteAddress ?? '';
    });
    this.#server.listen(0, address);
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

/** CA and ADS in one TLS server. */
export class TestControlPlane {
  readonly ca: LocalAuthority;
  readonly requests: DeltaDiscoveryRequest[] = [];
  readonly #address: string;
  readonly #resources: ReadonlyMap<string, readonly { readonly name: string; readonly body: Uint8Array }[]>;
  readonly #sessions = new Set<ServerHttp2Session>();
  #server: Http2SecureServer | undefined;
  #port = 0;

  constructor(
    ca: LocalAuthority,
    address: string,
    listeners: readonly JsonValue[],
    clusters: readonly JsonValue[],
  ) {
    const registry = envoyRegistry();
    const encode = (json: JsonValue, schema: typeof ListenerSchema | typeof ClusterSchema) => {
      const message = fromJson(schema, json, { registry });
      return { name: message.name, body: toBinary(schema, message) };
    };
    this.ca = ca;
    this.#address = address;
    this.#resources = new Map([
      [listenerType, listeners.map((json) => encode(json, ListenerSchema))],
      [clusterType, clusters.map((json) => encode(json, ClusterSchema))],
    ]);
  }

  get target(): string {
    return `${this.#address}:${this.#port}`;
  }

  /** Listens; after a stop on the same port again. */
  async start(): Promise<void> {
    const certificate = await issueServerCertificate(this.ca, [{ type: 'ip', value: this.#address }]);
    if (!certificate.ok) throw new Error(certificate.error);
    this.#server = createSecureServer({
      cert: certificate.value.chainPem,
      key: certificate.value.privateKey.reveal(),
      ca: this.ca.signer.authority.rootPem,
      requestCert: true,
      rejectUnauthorized: false,
    });
    this.#server.on('session', (session) => this.#sessions.add(session));
    this.#server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.on('error', () => {});
      if (headers[':path'] === createCertificatePath) this.#serveCertificate(stream, headers);
      else this.#serveConfiguration(stream);
    });
    this.#server.listen(this.#port, this.#address);
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.ca[Symbol.dispose]();
    for (const session of this.#sessions) session.destroy();
    this.#sessions.clear();
    this.#server?.close();
    if (this.#server !== undefined) await once(this.#server, 'close');
  }

  #serveCertificate(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const reader = new GrpcFrameReader(65_536);
    stream.on('data', (chunk: Buffer) => {
      for (const message of reader.push(chunk)) void this.#answerCertificate(stream, headers, message);
    });
  }

  async #answerCertificate(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    message: Uint8Array,
  ): Promise<void> {
    const socket = stream.session?.socket;
    const certificate =
      socket instanceof TLSSocket && socket.authorized ? socket.getPeerCertificate().raw : undefined;
    const answer = await this.ca.service.createCertificate(message, {
      authorization: headers.authorization,
      certificate,
    });
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => {
      const status = answer.ok ? { code: 0, message: '' } : answer.error;
      stream.sendTrailers({
        'grpc-status': String(status.code),
        'grpc-message': encodeGrpcMessage(status.message),
      });
    });
    if (answer.ok) stream.write(grpcFrame(answer.value));
    stream.end();
  }

  #serveConfiguration(stream: ServerHttp2Stream): void {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    const reader = new GrpcFrameReader(4 * 1024 * 1024);
    let nonce = 0;
    stream.on('data', (chunk: Buffer) => {
      for (const message of reader.push(chunk)) {
        const request = fromBinary(DeltaDiscoveryRequestSchema, message);
        this.requests.push(request);
        if (request.responseNonce !== '') continue;
        nonce++;
        const resources = (this.#resources.get(request.typeUrl) ?? []).map(({ name, body }) => ({
          name,
          version: '1',
          resource: create(AnySchema, { typeUrl: request.typeUrl, value: body }),
        }));
        const response = create(DeltaDiscoveryResponseSchema, {
          typeUrl: request.typeUrl,
          nonce: String(nonce),
          resources,
        });
        stream.write(grpcFrame(toBinary(DeltaDiscoveryResponseSchema, response)));
      }
    });
  }
}

/** Opens a CA in a folder. */
export async function openTestAuthority(folder: string): Promise<LocalAuthority> {
  const ca = await openCertificateAuthority({
    folder,
    trustDomain: 'cluster.local',
    trustDomainAliases: [],
    signer: defaultSignerOptions,
    tokenVerifiers: [],
    clock: systemClock(),
    log: silentLogger(),
  });
  if (!ca.ok) throw new Error(ca.error);
  return ca.value;
}

/** A TCP listener that wants mesh mTLS, as generated configuration has it: secrets over SDS. */
export function mutualTlsListener(address: string, port: number): JsonValue {
  const sds = {
    api_config_source: {
      api_type: 'GRPC',
      transport_api_version: 'V3',
      grpc_services: [{ envoy_grpc: { cluster_name: 'sds-grpc' } }],
      set_node_on_first_message_only: true,
    },
    initial_fetch_timeout: '0s',
    resource_api_version: 'V3',
  };
  return {
    name: 'inbound',
    address: { socket_address: { address, port_value: port } },
    filter_chains: [
      {
        transport_socket: {
          name: 'envoy.transport_sockets.tls',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
            require_client_certificate: true,
            common_tls_context: {
              tls_certificate_sds_secret_configs: [{ name: 'default', sds_config: sds }],
              combined_validation_context: {
                default_validation_context: {},
                validation_context_sds_secret_config: { name: 'ROOTCA', sds_config: sds },
              },
            },
          },
        },
        filters: [
          {
            name: 'tcp',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
              stat_prefix: 'inbound',
              cluster: 'app',
            },
          },
        ],
      },
    ],
  };
}

/** The cluster behind it. */
export function staticCluster(name: string, address: string, port: number): JsonValue {
  const endpoint = { address: { socket_address: { address, port_value: port } } };
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint }] }] },
  };
}

/** A running agent in a folder of its own. */
export class TestAgent {
  readonly folder: string;
  readonly process: ChildProcess;
  readonly #logPath: string;

  constructor(
    folder: string,
    environment: Readonly<Record<string, string>>,
    kind: 'sidecar' | 'router' = 'sidecar',
  ) {
    this.folder = folder;
    this.#logPath = join(folder, 'agent.log');
    const log = openSync(this.#logPath, 'a');
    this.process = spawn(
      join(projectRoot, 'bin', 'pilot-agent'),
      ['proxy', kind, '--log_output_level=debug'],
      {
        cwd: folder,
        env: { PATH: process.env['PATH'] ?? '', ...environment },
        stdio: ['ignore', log, log],
      },
    );
    closeSync(log);
  }

  get log(): string {
    return existsSync(this.#logPath) ? readFileSync(this.#logPath, 'utf8') : '';
  }

  /** Id of the Envoy that the agent runs; undefined between two. */
  get envoyPid(): number | undefined {
    return childrenOf(this.process.pid ?? -1)[0];
  }

  /** Sends SIGTERM and gives the exit code. */
  async stop(): Promise<number | null> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const exited = once(this.process, 'exit');
      this.process.kill('SIGTERM');
      await exited;
    }
    return this.process.exitCode;
  }
}

/** Ids of the processes that a process started and that still run. */
export function childrenOf(pid: number): readonly number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text
      .split(' ')
      .filter((part) => part !== '')
      .map(Number);
  } catch {
    return [];
  }
}

/** True while a process runs; one that has ended and that nobody collected does not. */
export function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** A line of /proc/PID/status in MB. */
export function memoryMb(pid: number, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(match?.[1] ?? 0) / 102.4) / 10;
}

/** Bundles the agent if need be, so that no test counts the time for it. */
export function prepareBundle(): void {
  execFileSync(join(projectRoot, 'bin', 'pilot-agent'), ['version']);
}

/** A folder for one test, removed by whoever made it. */
export function makeFolder(): string {
  return mkdtempSync(join(tmpdir(), 'agent-'));
}

/** Writes a file that only the owner may read. */
export function writePrivate(path: string, content: string): void {
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
  writeFileSync(path, content, { mode: 0o600 });
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
