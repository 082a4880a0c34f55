// Fetches the Go module istio.io/api at its pinned version and compiles its .proto files.
// Needs Go (download only, through the configured module proxy) and the `buf` compiler of node_modules.
// Offline once the module is in Go's cache. File names get the prefix `istio/`, so that they cannot
// collide with Envoy's; full type names stay as they are.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { clone, fromBinary } from '@bufbuild/protobuf';
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { ISTIO_ROOTS } from './roots.ts';

/** What Istio's files import beside each other and the well-known types, which buf brings along. */
const SHARED_FILES: readonly string[] = ['google/api/field_behavior.proto'];

export interface GoModulePin {
  readonly module: string;
  readonly version: string;
  /** The module's hash in go.sum form, `h1:…`. */
  readonly sum: string;
}

/** Returns the folder of the pinned module in Go's cache; throws when its hash is not the pinned one. */
export function fetchGoModule(pin: GoModulePin): string {
  const wanted = `${pin.module}@${pin.version}`;
  const answer = execFileSync('go', ['mod', 'download', '-json', wanted], {
    cwd: tmpdir(),
    encoding: 'utf8',
    timeout: 300_000,
  });
  const { Dir: dir, Sum: sum } = JSON.parse(answer) as { readonly Dir: string; readonly Sum: string };
  if (sum !== pin.sum) throw new Error(`${wanted} has hash ${sum}, but proto.lock.json pins ${pin.sum}`);
  return dir;
}

/** Compiles the wanted folders of istio.io/api and everything they import. */
export function compileIstioProtos(moduleDir: string, buf: string): Map<string, FileDescriptorProto> {
  const work = mkdtempSync(join(tmpdir(), 'gen-proto-istio-'));
  try {
    const source = join(work, 'source');
    copyProtos(moduleDir, source);
    const output = join(work, 'descriptors.binpb');
    execFileSync(buf, ['build', source, '--as-file-descriptor-set', '--exclude-source-info', '-o', output], {
      env: { PATH: process.env['PATH'] ?? '', HOME: work, BUF_CACHE_DIR: join(work, 'cache') },
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: 120_000,
    });
    const compiled = fromBinary(FileDescriptorSetSchema, readFileSync(output)).file;
    const own = new Set(compiled.map((file) => file.name).filter(isIstioFile));
    return new Map(compiled.map((file) => withPrefix(file, own)).map((file) => [file.name, file]));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Go's cache is read-only and holds much else: buf gets the .proto files only. */
function copyProtos(moduleDir: string, target: string): void {
  const ownFiles = ISTIO_ROOTS.flatMap((root) => listProtos(moduleDir, root).map((name) => [name, name]));
  const shared = SHARED_FILES.map((name) => [`common-protos/${name}`, name]);
  for (const [from, to] of [...ownFiles, ...shared] as [string, string][]) {
    mkdirSync(dirname(join(target, to)), { recursive: true });
    writeFileSync(join(target, to), readFileSync(join(moduleDir, from)));
  }
}

function listProtos(moduleDir: string, root: string): readonly string[] {
  const names = readdirSync(join(moduleDir, root), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.proto')).map((name) => root + name);
}

function isIstioFile(name: string): boolean {
  return ISTIO_ROOTS.some((root) => name.startsWith(root));
}

function withPrefix(source: FileDescriptorProto, own: ReadonlySet<string>): FileDescriptorProto {
  const rename = (name: string) => (own.has(name) ? `istio/${name}` : name);
  const file = clone(FileDescriptorProtoSchema, source);
  file.name = rename(file.name);
  file.dependency = file.dependency.map(rename);
  return file;
}
