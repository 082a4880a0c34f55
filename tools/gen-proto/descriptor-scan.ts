// Finds the protobuf file descriptors that Envoy carries inside its own executable.
// First step of tools/gen-proto.ts: the message types we generate are those of the very binary we run.
// Envoy is linked with the full protobuf runtime, which keeps each .proto file as one serialised
// FileDescriptorProto; such a record starts with field 1 (the file's name) and its fields are in number order.
// Cost: one pass over about 100 MB, below two seconds.
import { fromBinary } from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';

const NAME_TAG = 0x0a;
const MAX_NAME_BYTES = 127;
const MAX_DESCRIPTOR_BYTES = 2_000_000;
const LENGTH_DELIMITED = 2;
const VARINT = 0;
/** The fields FileDescriptorProto has, without source_code_info (9), which compiled programs never carry. */
const KNOWN_FIELDS = new Set([1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 14]);
const PROTO_SUFFIX = Buffer.from('.proto', 'latin1');

/** Returns the descriptors embedded in `program`, by file name; of several candidates for a name the largest. */
export function scanDescriptors(program: Buffer): Map<string, FileDescriptorProto> {
  const bytesByName = new Map<string, Uint8Array>();
  for (let at = program.indexOf(PROTO_SUFFIX); at >= 0; at = program.indexOf(PROTO_SUFFIX, at + 1)) {
    const nameEnd = at + PROTO_SUFFIX.length;
    const start = findRecordStart(program, nameEnd);
    if (start === undefined) continue;
    const record = program.subarray(start, findRecordEnd(program, start));
    const name = program.toString('latin1', start + 2, nameEnd);
    const known = bytesByName.get(name);
    if (known === undefined || known.length < record.length) bytesByName.set(name, record);
  }
  const found = new Map<string, FileDescriptorProto>();
  for (const name of [...bytesByName.keys()].sort()) {
    const descriptor = parseDescriptor(bytesByName.get(name) as Uint8Array);
    if (descriptor !== undefined) found.set(name, descriptor);
  }
  return found;
}

/** A record's head is `0x0a <length> <name>`; `nameEnd` is right behind a text that ends in `.proto`. */
function findRecordStart(program: Buffer, nameEnd: number): number | undefined {
  for (let length = PROTO_SUFFIX.length + 1; length <= MAX_NAME_BYTES; length++) {
    const start = nameEnd - length - 2;
    if (start < 0 || !isNameByte(program[nameEnd - length] ?? 0)) return undefined;
    if (program[start] === NAME_TAG && program[start + 1] === length) return start;
  }
  return undefined;
}

function isNameByte(byte: number): boolean {
  return byte > 0x20 && byte < 0x7f;
}

/** Walks whole fields in rising order; what follows a record (padding or the next record) breaks the order. */
function findRecordEnd(program: Buffer, start: number): number {
  let at = start;
  let lastField = 0;
  while (at < program.length) {
    const tag = readVarint(program, at);
    if (tag === undefined) break;
    const field = tag.value >>> 3;
    const inOrder = field > lastField || (field === lastField && field !== 1);
    if (!KNOWN_FIELDS.has(field) || !inOrder) break;
    const value = readVarint(program, tag.end);
    if (value === undefined) break;
    const wireType = tag.value & 7;
    if (wireType === LENGTH_DELIMITED) {
      if (value.value > MAX_DESCRIPTOR_BYTES || value.end + value.value > program.length) break;
      at = value.end + value.value;
    } else if (wireType === VARINT) {
      at = value.end;
    } else {
      break;
    }
    lastField = field;
  }
  return at;
}

function readVarint(
  program: Buffer,
  at: number,
): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let index = 0; index < 5; index++) {
    const byte = program[at + index];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, end: at + index + 1 };
  }
  return undefined;
}

/** A chance match of the head gives bytes that are no descriptor: those are not an error. */
function parseDescriptor(bytes: Uint8Array): FileDescriptorProto | undefined {
  try {
    return fromBinary(FileDescriptorProtoSchema, bytes);
  } catch {
    return undefined;
  }
}
