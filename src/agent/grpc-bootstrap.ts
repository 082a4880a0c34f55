/**
 * For gRPC libraries that are their own proxy: the bootstrap file that GRPC_XDS_BOOTSTRAP names, which leads them to the
 * agent's xDS socket, and the workload's certificate as files, which they watch. Source: Istio
 * pkg/istio-agent/grpcxds/grpc_bootstrap.go; gRFC A27 (bootstrap), A29 (certificate providers).
 */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Logger } from '#base/logger.ts';
import type { SecretSource } from './sds-server.ts';
import type { ProxyNode } from './proxy-node.ts';
import type { WorkloadSecrets } from './workload-certificate.ts';

/** What the agent does for such libraries. */
export interface GrpcSettings {
  readonly bootstrapPath: string;
  /** Where the certificate's files are kept; undefined: nowhere, and there is no mTLS for libraries. */
  readonly certificateFolder: string | undefined;
  /** The files outlive the agent: they are what it shows to the CA next time (PROV_CERT). */
  readonly isKept: boolean;
}

/** Under these names the files are looked for. */
const FILES = { key: 'key.pem', chain: 'cert-chain.pem', roots: 'root-cert.pem' };
/** How often a library looks at the files. */
const REFRESH_INTERVAL = '900s';

/** The bootstrap. Paths are made absolute: libraries run elsewhere. */
export function buildGrpcBootstrap(node: ProxyNode, xdsSocketPath: string, settings: GrpcSettings): object {
  const { certificateFolder } = settings;
  // Some libraries refuse a node without a locality.
  const { id, metadata, locality = { region: '', zone: '', sub_zone: '' } } = node;
  return {
    xds_servers: [
      {
        server_uri: `unix://${resolve(xdsSocketPath)}`,
        channel_creds: [{ type: 'insecure' }],
        server_features: ['xds_v3'],
      },
    ],
    node: {
      id,
      metadata: { ...metadata, GENERATOR: 'grpc' },
      locality,
    },
    ...(certificateFolder === undefined
      ? {}
      : { certificate_providers: { default: certificateProvider(resolve(certificateFolder)) } }),
    server_listener_resource_name_template: 'xds.istio.io/grpc/lds/inbound/%s',
  };
}

function certificateProvider(folder: string): object {
  return {
    plugin_name: 'file_watcher',
    config: {
      certificate_file: join(folder, FILES.chain),
      private_key_file: join(folder, FILES.key),
      ca_certificate_file: join(folder, FILES.roots),
      refresh_interval: REFRESH_INTERVAL,
    },
  };
}

/** Writes the bootstrap. It holds no secret, and whoever runs the application must read it. */
export async function writeGrpcBootstrap(path: string, bootstrap: object): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await replaceFile(path, JSON.stringify(bootstrap, null, 2), 0o644);
}

/** Keeps the certificate's files as new as the certificate. */
export class CertificateFiles {
  readonly #folder: string;
  readonly #source: SecretSource;
  readonly #log: Logger;
  readonly #watch: Disposable;
  #isThere = false;
  /** Writes go one after another, so that the newest is last. */
  #writing: Promise<void> = Promise.resolve();

  constructor(folder: string, source: SecretSource, log: Logger) {
    this.#folder = folder;
    this.#source = source;
    this.#log = log;
    this.#watch = source.watch(() => this.#refresh());
    this.#refresh();
  }

  /** True once the files have been written. */
  get isThere(): boolean {
    return this.#isThere;
  }

  /** Resolves when what has been told so far is written, or could not be. */
  get written(): Promise<void> {
    return this.#writing;
  }

  /** Ends it, and removes the files or leaves them to the next agent. */
  async end(isKept: boolean): Promise<void> {
    this.#watch[Symbol.dispose]();
    await this.#writing;
    if (isKept) return;
    for (const name of Object.values(FILES)) await rm(join(this.#folder, name), { force: true });
  }

  #refresh(): void {
    const { current } = this.#source;
    if (current === undefined) return;
    this.#writing = this.#writing.then(() => this.#write(current));
  }

  async #write({ privateKey, chainPem, rootsPem }: WorkloadSecrets): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await replaceFile(join(this.#folder, FILES.key), privateKey.reveal(), 0o600);
      await replaceFile(join(this.#folder, FILES.chain), chainPem, 0o600);
      await replaceFile(join(this.#folder, FILES.roots), rootsPem, 0o600);
      this.#isThere = true;
    } catch (error) {
      this.#log.warn('the certificate could not be written', { folder: this.#folder, error });
    }
  }
}

/** A reader sees the old content or the new. */
async function replaceFile(path: string, content: string, mode: number): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, content, { mode });
  await rename(temporary, path);
}
