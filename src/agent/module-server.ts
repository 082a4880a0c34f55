/**
 * For tests: a web server and container registry on loopback that serves what it is told, with token authentication where a
 * password is set, and keeps a list of what it was asked.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';

const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** How an image holds its module. */
export type ImageForm = 'docker' | 'oci' | 'artifact';

/** One answer of the web server. */
export interface ServedFile {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

export class ModuleServer implements AsyncDisposable {
  /** Method and path of each request, with the user or token that it showed. */
  readonly seen: string[] = [];
  /** By path. A function is asked anew each time. */
  readonly files = new Map<string, ServedFile | (() => ServedFile)>();
  /** `user:password`; '' lets everybody in. */
  password = '';
  /** Where tokens are to be had; '' for this server. */
  realm = '';
  readonly #blobs = new Map<string, Buffer>();
  readonly #manifests = new Map<string, { readonly body: Buffer; readonly type: string }>();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(address: string): Promise<ModuleServer> {
    const server = new ModuleServer();
    server.#server.listen(0, address);
    await once(server.#server, 'listening');
    return server;
  }

  /** Host and port. */
  get host(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `${address}:${port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** Puts an image under `repository:tag` and gives the digest of its manifest, hex. */
  pushImage(repository: string, tag: string, module: Buffer, form: ImageForm = 'oci'): string {
    const layer = form === 'artifact' ? module : gzipSync(tarOf('./plugin.wasm', module));
    const config = Buffer.from('{}');
    const layerType = {
      docker: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
      oci: 'application/vnd.oci.image.layer.v1.tar+gzip',
      artifact: 'application/vnd.module.wasm.content.layer.v1+wasm',
    }[form];
    const type = form === 'docker' ? DOCKER_MANIFEST : OCI_MANIFEST;
    const layers = [{ mediaType: layerType, digest: this.#blob(layer), size: layer.length }];
    if (form === 'artifact')
      layers.push({
        mediaType: 'application/vnd.module.wasm.config.v1+json',
        digest: this.#blob(config),
        size: 2,
      });
    const manifest = { schemaVersion: 2, ...(form === 'docker' ? { mediaType: type } : {}), layers };
    return this.pushManifest(repository, tag, manifest, type);
  }

  /** Puts any manifest there. */
  pushManifest(repository: string, tag: string, manifest: object, type: string): string {
    const body = Buffer.from(JSON.stringify(manifest));
    const digest = sha256(body);
    for (const reference of [tag, `sha256:${digest}`])
      this.#manifests.set(`/v2/${repository}/manifests/${reference}`, { body, type });
    return digest;
  }

  /** Changes what lies under the digests of all layers. */
  corruptLayers(): void {
    for (const [path, blob] of this.#blobs) this.#blobs.set(path, Buffer.concat([blob, Buffer.from('!')]));
  }

  #blob(content: Buffer): string {
    const digest = `sha256:${sha256(content)}`;
    this.#blobs.set(digest, content);
    return digest;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? '';
    const { authorization = '' } = request.headers;
    this.seen.push(`${path}${authorization === '' ? '' : ` ${shown(authorization)}`}`);
    const file = this.files.get(path);
    if (file !== undefined) return send(response, typeof file === 'function' ? file() : file);
    if (path.startsWith('/token?')) return this.#giveToken(authorization, response);
    if (this.password !== '' && authorization !== 'Bearer the-token') {
      const realm = this.realm === '' ? `http://${this.host}/token` : this.realm;
      const challenge = `Bearer realm="${realm}",service="test",scope="repository:x:pull"`;
      return send(response, { status: 401, headers: { 'www-authenticate': challenge } });
    }
    const manifest = this.#manifests.get(path);
    const blob = this.#blobs.get(path.split('/').at(-1) ?? '');
    if (manifest !== undefined)
      send(response, { headers: { 'content-type': manifest.type }, body: manifest.body });
    else send(response, blob === undefined ? { status: 404 } : { body: blob });
  }

  #giveToken(authorization: string, response: ServerResponse): void {
    const isKnown = authorization === `Basic ${Buffer.from(this.password).toString('base64')}`;
    send(response, isKnown ? { body: Buffer.from('{"token":"the-token"}') } : { status: 401 });
  }
}

function send(response: ServerResponse, { status = 200, headers = {}, body }: ServedFile): void {
  response.writeHead(status, headers);
  response.end(body);
}

function shown(authorization: string): string {
  const [kind, value = ''] = authorization.split(' ');
  return kind === 'Basic' ? Buffer.from(value, 'base64').toString() : value;
}

/** A tar archive with one file. */
export function tarOf(path: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(path, 0);
  header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('0', 156);
  header.write('ustar\0', 257);
  const padding = Buffer.alloc(((512 - (content.length % 512)) % 512) + 1_024);
  return Buffer.concat([header, content, padding]);
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
