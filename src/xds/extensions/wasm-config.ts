/**
 * The configuration of one Wasm filter, which Envoy asks for by name (ECDS). Modules elsewhere are named by their URL; the
 * agent fetches them and puts a file in its place, for which it gets hints in variables that the module never sees.
 * Source: istio pilot/pkg/model/extensions.go buildWasmConfig; pkg/model/wasm.go; pkg/wasm/convert.go (what stands in).
 */
import { create } from '@bufbuild/protobuf';
import { AnySchema, StringValueSchema } from '@bufbuild/protobuf/wkt';
import type { WasmFailure, WasmModule, WasmSource } from '#model/wasm-module.ts';
import {
  type TypedExtensionConfig,
  TypedExtensionConfigSchema,
} from '#proto/envoy/config/core/v3/extension_pb.ts';
import { RBACSchema as HttpRbacSchema } from '#proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts';
import { WasmSchema as HttpWasmSchema } from '#proto/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts';
import { RBACSchema as NetworkRbacSchema } from '#proto/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts';
import { WasmSchema as NetworkWasmSchema } from '#proto/envoy/extensions/filters/network/wasm/v3/wasm_pb.ts';
import {
  FailurePolicy,
  PluginConfigSchema,
  type VmConfigSchema,
} from '#proto/envoy/extensions/wasm/v3/wasm_pb.ts';
import { packAny } from '#xds/encode.ts';
import type { InitOf } from '#xds/message-init.ts';

/** Everything that one configuration is built from. */
export interface WasmConfigInput {
  /** Name of the resource. */
  readonly name: string;
  /** `namespace.name`, in logs and metrics of the proxy. */
  readonly pluginId: string;
  readonly chain: 'http' | 'network';
  readonly module: WasmModule;
  /** Content of the pull secret; '' when it is not there. */
  readonly pullSecret: string;
}

const FETCH_TIMEOUT_S = 30n;
/** Hints for the agent. Source: istio pkg/model/wasm.go. */
const SECRET_HINT = 'ISTIO_META_WASM_IMAGE_PULL_SECRET';
const POLICY_HINT = 'ISTIO_META_WASM_IMAGE_PULL_POLICY';
const REVISION_HINT = 'ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION';

const FAILURE_POLICIES: Readonly<Record<WasmFailure, FailurePolicy>> = {
  FAIL_CLOSED: FailurePolicy.FAIL_CLOSED,
  FAIL_OPEN: FailurePolicy.FAIL_OPEN,
  FAIL_RELOAD: FailurePolicy.FAIL_RELOAD,
};

/** Builds the configuration. */
export function buildWasmConfig(input: WasmConfigInput): TypedExtensionConfig {
  const { name, chain, module } = input;
  if (module.source.kind === 'none') return standIn(name, chain, module.failure);
  const { pluginName, configuration, failure } = module;
  const config = create(PluginConfigSchema, {
    name: input.pluginId,
    rootId: pluginName,
    configuration:
      configuration === ''
        ? create(AnySchema)
        : packAny(StringValueSchema, create(StringValueSchema, { value: configuration })),
    failurePolicy: FAILURE_POLICIES[failure],
    vm: { case: 'vmConfig', value: virtualMachine(input) },
  });
  const typedConfig =
    chain === 'http'
      ? packAny(HttpWasmSchema, create(HttpWasmSchema, { config }))
      : packAny(NetworkWasmSchema, create(NetworkWasmSchema, { config }));
  return create(TypedExtensionConfigSchema, { name, typedConfig });
}

function virtualMachine(input: WasmConfigInput): InitOf<typeof VmConfigSchema> {
  const { environment, hostEnvironment, source } = input.module;
  const keyValues = { ...environment, ...hints(source, input.pullSecret) };
  const hasVariables = hostEnvironment.length > 0 || Object.keys(keyValues).length > 0;
  return {
    runtime: 'envoy.wasm.runtime.v8',
    code: { specifier: moduleSource(source) },
    ...(hasVariables ? { environmentVariables: { hostEnvKeys: [...hostEnvironment], keyValues } } : {}),
  };
}

type SourceSpecifier = NonNullable<NonNullable<InitOf<typeof VmConfigSchema>['code']>['specifier']>;

function moduleSource(source: WasmSource): SourceSpecifier {
  if (source.kind !== 'remote') {
    const filename = source.kind === 'file' ? source.path : '';
    return { case: 'local', value: { specifier: { case: 'filename', value: filename } } };
  }
  return {
    case: 'remote',
    value: {
      httpUri: {
        uri: source.url,
        timeout: { seconds: FETCH_TIMEOUT_S, nanos: 0 },
        // Not a cluster of anybody's: the agent fetches, never Envoy.
        httpUpstreamType: { case: 'cluster', value: '_' },
      },
      sha256: source.sha256,
    },
  };
}

function hints(source: WasmSource, pullSecret: string): Readonly<Record<string, string>> {
  if (source.kind !== 'remote') return {};
  return {
    ...(source.pullSecret === '' ? {} : { [SECRET_HINT]: pullSecret }),
    ...(source.pullPolicy === '' ? {} : { [POLICY_HINT]: source.pullPolicy }),
    [REVISION_HINT]: source.revision,
  };
}

/** For an object that is held back: everything passes or nothing does, as its failure policy says. */
function standIn(name: string, chain: 'http' | 'network', failure: WasmFailure): TypedExtensionConfig {
  const isOpen = failure === 'FAIL_OPEN';
  const prefix = isOpen ? 'wasm-default-allow' : 'wasm-default-deny';
  // RBAC with rules, but none that matches, denies; without rules it does nothing.
  const rules = isOpen ? {} : { rules: {} };
  const typedConfig =
    chain === 'http'
      ? packAny(HttpRbacSchema, create(HttpRbacSchema, { ...rules, rulesStatPrefix: prefix }))
      : packAny(NetworkRbacSchema, create(NetworkRbacSchema, { ...rules, statPrefix: prefix }));
  return create(TypedExtensionConfigSchema, { name, typedConfig });
}
