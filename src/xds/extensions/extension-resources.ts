/**
 * Configurations of Wasm extensions as resources: one per extension, shared by all proxies that it is for, and for each
 * proxy the map of those that its listeners name. A pull secret is part of the configuration, which is then for proxies
 * whose identity is proven only.
 * Source: istio pilot/pkg/xds/ecds.go.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { SecretSpec } from '#api/secret.ts';
import type { Cause } from '#base/cause.ts';
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import type { Interner } from '#collections/interner.ts';
import { mapOf, type PersistentMap } from '#collections/persistent-map.ts';
import type { TrafficExtension, TrafficExtensionModel } from '#model/traffic-extension.ts';
import type { WasmModule } from '#model/wasm-module.ts';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import { extensionName, type WorkloadExtensions } from '#scope/extension.ts';
import { encodeResource } from '#xds/encode.ts';
import { isSameEntry } from '#xds/resource-entry.ts';
import { type ResourceEntry, TYPE_EXTENSION } from '#xds/resource.ts';
import { buildWasmConfig, type WasmConfigInput } from './wasm-config.ts';

export interface ExtensionResourceDeps {
  readonly model: TrafficExtensionModel;
  readonly secrets: Collection<MeshObject<SecretSpec>>;
  /** By proxy id. */
  readonly scope: Collection<WorkloadExtensions>;
  readonly interner: Interner;
}

/** Derives the configurations of each proxy that has any, keyed by proxy id; inner keys are resource names. */
export function createExtensionResources(
  engine: Engine,
  deps: ExtensionResourceDeps,
): Collection<PersistentMap<ResourceEntry>> {
  // Keys of extensions that some connected proxy has: others are not built.
  const wanted = engine.deriveMany('xds.wantedWasmConfigs', deps.scope, (_fetch, { configured }) =>
    configured.map((key) => [key, key] as const),
  );
  const resources = engine.derive(
    'xds.wasmConfigs',
    wanted,
    (fetch, key) => {
      const extension = fetch.get(deps.model.extensions, key);
      return extension?.code.kind === 'wasm'
        ? configEntry(fetch, extension, extension.code.module, deps)
        : undefined;
    },
    { equals: isSameEntry },
  );
  return engine.derive('xds.extensions', deps.scope, (fetch, { configured }) => {
    const entries = configured.flatMap((key) => {
      const entry = fetch.get(resources, key);
      return entry === undefined ? [] : [[entry.resource.name, entry] as const];
    });
    return entries.length === 0 ? undefined : mapOf(entries);
  });
}

function configEntry(
  fetch: Fetch,
  extension: TrafficExtension,
  module: WasmModule,
  { secrets, interner }: ExtensionResourceDeps,
): ResourceEntry {
  const { object, namespace, name, chain } = extension;
  const pullSecret = readPullSecret(fetch, module, secrets);
  const input: WasmConfigInput = {
    name: extensionName(extension),
    pluginId: `${namespace}.${name}`,
    chain,
    module,
    pullSecret: pullSecret.content,
  };
  const resource = interner.intern('wasmConfig', input, encodeConfig);
  return { resource, causes: [{ ...object, path: 'spec' }, ...pullSecret.causes] };
}

function encodeConfig(input: WasmConfigInput) {
  const config = buildWasmConfig(input);
  const resource = encodeResource(TypedExtensionConfigSchema, config, TYPE_EXTENSION, input.name);
  return input.pullSecret === '' ? resource : { ...resource, isConfidential: true };
}

const DOCKER_CONFIG_TYPE = 'kubernetes.io/dockerconfigjson';
const DOCKER_CONFIG_KEY = '.dockerconfigjson';

/** The Docker configuration in the Secret that the module names. Source: istio credentials GetDockerCredential. */
function readPullSecret(
  fetch: Fetch,
  { source }: WasmModule,
  secrets: Collection<MeshObject<SecretSpec>>,
): { readonly content: string; readonly causes: readonly Cause[] } {
  if (source.kind !== 'remote' || source.pullSecret === '') return { content: '', causes: [] };
  const secret = fetch.get(secrets, source.pullSecret);
  if (secret?.spec.type !== DOCKER_CONFIG_TYPE) return { content: '', causes: [] };
  const { kind, namespace, name } = secret;
  return {
    content: Buffer.from(secret.spec.data[DOCKER_CONFIG_KEY] ?? '', 'base64').toString(),
    causes: [{ kind, namespace, name, path: '' }],
  };
}
