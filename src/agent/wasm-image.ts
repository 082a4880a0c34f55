/**
 * A module out of a container registry. Images come in three forms: Docker's and OCI's, whose last layer is a tar.gz with
 * `plugin.wasm` in it, and an artifact whose layer is the module itself. Every document and layer is held against its digest.
 * The manifest comes first, so that a module that is there already is not pulled again.
 * Source: distribution specification; istio pkg/wasm/imagefetcher.go.
 */
import { createHash } from 'node:crypto';
import type { Secret } from '#base/secret.ts';
import { credentialFor } from './docker-config.ts';
import { CallError, type GuardedAnswer } from './guarded-http.ts';
import type { ImageReference } from './image-reference.ts';
import { digestHex } from './image-reference.ts';
import type { JsonValue } from './json-value.ts';
import { isObject } from './proxy-config.ts';
import { answerChallenge, type RegistryOrigin } from './registry-auth.ts';
import { moduleOfLayer } from './wasm-archive.ts';
import type { Downloader } from './wasm-download.ts';
import { WasmFetchError } from './wasm-error.ts';

/** An image whose manifest is known. */
export interface PreparedImage {
  /** Of the manifest, hex. */
  readonly digest: string;
  /** Pulls the module. Errors: WasmFetchError, CallError. */
  readonly fetchModule: () => Promise<Buffer>;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly platform: string;
}

const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip';
const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const MODULE_LAYER = 'application/vnd.module.wasm.content.layer.v1+wasm';
const INDEXES: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]);
const ACCEPT = [DOCKER_MANIFEST, 'application/vnd.oci.image.manifest.v1+json', ...INDEXES].join(', ');
/** Of several platforms; a module runs on any. */
const PLATFORM = 'linux/amd64';
const MAX_MANIFEST_BYTES = 4 << 20;
const MAX_LAYERS = 1_000;
const DIGEST = /^sha256:([a-f0-9]{64})$/;
/** What TLS makes of a server that answers in plain text. */
const NOT_TLS: ReadonlySet<string> = new Set([
  'EPROTO',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
]);

/** Reads the manifest of an image, over https, or over plain HTTP where that is all the registry speaks. Errors: WasmFetchError, CallError. */
export async function prepareImage(
  downloader: Downloader,
  image: ImageReference,
  pullSecret: Secret | undefined,
): Promise<PreparedImage> {
  try {
    return await prepareOver(registryOver('https', downloader, image, pullSecret), image);
  } catch (error) {
    if (!(error instanceof CallError) || !NOT_TLS.has(error.code)) throw error;
  }
  if (pullSecret !== undefined && !downloader.isInsecure(image.registry)) {
    const cure = 'list it in WASM_INSECURE_REGISTRIES';
    throw manifestError(
      `${image.registry} speaks plain HTTP and would get the pull secret unprotected; ${cure}`,
    );
  }
  return prepareOver(registryOver('http', downloader, image, pullSecret), image);
}

async function prepareOver(registry: Registry, image: ImageReference): Promise<PreparedImage> {
  let { reference } = image;
  for (let depth = 0; depth < 2; depth++) {
    const { body, mediaType } = await registry.manifest(reference);
    const manifest = parseManifest(body);
    const type = mediaTypeOf(manifest, mediaType);
    if (!INDEXES.has(type))
      return { digest: sha256(body), fetchModule: () => pullModule(registry, type, manifest) };
    reference = platformOf(descriptors(manifest, 'manifests'));
  }
  throw manifestError('an index of images within an index');
}

interface Registry {
  readonly downloader: Downloader;
  manifest(reference: string): Promise<{ readonly body: Buffer; readonly mediaType: string }>;
  blob(digest: string): Promise<Buffer>;
}

function registryOver(
  scheme: RegistryOrigin['scheme'],
  downloader: Downloader,
  { registry, repository }: ImageReference,
  pullSecret: Secret | undefined,
): Registry {
  const root = `${scheme}://${registry}/v2/${repository}`;
  let authorization: Secret | undefined;
  const ask = async (path: string, maxBytes: number): Promise<GuardedAnswer> => {
    const request = { url: `${root}/${path}`, headers: { accept: ACCEPT }, maxBytes };
    const first = await downloader.get({ ...request, authorization });
    const challenge = challengeOf(first);
    if (first.status !== 401 || challenge === '' || authorization !== undefined) return first;
    const credential = pullSecret === undefined ? undefined : credentialFor(pullSecret, registry);
    if (credential?.ok === false) throw manifestError(credential.error);
    const question = { credential: credential?.value, repository };
    authorization = await answerChallenge(downloader, { scheme, host: registry }, challenge, question);
    return authorization === undefined ? first : downloader.get({ ...request, authorization });
  };
  return {
    downloader,
    async manifest(reference) {
      const { status, headers, body } = await ask(`manifests/${reference}`, MAX_MANIFEST_BYTES);
      if (status !== 200) throw manifestError(`the registry answered with status ${status}`);
      const wanted = digestHex({ registry, repository, reference });
      if (wanted !== '' && sha256(body) !== wanted)
        throw manifestError('the manifest is not what its digest says');
      return { body, mediaType: String(headers['content-type'] ?? '').replace(/;.*$/, '') };
    },
    async blob(digest) {
      const hex = DIGEST.exec(digest)?.[1];
      if (hex === undefined) throw manifestError('a layer without a sha256 digest');
      const { status, body } = await ask(`blobs/${digest}`, downloader.limits.maxBytes);
      if (status !== 200) throw new WasmFetchError(`the registry answered with status ${status} for a layer`);
      if (sha256(body) !== hex) throw new WasmFetchError('a layer is not what its digest says');
      return body;
    },
  };
}

/** The challenge that we can answer: a registry may offer several. */
function challengeOf({ headers }: GuardedAnswer): string {
  return String(headers['www-authenticate'] ?? '');
}

async function pullModule(registry: Registry, mediaType: string, manifest: JsonValue): Promise<Buffer> {
  const layers = descriptors(manifest, 'layers');
  const last = layers.at(-1);
  const module = layers.find((layer) => layer.mediaType === MODULE_LAYER);
  const archive = mediaType === DOCKER_MANIFEST ? DOCKER_LAYER : OCI_LAYER;
  if (last?.mediaType === archive)
    return moduleOfLayer(await registry.blob(last.digest), registry.downloader.limits.maxBytes);
  if (module !== undefined) return registry.blob(module.digest);
  throw new WasmFetchError('the image has no layer with a module', 'fetch_failure');
}

function parseManifest(body: Buffer): JsonValue {
  try {
    return JSON.parse(body.toString('utf8')) as JsonValue;
  } catch {
    throw manifestError('the manifest is not JSON');
  }
}

function mediaTypeOf(manifest: JsonValue, header: string): string {
  const own = isObject(manifest) ? manifest['mediaType'] : undefined;
  return typeof own === 'string' ? own : header;
}

function descriptors(manifest: JsonValue, field: 'layers' | 'manifests'): readonly Descriptor[] {
  const list = isObject(manifest) ? manifest[field] : undefined;
  if (!Array.isArray(list) || list.length > MAX_LAYERS) throw manifestError(`the manifest has no ${field}`);
  return list.filter(isObject).map((entry) => {
    const platform = isObject(entry['platform']) ? entry['platform'] : {};
    return {
      mediaType: String(entry['mediaType'] ?? ''),
      digest: String(entry['digest'] ?? ''),
      platform: `${String(platform['os'] ?? '')}/${String(platform['architecture'] ?? '')}`,
    };
  });
}

function platformOf(images: readonly Descriptor[]): string {
  const chosen = images.find(({ platform }) => platform === PLATFORM) ?? images[0];
  if (chosen === undefined || !DIGEST.test(chosen.digest)) throw manifestError('the index names no image');
  return chosen.digest;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function manifestError(text: string): WasmFetchError {
  return new WasmFetchError(text, 'manifest_failure');
}
