// Joins the three sources of descriptors into one ordered list for the code generator.
// Fills json_name (compiled programs leave it out) and cuts the list down to the roots and their imports.
// Pure; the order is by dependency, then by name.
import { clone } from '@bufbuild/protobuf';
import {
  type DescriptorProto,
  type FieldDescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt';

/** gRPC's own files carry a build path in their name; here they get the path that others import them by. */
const RENAMED_PREFIX = { from: 'src/proto/grpc/', to: 'grpc/' } as const;

/** Returns the files named by `roots` and all that they import, each behind its imports. */
export function selectFiles(
  known: ReadonlyMap<string, FileDescriptorProto>,
  roots: readonly string[],
): readonly FileDescriptorProto[] {
  const chosen = new Map<string, FileDescriptorProto>();
  const add = (name: string, importer: string): void => {
    if (chosen.has(name)) return;
    const file = known.get(name);
    if (file === undefined) throw new Error(`${importer} needs ${name}, which no source has`);
    for (const dependency of file.dependency) add(dependency, name);
    chosen.set(name, file);
  };
  for (const root of roots) {
    const names = root.endsWith('/')
      ? [...known.keys()].filter((name) => name.startsWith(root)).sort()
      : [root];
    if (names.length === 0) throw new Error(`the root ${root} names no file: remove it from roots.ts`);
    for (const name of names) add(name, 'roots.ts');
  }
  return [...chosen.values()].map(prepare);
}

function prepare(source: FileDescriptorProto): FileDescriptorProto {
  // A clone and not a spread: unset fields have their defaults on the prototype.
  const file = clone(FileDescriptorProtoSchema, source);
  for (const message of file.messageType) fillJsonNames(message);
  for (const extension of file.extension) fillJsonName(extension);
  file.name = renamed(file.name);
  file.dependency = file.dependency.map(renamed);
  return file;
}

function renamed(name: string): string {
  const { from, to } = RENAMED_PREFIX;
  return name.startsWith(from) ? to + name.slice(from.length) : name;
}

function fillJsonNames(message: DescriptorProto): void {
  for (const field of [...message.field, ...message.extension]) fillJsonName(field);
  for (const nested of message.nestedType) fillJsonNames(nested);
}

/** The rule of protoc: an underscore goes away and the character behind it turns upper case. */
function fillJsonName(field: FieldDescriptorProto): void {
  if (field.jsonName !== '') return;
  field.jsonName = field.name.replace(/_+(.?)/g, (_match, next: string) => next.toUpperCase());
}
