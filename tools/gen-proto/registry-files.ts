// Writes the two registries beside the generated types: message name -> schema, for Any <-> JSON.
// A registry is a function, not a value: importing the file builds nothing by itself. Loading all of Envoy's types
// takes half a second and 100 MiB, so `registry-later.gen.ts` gives the registry to those who need it only at times.
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import { headerLine } from './code-generator.ts';

const WELL_KNOWN_FILES = ['any', 'duration', 'empty', 'field_mask', 'struct', 'timestamp', 'wrappers'];

/** Returns path (below src/proto) -> text of the registries and of `registry-later.gen.ts`. */
export function registryTexts(
  files: readonly FileDescriptorProto[],
  envoyOrigin: string,
  istioOrigin: string,
): Map<string, string> {
  const names = files.map((file) => file.name).filter((name) => !name.startsWith('google/protobuf/'));
  const isIstio = (name: string) => name.startsWith('istio/');
  return new Map([
    [
      'registry.gen.ts',
      registryText('envoyRegistry', names.filter((name) => !isIstio(name)).sort(), envoyOrigin),
    ],
    ['istio-registry.gen.ts', registryText('istioRegistry', names.filter(isIstio).sort(), istioOrigin)],
    ['registry-later.gen.ts', laterText(envoyOrigin)],
  ]);
}

/** The Envoy registry, loaded at the first call. */
function laterText(origin: string): string {
  return [
    headerLine(origin),
    "import { createRequire } from 'node:module';",
    "import type { Registry } from '@bufbuild/protobuf';",
    '',
    'const requireLater = createRequire(import.meta.url);',
    'let registry: Registry | undefined;',
    '',
    '/** The registry of every Envoy message. The first call loads all types: half a second, 100 MiB. */',
    'export function loadEnvoyRegistry(): Registry {',
    "  registry ??= (requireLater('./registry.gen.ts') as { envoyRegistry(): Registry }).envoyRegistry();",
    '  return registry;',
    '}',
    '',
  ].join('\n');
}

function registryText(functionName: string, protoNames: readonly string[], origin: string): string {
  const wellKnown = WELL_KNOWN_FILES.map((name) => `file_google_protobuf_${name}`);
  const own = protoNames.map((name) => ({
    constant: constantName(name),
    path: name.replace(/\.proto$/, '_pb.ts'),
  }));
  const lines = [
    headerLine(origin),
    "import { createRegistry, type Registry } from '@bufbuild/protobuf';",
    `import { ${wellKnown.join(', ')} } from '@bufbuild/protobuf/wkt';`,
    ...own.map(({ constant, path }) => `import { ${constant} } from './${path}';`),
    '',
    '/** Builds a registry of every message generated from this source; takes milliseconds, so keep the result. */',
    `export function ${functionName}(): Registry {`,
    '  return createRegistry(',
    ...[...wellKnown, ...own.map(({ constant }) => constant)].map((constant) => `    ${constant},`),
    '  );',
    '}',
    '',
  ];
  return lines.join('\n');
}

/** The name that protoc-gen-es gives to a file's descriptor. */
function constantName(protoName: string): string {
  return `file_${protoName.replace(/\.proto$/, '').replace(/[^a-zA-Z0-9_]/g, '_')}`;
}
