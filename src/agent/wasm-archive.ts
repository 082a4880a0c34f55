/**
 * A module out of what it was wrapped in: gzip, tar, or both. Whatever comes out is no larger than the limit, so that a small
 * archive cannot become a large module (security: decompression bombs); unpacking runs off the event loop.
 * Source: istio pkg/wasm/httpfetcher.go unboxIfPossible, imagefetcher.go; POSIX ustar.
 */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { WasmFetchError } from './wasm-error.ts';

const unzip = promisify(gunzip);

const WASM_MAGIC = Buffer.from([0x00, 0x61, 0x73, 0x6d]);
const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);
const BLOCK_BYTES = 512;
const TAR_MAGIC_AT = 257;
const TAR_MAGIC = Buffer.from('ustar');
/** Layers of wrapping that anybody has a reason for. */
const MAX_LAYERS = 4;
/** Headers of files, and of what tar says about them, before the one that is looked for. */
const MAX_TAR_ENTRIES = 10_000;

/** What we need of it; the compiler's libraries for servers do not have it. */
declare const WebAssembly: { validate(bytes: Uint8Array): boolean };

/** The name of the module in images of the `compat` form. */
export const MODULE_FILE = 'plugin.wasm';

/** A module as such, in gzip, or as the first file of a tar archive. Errors: WasmFetchError. */
export async function unwrapModule(bytes: Buffer, maxBytes: number): Promise<Buffer> {
  let inner = bytes;
  for (let layer = 0; layer < MAX_LAYERS; layer++) {
    if (startsWith(inner, WASM_MAGIC)) return inner;
    if (startsWith(inner, GZIP_MAGIC)) inner = await gunzipped(inner, maxBytes);
    else if (isTar(inner)) inner = tarFile(inner, () => true);
    else break;
  }
  throw new WasmFetchError('what came is no WebAssembly module', 'fetch_failure');
}

/** The file `plugin.wasm`, in whatever folder, of a tar archive in gzip: an image layer. Errors: WasmFetchError. */
export async function moduleOfLayer(layer: Buffer, maxBytes: number): Promise<Buffer> {
  if (!startsWith(layer, GZIP_MAGIC))
    throw new WasmFetchError('the image layer is not gzip', 'fetch_failure');
  const archive = await gunzipped(layer, maxBytes);
  return tarFile(archive, (path) => path.split('/').at(-1) === MODULE_FILE);
}

/**
 * Whether V8 takes the module, without running any of it: what Envoy would refuse gets its failure policy here. Envoy's own
 * V8 has the last word.
 */
export function isModule(bytes: Buffer): boolean {
  return startsWith(bytes, WASM_MAGIC) && WebAssembly.validate(bytes);
}

function startsWith(bytes: Buffer, magic: Buffer): boolean {
  return bytes.subarray(0, magic.length).equals(magic);
}

async function gunzipped(bytes: Buffer, maxBytes: number): Promise<Buffer> {
  try {
    return await unzip(bytes, { maxOutputLength: maxBytes });
  } catch (error) {
    const isLarge = error instanceof RangeError;
    const problem = isLarge ? `has more than ${maxBytes} bytes when unpacked` : 'is broken';
    throw new WasmFetchError(`the gzip data ${problem}`, 'fetch_failure');
  }
}

function isTar(bytes: Buffer): boolean {
  return bytes.subarray(TAR_MAGIC_AT, TAR_MAGIC_AT + TAR_MAGIC.length).equals(TAR_MAGIC);
}

/** The first regular file that is wanted. A view on the archive, not a copy. */
function tarFile(archive: Buffer, isWanted: (path: string) => boolean): Buffer {
  let at = 0;
  for (let count = 0; count < MAX_TAR_ENTRIES && at + BLOCK_BYTES <= archive.length; count++) {
    const header = archive.subarray(at, at + BLOCK_BYTES);
    if (header[0] === 0) break;
    const sizeBytes = Number.parseInt(textOf(header, 124, 12), 8);
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) break;
    const type = textOf(header, 156, 1);
    const path = [textOf(header, 345, 155), textOf(header, 0, 100)].filter((part) => part !== '').join('/');
    const start = at + BLOCK_BYTES;
    if ((type === '0' || type === '') && isWanted(path)) {
      if (start + sizeBytes > archive.length) break;
      return archive.subarray(start, start + sizeBytes);
    }
    at = start + Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
  }
  throw new WasmFetchError('there is no module in the archive', 'fetch_failure');
}

/** A field of a header, up to its first zero byte. */
function textOf(header: Buffer, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString('latin1', 0, end < 0 ? length : end).trim();
}
