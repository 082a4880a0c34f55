/**
 * Takes users' code out of what a spare Envoy is asked about: the control plane never runs a script or a module of a user (security
 * case T41). A Lua script is only compiled, so that its syntax is judged; in place of a WebAssembly module stands one that
 * does nothing, so that all around it is judged. Works on any message, however deep the code lies.
 */
import { createRequire } from 'node:module';
import type { DescField, DescMessage, Message, MessageShape, Registry } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { AsyncDataSourceSchema, type DataSource } from '#proto/envoy/config/core/v3/base_pb.ts';
import { VmConfigSchema, type VmConfig } from '#proto/envoy/extensions/wasm/v3/wasm_pb.ts';

/** All of Envoy's types take a second to load, so they come with the first question. */
const requireLater = createRequire(import.meta.url);

/** Deeper than Envoy's configuration goes. */
const MAX_DEPTH = 100;
const ANY = 'google.protobuf.Any';
const DATA_SOURCE = 'envoy.config.core.v3.DataSource';
/** Messages of Envoy's Lua extensions: filter, per-route configuration, cluster specifier, string matcher. */
const LUA_MESSAGE = /^envoy\..*\.lua\.v3\./;

/**
 * (module (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1"))
 *   (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0)))
 */
const IDLE_MODULE = Buffer.from(
  'AGFzbQEAAAABCQJgAABgAX8BfwMDAgABBQMBAAEHPwMGbWVtb3J5AgAXcHJveHlfYWJpX3ZlcnNpb25fMF8yXzEAABhwcm94eV9vbl9tZW1vcnlfYWxsb2NhdGUAAQoJAgIACwQAQQAL',
  'base64',
);

/** Changes the message in place, and gives it back. */
export function withoutUserCode<D extends DescMessage>(schema: D, message: MessageShape<D>): MessageShape<D> {
  walk(schema, message, { depth: 0, isLua: false });
  return message;
}

interface Place {
  readonly depth: number;
  /** Within a message of a Lua extension. */
  readonly isLua: boolean;
}

/** True when something has been changed. */
function walk(desc: DescMessage, message: Message, { depth, isLua }: Place): boolean {
  if (depth > MAX_DEPTH) return false;
  if (desc.typeName === ANY) return walkAny(message as Any, depth);
  if (desc.typeName === VmConfigSchema.typeName) return replaceModule(message as VmConfig);
  if (desc.typeName === DATA_SOURCE) return isLua && neutralise(message as DataSource);
  const inner = { depth: depth + 1, isLua: isLua || LUA_MESSAGE.test(desc.typeName) };
  let isChanged = false;
  for (const field of desc.fields) {
    for (const value of valuesOf(field, message))
      if (field.message !== undefined && walk(field.message, value, inner)) isChanged = true;
  }
  const script = inner.isLua ? (message as { inlineCode?: unknown }).inlineCode : undefined;
  if (typeof script === 'string' && script !== '') {
    (message as { inlineCode?: unknown }).inlineCode = compileOnly(script);
    return true;
  }
  return isChanged;
}

/** The messages in a field: none, one, or many. Wrappers and Struct are plain values in generated code and hold no code. */
function valuesOf(field: DescField, message: Message): readonly Message[] {
  if (field.message === undefined) return [];
  const holder = message as unknown as Readonly<Record<string, unknown>>;
  const value =
    field.oneof === undefined ? holder[field.localName] : chosen(holder[field.oneof.localName], field);
  const values =
    field.fieldKind === 'map'
      ? Object.values((value ?? {}) as object)
      : Array.isArray(value)
        ? value
        : [value];
  return values.filter(
    (one): one is Message => typeof one === 'object' && one !== null && '$typeName' in one,
  );
}

function chosen(oneof: unknown, field: DescField): unknown {
  const { case: name, value } = oneof as { readonly case?: string; readonly value?: unknown };
  return name === field.localName ? value : undefined;
}

function walkAny(any: Any, depth: number): boolean {
  const { envoyRegistry } = requireLater('#proto/registry.gen.ts') as { envoyRegistry: () => Registry };
  const desc = envoyRegistry().getMessage(any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1));
  if (desc === undefined) return false;
  const message = fromBinary(desc, any.value);
  if (!walk(desc, message, { depth: depth + 1, isLua: false })) return false;
  any.value = toBinary(desc, message);
  return true;
}

/** Variables go too: a pull secret may be among them. */
function replaceModule(vm: VmConfig): boolean {
  vm.code = create(AsyncDataSourceSchema, {
    specifier: { case: 'local', value: { specifier: { case: 'inlineBytes', value: IDLE_MODULE } } },
  });
  for (const name of Object.keys(vm.environmentVariables?.keyValues ?? {}))
    if (name.startsWith('ISTIO_META_')) delete vm.environmentVariables?.keyValues[name];
  return true;
}

function neutralise(source: DataSource): boolean {
  const { specifier } = source;
  const script =
    specifier.case === 'inlineString'
      ? specifier.value
      : specifier.case === 'inlineBytes'
        ? Buffer.from(specifier.value).toString('latin1')
        : '';
  // A file is one of the proxy's: there is nothing here to judge.
  source.specifier = { case: 'inlineString', value: compileOnly(script) };
  return true;
}

/** Lua that fails exactly when the script does not compile; every byte is escaped, so nothing of it can run. */
function compileOnly(script: string): string {
  const escaped = Array.from(Buffer.from(script), (byte) => `\\${String(byte).padStart(3, '0')}`).join('');
  return `assert(loadstring("${escaped}", "script"))`;
}
