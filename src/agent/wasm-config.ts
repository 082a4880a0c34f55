/**
 * Configurations of Wasm filters as the agent reads and rewrites them, by hand: where the module is to be fetched from, and the
 * same configuration with a file in its place. All that is not understood is copied as it stands; what the
 * control plane tells the agent (variables ISTIO_META_…, a pull secret among them) goes no further.
 * Source: envoy config/core/v3/{extension,base,http_uri}.proto, extensions/wasm/v3/wasm.proto, extensions/filters/{http,network}/rbac;
 * istio pkg/wasm/convert.go.
 */
import { parseDurationMs } from '#base/duration.ts';
import { WireReader, WireWriter } from '#base/proto-wire.ts';
import { Secret } from '#base/secret.ts';
import { fieldOf, mapFieldAt, mapFields } from './message-edit.ts';
import {
  objectValue,
  structFlag,
  structText,
  structTexts,
  structValue,
  withStructValue,
} from './struct-message.ts';
import type { ModuleRequest, PullPolicy } from './wasm-cache.ts';

const TYPE_PREFIX = 'type.googleapis.com/';
const HTTP_WASM = `${TYPE_PREFIX}envoy.extensions.filters.http.wasm.v3.Wasm`;
const NETWORK_WASM = `${TYPE_PREFIX}envoy.extensions.filters.network.wasm.v3.Wasm`;
const HTTP_RBAC = `${TYPE_PREFIX}envoy.extensions.filters.http.rbac.v3.RBAC`;
const NETWORK_RBAC = `${TYPE_PREFIX}envoy.extensions.filters.network.rbac.v3.RBAC`;

/** A message written as a Struct, under the type of either time. */
const TYPED_STRUCTS: ReadonlySet<string> = new Set([
  `${TYPE_PREFIX}udpa.type.v1.TypedStruct`,
  `${TYPE_PREFIX}xds.type.v3.TypedStruct`,
]);

const HINT_PREFIX = 'ISTIO_META_';
const SECRET_HINT = 'ISTIO_META_WASM_IMAGE_PULL_SECRET';
const POLICY_HINT = 'ISTIO_META_WASM_IMAGE_PULL_POLICY';
const REVISION_HINT = 'ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION';
const POLICIES: ReadonlyMap<string, PullPolicy> = new Map([
  ['IfNotPresent', 'if-not-present'],
  ['Always', 'always'],
]);
/** How long a fetch may take when the configuration does not say, and at most. */
const DEFAULT_TIMEOUT_MS = 5_000;
const MAX_TIMEOUT_MS = 300_000;
/** Of wasm.proto's FailurePolicy. */
const FAIL_OPEN = 3;

/** A Wasm filter whose module is elsewhere. */
export interface RemoteWasm {
  readonly name: string;
  readonly chain: 'http' | 'network';
  /** Traffic passes when the module cannot be had. */
  readonly isOpen: boolean;
  readonly request: ModuleRequest;
  /** The plugin names a pull secret, and the control plane had none for it. */
  readonly lacksSecret: boolean;
}

/** The remote Wasm in a TypedExtensionConfig; undefined when it is anything else. Errors: WireError. */
export function readRemoteWasm(config: Uint8Array): RemoteWasm | undefined {
  const name = textOf(fieldOf(config, 1));
  const any = fieldOf(config, 2);
  const [typeUrl, value] = [textOf(fieldOf(any, 1)), fieldOf(any, 2)];
  const isStruct = TYPED_STRUCTS.has(typeUrl);
  const wasmType = isStruct ? textOf(fieldOf(value, 1)) : typeUrl;
  if (wasmType !== HTTP_WASM && wasmType !== NETWORK_WASM) return undefined;
  const plugin = isStruct ? readStructPlugin(fieldOf(value, 2)) : readPlugin(fieldOf(value, 1));
  if (plugin === undefined) return undefined;
  const { hints } = plugin;
  const secret = hints.get(SECRET_HINT);
  return {
    name,
    chain: wasmType === HTTP_WASM ? 'http' : 'network',
    isOpen: plugin.isOpen,
    lacksSecret: secret === '',
    request: {
      url: plugin.url,
      sha256: checksum(plugin.sha256),
      resourceName: name,
      revision: hints.get(REVISION_HINT) ?? '',
      timeoutMs: Math.min(plugin.timeoutMs, MAX_TIMEOUT_MS),
      pullPolicy: POLICIES.get(hints.get(POLICY_HINT) ?? '') ?? 'unspecified',
      pullSecret: secret === undefined || secret === '' ? undefined : new Secret(secret),
    },
  };
}

/** The same TypedExtensionConfig with the module from a file. Errors: WireError. */
export function withLocalModule(config: Uint8Array, path: string): Uint8Array {
  if (TYPED_STRUCTS.has(textOf(fieldOf(fieldOf(config, 2), 1)))) {
    // TypedExtensionConfig.typed_config, Any.value, TypedStruct.value.
    return mapFieldAt(config, [2, 2, 2], (struct) => withLocalStruct(struct, path));
  }
  // TypedExtensionConfig.typed_config, Any.value, Wasm.config, PluginConfig.vm_config.
  return mapFieldAt(config, [2, 2, 1, 3], (vm) => {
    const local = new WireWriter().string(1, path).finish();
    const code = new WireWriter().bytes(1, local).finish();
    return mapFields(vm, (number, value) => {
      if (number === 3) return code;
      return number === 7 ? withoutHints(value) : value;
    });
  });
}

/** What stands in for a module that cannot be had: a filter that lets everything pass, or nothing. */
export function standInFor({ name, chain, isOpen }: RemoteWasm): Uint8Array {
  const prefix = isOpen ? 'wasm-default-allow' : 'wasm-default-deny';
  const rbac = new WireWriter();
  // Rules without a policy that matches deny; no rules do nothing.
  if (!isOpen) rbac.bytes(1, new Uint8Array());
  rbac.string(chain === 'http' ? 6 : 3, prefix);
  const typeUrl = chain === 'http' ? HTTP_RBAC : NETWORK_RBAC;
  const any = new WireWriter().string(1, typeUrl).bytes(2, rbac.finish()).finish();
  return new WireWriter().string(1, name).bytes(2, any).finish();
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

/** What of a plugin's configuration matters here. */
interface PluginFacts {
  readonly url: string;
  readonly sha256: string;
  readonly timeoutMs: number;
  readonly isOpen: boolean;
  readonly hints: ReadonlyMap<string, string>;
}

/** Of a PluginConfig; undefined when its module is not remote. */
function readPlugin(bytes: Uint8Array): PluginFacts | undefined {
  const reader = new WireReader(bytes);
  let vm: Uint8Array = new Uint8Array();
  let failOpen = false;
  let policy = 0;
  while (reader.next()) {
    if (reader.field === 3) vm = reader.bytes();
    else if (reader.field === 5) failOpen = reader.bool();
    else if (reader.field === 7) policy = reader.varint();
  }
  const remote = fieldOf(fieldOf(vm, 3), 2);
  if (remote.length === 0) return undefined;
  const uri = fieldOf(remote, 1);
  return {
    url: textOf(fieldOf(uri, 1)),
    sha256: textOf(fieldOf(remote, 2)),
    timeoutMs: readTimeout(fieldOf(uri, 3)),
    isOpen: policy === 0 ? failOpen : policy === FAIL_OPEN,
    hints: readVariables(fieldOf(vm, 7)),
  };
}

const CODE = ['config', 'vm_config', 'code'];
const VARIABLES = ['config', 'vm_config', 'environment_variables', 'key_values'];

/** The same of a Wasm filter written as a Struct, as EnvoyFilters have it. */
function readStructPlugin(struct: Uint8Array): PluginFacts | undefined {
  const remote = [...CODE, 'remote'];
  if (structValue(struct, remote).length === 0) return undefined;
  const timeout = parseDurationMs(structText(struct, [...remote, 'http_uri', 'timeout']));
  const policy = structText(struct, ['config', 'failure_policy']);
  return {
    url: structText(struct, [...remote, 'http_uri', 'uri']),
    sha256: structText(struct, [...remote, 'sha256']),
    timeoutMs: timeout.ok ? timeout.value : DEFAULT_TIMEOUT_MS,
    isOpen: policy === '' ? structFlag(struct, ['config', 'fail_open']) : policy === 'FAIL_OPEN',
    hints: structTexts(struct, VARIABLES),
  };
}

function withLocalStruct(struct: Uint8Array, path: string): Uint8Array {
  const local = objectValue(new Map([['local', objectValue(new Map([['filename', path]]))]]));
  const kept = [...structTexts(struct, VARIABLES)].filter(([name]) => !name.startsWith(HINT_PREFIX));
  return withStructValue(withStructValue(struct, CODE, local), VARIABLES, objectValue(new Map(kept)));
}

/** Control planes write "nil" where the user gave none. Source: istio pkg/wasm/convert.go. */
function checksum(text: string): string {
  return text === 'nil' ? '' : text;
}

function readTimeout(duration: Uint8Array): number {
  if (duration.length === 0) return DEFAULT_TIMEOUT_MS;
  const reader = new WireReader(duration);
  let ms = 0;
  while (reader.next()) {
    if (reader.field === 1) ms += reader.varint() * 1000;
    else if (reader.field === 2) ms += reader.varint() / 1e6;
  }
  return ms;
}

/** EnvironmentVariables.key_values. */
function readVariables(bytes: Uint8Array): ReadonlyMap<string, string> {
  const variables = new Map<string, string>();
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field !== 2) continue;
    const entry = reader.bytes();
    variables.set(textOf(fieldOf(entry, 1)), textOf(fieldOf(entry, 2)));
  }
  return variables;
}

function withoutHints(variables: Uint8Array): Uint8Array | undefined {
  const kept = mapFields(variables, (number, value) =>
    number === 2 && textOf(fieldOf(value, 1)).startsWith(HINT_PREFIX) ? undefined : value,
  );
  return kept.length === 0 ? undefined : kept;
}
