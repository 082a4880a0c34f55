/** pilot-discovery as a program of its own on a cluster, and a client of its secure port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, constants } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { GrpcFrameReader, grpcFrame } from '#base/grpc-frame.ts';
import { WireWriter } from '#base/proto-wire.ts';
import { type Certificate, parseCertificates } from '#identity/certificate.ts';
import {
  createCertificatePath,
  decodeCertificateReply,
  encodeCertificateCall,
} from '#identity/certificate-message.ts';
import { makeCsr } from '#identity/csr.ts';
import { generateKeyPair } from '#identity/key-pair.ts';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { TYPE_CLUSTER } from '#xds/resource.ts';
import { freePort } from '../envoy/static-envoy.ts';

const program = join(import.meta.dirname, '../../src/main/pilot-discovery.ts');
const HOST = '127.0.0.1';
const LIMIT_MS = 30_000;
const ADS = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';

/** Looks again and again until the answer is as wanted. Errors: rejects after the limit with the last answer. */
export async function until<T>(
  what: string,
  look: () => Promise<T> | T,
  wanted: (value: T) => boolean,
): Promise<T> {
  const endMs = performance.now() + LIMIT_MS;
  for (;;) {
    const value = await look();
    if (wanted(value)) return value;
    if (performance.now() > endMs) throw new Error(`${what}: still ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What the CA answered: a chain, or a gRPC status. */
export interface CaAnswer {
  readonly chain: readonly Certificate[];
  /** PEM of all roots, as they came. */
  readonly rootsPem: string;
  readonly status: string;
}

/** One control plane. */
export class DiscoveryRig implements AsyncDisposable {
  readonly name: string;
  readonly httpPort: number;
  readonly securePort: number;
  readonly webhookPort: number;
  readonly #child: ChildProcess;
  readonly #state: string;

  private constructor(
    name: string,
    ports: readonly [number, number, number],
    child: ChildProcess,
    state: string,
  ) {
    this.name = name;
    [this.httpPort, this.securePort, this.webhookPort] = ports;
    this.#child = child;
    this.#state = state;
  }

  /** Starts one and waits until it is ready. `environment` is added to what every one of them has. */
  static async start(
    name: string,
    kubeconfig: string,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<DiscoveryRig> {
    const state = mkdtempSync(join(tmpdir(), 'lateen-discovery-'));
    const ports = [await freePort(HOST), await freePort(HOST), await freePort(HOST)] as const;
    const flags = [
      `--kubeconfig=${kubeconfig}`,
      '--meshConfig=',
      `--httpAddr=${HOST}:${ports[0]}`,
      `--secureGRPCAddr=${HOST}:${ports[1]}`,
      `--httpsAddr=${HOST}:${ports[2]}`,
      '--grpcAddr=',
      '--monitoringAddr=',
    ];
    const child = spawn(process.execPath, [program, 'discovery', ...flags], {
      stdio: ['ignore', process.env['CLUSTER_TEST_LOG'] === undefined ? 'ignore' : 'inherit', 'inherit'],
      env: { PATH: process.env['PATH'], LATEEN_STATE_DIR: state, POD_NAME: name, ...environment },
    });
    const rig = new DiscoveryRig(name, ports, child, state);
    await until('ready', () => rig.#isReady(), Boolean);
    return rig;
  }

  async metric(name: string): Promise<number> {
    const text = await (await fetch(`http://${HOST}:${this.httpPort}/metrics`)).text();
    const line = text.split('\n').find((one) => one.startsWith(`${name} `) || one.startsWith(`${name}{`));
    return Number(line?.split(' ').at(-1) ?? Number.NaN);
  }

  /** Asks for a certificate for `identity` with a token; with `impersonates` as a node proxy does. */
  async createCertificate(
    token: string,
    identity: string,
    impersonates = false,
    certSigner = '',
  ): Promise<CaAnswer> {
    const csr = makeCsr(await generateKeyPair(), identity);
    const own = encodeCertificateCall(csr, 0, certSigner);
    const call = impersonates ? onBehalfOf(own, identity) : own;
    const { message, status } = await this.#call(createCertificatePath, token, call);
    const reply = message === undefined ? undefined : decodeCertificateReply(message);
    const chain = reply?.ok === true ? reply.value : [];
    const parsed = parseCertificates(chain.slice(0, -1).join(''));
    return { chain: parsed.ok ? parsed.value : [], rootsPem: chain.at(-1) ?? '', status };
  }

  /** Asks for clusters as a proxy: how many there are, or the status with which the stream was ended. */
  async clustersOf(token: string, nodeId: string): Promise<number | string> {
    const request = create(DeltaDiscoveryRequestSchema, {
      node: { id: nodeId, cluster: 'x' },
      typeUrl: TYPE_CLUSTER,
    });
    const bytes = toBinary(DeltaDiscoveryRequestSchema, request);
    const { message, status } = await this.#call(ADS, token, bytes);
    return message === undefined
      ? status
      : fromBinary(DeltaDiscoveryResponseSchema, message).resources.length;
  }

  /** Sends one message; gives the first of the answer, or the status without one. */
  async #call(
    path: string,
    token: string,
    request: Uint8Array,
  ): Promise<{ readonly message: Uint8Array | undefined; readonly status: string }> {
    const session = connect(`https://${HOST}:${this.securePort}`, { rejectUnauthorized: false });
    session.on('error', () => {});
    try {
      const stream = session.request({
        [constants.HTTP2_HEADER_METHOD]: 'POST',
        [constants.HTTP2_HEADER_PATH]: path,
        'content-type': 'application/grpc',
        te: 'trailers',
        authorization: `Bearer ${token}`,
      });
      stream.setTimeout(LIMIT_MS, () => stream.destroy(new Error('no answer')));
      let status = '';
      const take = (headers: Readonly<Record<string, unknown>>): void => {
        if (headers['grpc-status'] !== undefined) status = String(headers['grpc-status']);
      };
      stream.on('response', take);
      stream.on('trailers', take);
      stream.write(grpcFrame(request));
      if (path === createCertificatePath) stream.end();
      const reader = new GrpcFrameReader(1024 * 1024);
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        const [message] = reader.push(chunk);
        if (message === undefined) continue;
        return { message, status: '0' };
      }
      return { message: undefined, status };
    } finally {
      session.destroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGTERM');
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill(signal);
      const limit = setTimeout(() => this.#child.kill('SIGKILL'), 5_000);
      await once(this.#child, 'exit');
      clearTimeout(limit);
    }
    rmSync(this.#state, { recursive: true, force: true });
  }

  async #isReady(): Promise<boolean> {
    if (this.#child.exitCode !== null) throw new Error(`${this.name} ended with ${this.#child.exitCode}`);
    return fetch(`http://${HOST}:${this.httpPort}/ready`).then(
      (answer) => answer.ok,
      () => false,
    );
  }
}

/** The call with ImpersonatedIdentity in its metadata. */
function onBehalfOf(call: Uint8Array, identity: string): Uint8Array {
  const value = new WireWriter().string(3, identity).finish();
  const entry = new WireWriter().string(1, 'ImpersonatedIdentity').bytes(2, value).finish();
  return new WireWriter().raw(call).bytes(4, new WireWriter().bytes(1, entry).finish()).finish();
}
