/**
 * A WebAssembly module as an object describes it, with defaults filled in: where it is, what it gets, and what happens
 * to traffic when it fails. Costs nothing but the record.
 * Source: istio pilot/pkg/model/extensions.go buildWasmConfig, buildVMConfig; credentials/resource.go.
 */
import { canonicalJson } from '#base/canonical-json.ts';
import type { WasmConfigJson } from '#proto/istio/extensions/v1alpha1/traffic_extension_pb.ts';

/** What happens to traffic that meets a module which cannot be loaded or has crashed. */
export type WasmFailure = 'FAIL_CLOSED' | 'FAIL_OPEN' | 'FAIL_RELOAD';

/** Where the module's bytes are. */
export type WasmSource =
  | { readonly kind: 'file'; readonly path: string }
  | {
      readonly kind: 'remote';
      readonly url: string;
      readonly sha256: string;
      readonly pullPolicy: '' | 'IfNotPresent' | 'Always';
      /** `namespace/name` of a Secret in the object's own namespace, '' when none is asked for. */
      readonly pullSecret: string;
      /** Hash of the object: a change lets an image be pulled again. */
      readonly revision: string;
    }
  /** There is none: the object is held back, and what it selects gets its failure policy. */
  | { readonly kind: 'none' };

/** Everything that the filter's configuration is made of. */
export interface WasmModule {
  readonly source: WasmSource;
  /** Name inside the module of the plugin that is meant, '' for any. */
  readonly pluginName: string;
  /** JSON text, '' when there is no configuration. */
  readonly configuration: string;
  readonly failure: WasmFailure;
  readonly environment: Readonly<Record<string, string>>;
  /** Names of the proxy's own environment variables that the module may see. */
  readonly hostEnvironment: readonly string[];
}

const FAILURES: Readonly<Record<string, WasmFailure>> = {
  FAIL_CLOSE: 'FAIL_CLOSED',
  FAIL_OPEN: 'FAIL_OPEN',
  FAIL_RELOAD: 'FAIL_RELOAD',
};
const FILE_SCHEME = 'file://';
const SCHEME = /^[a-zA-Z][a-zA-Z0-9+.-]*:\/\//;
const SECRET_SCHEME = 'kubernetes://';

/** The module of an object of that namespace. */
export function wasmModule(config: WasmConfigJson, namespace: string, revision: string): WasmModule {
  const { pluginName = '', pluginConfig, failStrategy = 'FAIL_CLOSE', vmConfig } = config;
  const isConfigured = pluginConfig !== undefined && Object.keys(pluginConfig).length > 0;
  const variables = vmConfig?.env ?? [];
  const environment: Record<string, string> = Object.create(null);
  for (const { name = '', value = '', valueFrom = 'INLINE' } of variables) {
    if (valueFrom === 'INLINE') environment[name] = value;
  }
  return {
    source: wasmSource(config, namespace, revision),
    pluginName,
    configuration: isConfigured ? canonicalJson(pluginConfig) : '',
    failure: FAILURES[failStrategy] ?? 'FAIL_CLOSED',
    environment,
    hostEnvironment: variables.filter(({ valueFrom }) => valueFrom === 'HOST').map(({ name = '' }) => name),
  };
}

function wasmSource(config: WasmConfigJson, namespace: string, revision: string): WasmSource {
  const { url = '', sha256 = '', imagePullPolicy, imagePullSecret = '' } = config;
  if (url === '') return { kind: 'none' };
  if (url.startsWith(FILE_SCHEME)) return { kind: 'file', path: url.slice(FILE_SCHEME.length) };
  const isPolicy = imagePullPolicy === 'IfNotPresent' || imagePullPolicy === 'Always';
  return {
    kind: 'remote',
    url: SCHEME.test(url) ? url : `oci://${url}`,
    sha256,
    pullPolicy: isPolicy ? imagePullPolicy : '',
    pullSecret: secretKey(imagePullSecret, namespace),
    revision,
  };
}

/** A Secret may be named as `kubernetes://name` too; whatever namespace that says, it is looked for in the object's own. */
function secretKey(text: string, namespace: string): string {
  if (text === '') return '';
  const name = text.startsWith(SECRET_SCHEME) ? text.slice(text.lastIndexOf('/') + 1) : text;
  return name.includes('/') || name === '' ? '' : `${namespace}/${name}`;
}
