// Writes the two registries beside the generated types: message name -> schema, for Any <-> JSON.
// A registry is a function, not a value: importing the file builds nothing by itself.
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import { headerLine } from './code-generator.ts';

const WELL_KNOWN_FILES = ['any', 'duration', 'empty', 'field_mask', 'struct', 'timestamp', 'wrappers'];

/** Returns path (below src/proto) -> text of `registry.gen.ts` and `istio-registry.gen.ts`. */
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
  ]);
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
