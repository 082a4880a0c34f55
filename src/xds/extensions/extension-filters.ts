/**
 * Extensions as Envoy filters, in their places among the filters of policies. A Wasm filter says only by which name its
 * configuration is to be asked for; a Lua filter holds its script.
 * Source: istio pilot/pkg/networking/core/extension, listener_builder.go buildHTTPConnectionManager, networkfilter.go.
 */
import { create } from '@bufbuild/protobuf';
import { type Filter, FilterSchema } from '#proto/envoy/config/listener/v3/listener_components_pb.ts';
import { LuaSchema } from '#proto/envoy/extensions/filters/http/lua/v3/lua_pb.ts';
import { RBACSchema as HttpRbacSchema } from '#proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts';
import { WasmSchema as HttpWasmSchema } from '#proto/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts';
import {
  type HttpFilter,
  HttpFilterSchema,
} from '#proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { RBACSchema as NetworkRbacSchema } from '#proto/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts';
import { WasmSchema as NetworkWasmSchema } from '#proto/envoy/extensions/filters/network/wasm/v3/wasm_pb.ts';
import type { ExtensionPhase } from '#model/traffic-extension.ts';
import type { ListenerExtension } from '#scope/extension.ts';
import { adsConfigSource } from '#xds/config-source.ts';
import { packAny } from '#xds/encode.ts';
import type { PolicyStages } from '#xds/filters/request-policy.ts';

/** What a Wasm filter's configuration may be: the module, or what the agent puts in its place when it can't be fetched. */
const HTTP_TYPES = [HttpWasmSchema, HttpRbacSchema].map(typeUrl);
const NETWORK_TYPES = [NetworkWasmSchema, NetworkRbacSchema].map(typeUrl);

/** HTTP filters of policies with the extensions between them. */
export function httpFiltersWith(
  policies: PolicyStages<HttpFilter>,
  extensions: readonly ListenerExtension[],
): HttpFilter[] {
  return interleaved(policies, extensions, httpExtensionFilter);
}

/** Network filters of policies with the extensions between them. */
export function networkFiltersWith(
  policies: PolicyStages<Filter>,
  extensions: readonly ListenerExtension[],
): Filter[] {
  return interleaved(policies, extensions, networkExtensionFilter);
}

function interleaved<F>(
  { custom, authn, authz }: PolicyStages<F>,
  extensions: readonly ListenerExtension[],
  build: (extension: ListenerExtension) => F,
): F[] {
  const of = (phase: ExtensionPhase): F[] =>
    extensions.filter((extension) => extension.phase === phase).map(build);
  return [
    ...custom,
    ...of('AUTHN'),
    ...authn,
    ...of('AUTHZ'),
    ...authz,
    ...of('STATS'),
    ...of('UNSPECIFIED'),
  ];
}

function httpExtensionFilter({ name, script }: ListenerExtension): HttpFilter {
  const configType =
    script === undefined
      ? ({ case: 'configDiscovery', value: discovery(HTTP_TYPES) } as const)
      : ({ case: 'typedConfig', value: packAny(LuaSchema, luaFilter(script)) } as const);
  return create(HttpFilterSchema, { name, configType });
}

function networkExtensionFilter({ name }: ListenerExtension): Filter {
  const configType = { case: 'configDiscovery', value: discovery(NETWORK_TYPES) } as const;
  return create(FilterSchema, { name, configType });
}

function luaFilter(script: string) {
  return create(LuaSchema, { defaultSourceCode: { specifier: { case: 'inlineString', value: script } } });
}

function discovery(typeUrls: readonly string[]) {
  return { configSource: adsConfigSource(), typeUrls: [...typeUrls] };
}

function typeUrl({ typeName }: { readonly typeName: string }): string {
  return `type.googleapis.com/${typeName}`;
}
