/**
 * Gets a module from where its URL says: first what it is (its digest), then the module itself, so that one that is there already
 * is not fetched again. Loaded with the first module that is elsewhere: most agents never need any of this.
 */
import { createHash } from 'node:crypto';
import type { Secret } from '#base/secret.ts';
import { OCI_SCHEME, parseImageReference } from './image-reference.ts';
import { isModule } from './wasm-archive.ts';
import type { ModuleRequest } from './wasm-cache.ts';
import { type DownloadParts, Downloader, downloadModule } from './wasm-download.ts';
import { WasmFetchError } from './wasm-error.ts';
import { prepareImage } from './wasm-image.ts';

/** A module whose digest is known. */
export interface PreparedModule {
  /** Of the module, or of an image's manifest, hex. */
  readonly digest: string;
  /** Errors: WasmFetchError, CallError. */
  readonly load: () => Promise<Buffer>;
}

/** Finds a module. Errors: WasmFetchError, CallError. */
export async function prepareModule(
  request: ModuleRequest,
  pullSecret: Secret | undefined,
  parts: DownloadParts,
): Promise<PreparedModule> {
  const downloader = new Downloader(parts, request.timeoutMs);
  if (!request.url.startsWith(OCI_SCHEME)) {
    const module = await downloadModule(downloader, request.url);
    const digest = createHash('sha256').update(module).digest('hex');
    return { digest, load: async () => checked(module) };
  }
  const image = parseImageReference(request.url.slice(OCI_SCHEME.length));
  if (!image.ok) throw new WasmFetchError(image.error, 'manifest_failure');
  const { digest, fetchModule } = await prepareImage(downloader, image.value, pullSecret);
  return { digest, load: async () => checked(await fetchModule()) };
}

function checked(module: Buffer): Buffer {
  if (isModule(module)) return module;
  throw new WasmFetchError('what came is no valid WebAssembly module', 'fetch_failure');
}
