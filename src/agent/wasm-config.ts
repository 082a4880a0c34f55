/**
 * Configurations of Wasm filters as the agent reads and rewrites them, by hand: where the module is to be fetched from, and the
 * same configuration with a file in its place. All that is not understood is copied as it stands; what the
 * control plane tells the agent (variables ISTIO_META_…, a pull secret among them) goes no further.
 * Source: envoy config/core/v3/{extension,base,http_uri}.proto, extensions/wasm/v3/wasm.proto, extensions/filters/{http,network}/rbac;
 * istio pkg/wasm/convert.go.
 */
import { WireReader, WireWriter } from '#base/proto-wire.ts';
import { Secret } from '#base/secret.ts';
import { fieldOf, mapFieldAt, mapFields } from './message-edit.ts';
import type { ModuleRequest, PullPolicy } from './wasm-cache.ts';

const TYPE_PREFIX = 'type.googleapis.com/';
const HTTP_WASM = `${TYPE_PREFIX}envoy.extensions.filters.http.wasm.v3.Wasm`;
const NETWORK_WASM = `${TYPE_PREFIX}envoy.extensions.filters.network.wasm.v3.Wasm`;
const HTTP_RBAC = `${TYPE_PREFIX}envoy.extensions.filters.http.rbac.v3.RBAC`;
const NETWORK_RBAC = `${TYPE_PREFIX}envoy.extensions.filters.network.rbac.v3.RBAC`;

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
  const { name, any } = readExtension(config);
  const { typeUrl, value } = readAny(any);
  if (typeUrl !== HTTP_WASM && typeUrl !== NETWORK_WASM) return undefined;
  const plugin = readPlugin(fieldOf(value, 1));
  const remote = fieldOf(fieldOf(plugin.vm, 3), 2);
  if (remote.length === 0) return undefined;
  const hints = readVariables(fieldOf(plugin.vm, 7));
  const uri = fieldOf(remote, 1);
  const secret = hints.get(SECRET_HINT);
  return {
    name,
    chain: typeUrl === HTTP_WASM ? 'http' : 'network',
    isOpen: plugin.isOpen,
    lacksSecret: secret === '',
    request: {
      url: textOf(fieldOf(uri, 1)),
      sha256: checksum(textOf(fieldOf(remote, 2))),
      resourceName: name,
      revision: hints.get(REVISION_HINT) ?? '',
      timeoutMs: readTimeout(fieldOf(uri, 3)),
      pullPolicy: POLICIES.get(hints.get(POLICY_HINT) ?? '') ?? 'unspecified',
      pullSecret: secret === undefined || secret === '' ? undefined : new Secret(secret),
    },
  };
}

/** The same TypedExtensionConfig with the module from a file. Errors: WireError. */
export function withLocalModule(config: Uint8Array, path: string): Uint8Array {
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

function readExtension(bytes: Uint8Array): { readonly name: string; readonly any: Uint8Array } {
  return { name: textOf(fieldOf(bytes, 1)), any: fieldOf(bytes, 2) };
}

function readAny(bytes: Uint8Array): { readonly typeUrl: string; readonly value: Uint8Array } {
  return { typeUrl: textOf(fieldOf(bytes, 1)), value: fieldOf(bytes, 2) };
}

function readPlugin(bytes: Uint8Array): { readonly vm: Uint8Array; readonly isOpen: boolean } {
  const reader = new WireReader(bytes);
  let vm: Uint8Array = new Uint8Array();
  let failOpen = false;
  let policy = 0;
  while (reader.next()) {
    if (reader.field === 3) vm = reader.bytes();
    else if (reader.field === 5) failOpen = reader.bool();
    else if (reader.field === 7) policy = reader.varint();
  }
  return { vm, isOpen: policy === 0 ? failOpen : policy === FAIL_OPEN };
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
  return Math.min(ms, MAX_TIMEOUT_MS);
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
