/**
 * A tiny proxy-wasm module, assembled byte by byte: it puts its plugin configuration into the response header `x-wasm`, or,
 * as a network filter, closes each connection that it meets. Proof that a module really runs, without a compiler.
 * Source: WebAssembly core specification 1.0, binary format; proxy-wasm ABI 0.2.1.
 */

const HEADER = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const I32 = 0x7f;
const HEADER_NAME = 'x-wasm';
/** Where the host writes pointer and length of the configuration, and where the header's name lies. */
const CONFIG_POINTER = 0;
const CONFIG_LENGTH = 4;
const NAME_AT = 16;
/** The host's copies begin behind the first page. */
const HEAP_AT = 65_536;

const op = { end: 0x0b, call: 0x10, drop: 0x1a, localGet: 0x20, globalGet: 0x23, globalSet: 0x24 } as const;
const I32_LOAD = [0x28, 2, 0];
const I32_ADD = 0x6a;

/** Options of the module. */
export interface WasmModuleOptions {
  /** As a network filter it closes new connections at once. */
  readonly closesConnections?: boolean;
  /** More bytes in a custom section, so that modules differ. */
  readonly note?: string;
}

/** The module's bytes. */
export function wasmModule({ closesConnections = false, note = '' }: WasmModuleOptions = {}): Buffer {
  const types = [
    funcType(5, 1), // 0: proxy_get_buffer_bytes, proxy_add_header_map_value
    funcType(0, 0), // 1: proxy_abi_version_0_2_1
    funcType(1, 1), // 2: proxy_on_memory_allocate, proxy_close_stream, proxy_on_new_connection
    funcType(2, 0), // 3: proxy_on_context_create
    funcType(2, 1), // 4: proxy_on_configure
    funcType(3, 1), // 5: proxy_on_response_headers
  ];
  const imports = [
    hostCall('proxy_get_buffer_bytes', 0),
    hostCall('proxy_add_header_map_value', 0),
    hostCall('proxy_close_stream', 2),
  ];
  const functions: readonly (readonly [name: string, type: number, body: readonly number[]])[] = [
    ['proxy_abi_version_0_2_1', 1, []],
    ['proxy_on_memory_allocate', 2, allocate()],
    ['proxy_on_context_create', 3, []],
    ['proxy_on_configure', 4, keepConfiguration()],
    ['proxy_on_response_headers', 5, addHeader()],
    ['proxy_on_new_connection', 2, closesConnections ? closeConnection() : constant(0)],
  ];
  return Buffer.from([
    ...HEADER,
    ...section(1, vector(types)),
    ...section(2, vector(imports)),
    ...section(3, vector(functions.map(([, type]) => [type]))),
    ...section(5, vector([[0, 2]])),
    ...section(6, vector([[I32, 1, ...constant(HEAP_AT), op.end]])),
    ...section(
      7,
      vector([
        [...text('memory'), 2, 0],
        ...functions.map(([name], index) => [...text(name), 0, imports.length + index]),
      ]),
    ),
    ...section(10, vector(functions.map(([, , body]) => sized([0, ...body, op.end])))),
    ...section(11, vector([[0, ...constant(NAME_AT), op.end, ...text(HEADER_NAME)]])),
    ...(note === '' ? [] : section(0, [...text('note'), ...Buffer.from(note)])),
  ]);
}

/** Takes memory from the top and gives the old top back. */
function allocate(): number[] {
  return [op.globalGet, 0, op.globalGet, 0, op.localGet, 0, I32_ADD, op.globalSet, 0];
}

/** proxy_get_buffer_bytes(PluginConfiguration, 0, size, &pointer, &length); then all is well. */
function keepConfiguration(): number[] {
  const size = [op.localGet, 1];
  const call = [...constant(7), ...constant(0), ...size, ...constant(CONFIG_POINTER)];
  return [...call, ...constant(CONFIG_LENGTH), op.call, 0, op.drop, ...constant(1)];
}

/** proxy_add_header_map_value(ResponseHeaders, name, configuration); then the stream goes on. */
function addHeader(): number[] {
  const name = [...constant(NAME_AT), ...constant(HEADER_NAME.length)];
  const value = [CONFIG_POINTER, CONFIG_LENGTH].flatMap((at) => [...constant(at), ...I32_LOAD]);
  return [...constant(2), ...name, ...value, op.call, 1, op.drop, ...constant(0)];
}

/** proxy_close_stream(Downstream); nothing of the connection goes on. */
function closeConnection(): number[] {
  return [...constant(2), op.call, 2, op.drop, ...constant(1)];
}

function hostCall(name: string, type: number): number[] {
  return [...text('env'), ...text(name), 0, type];
}

function funcType(parameters: number, results: number): number[] {
  return [0x60, parameters, ...Array(parameters).fill(I32), results, ...Array(results).fill(I32)];
}

/** i32.const */
function constant(value: number): number[] {
  return [0x41, ...signedLeb(value)];
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...sized(content)];
}

function vector(items: readonly (readonly number[])[]): number[] {
  return [...leb(items.length), ...items.flat()];
}

function sized(content: readonly number[]): number[] {
  return [...leb(content.length), ...content];
}

function text(value: string): number[] {
  return sized([...Buffer.from(value)]);
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
}

function signedLeb(value: number): number[] {
  return value < 64 ? [value] : [(value & 0x7f) | 0x80, ...signedLeb(value >>> 7)];
}
