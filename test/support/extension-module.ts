/** Extension configurations as Envoy gets them behind an agent: the same module on disk instead of any that they name. */
import { create, fromBinary } from '@bufbuild/protobuf';
import { mapOf, type PersistentMap } from '#collections/persistent-map.ts';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import { AsyncDataSourceSchema } from '#proto/envoy/config/core/v3/base_pb.ts';
import { WasmSchema as HttpWasmSchema } from '#proto/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts';
import { WasmSchema as NetworkWasmSchema } from '#proto/envoy/extensions/filters/network/wasm/v3/wasm_pb.ts';
import { encodeResource, packAny } from '#xds/encode.ts';
import { type ResourceEntry, TYPE_EXTENSION } from '#xds/resource.ts';

/** Configurations of Wasm with that module in them; others as they are. */
export function withModule(
  extensions: PersistentMap<ResourceEntry>,
  filename: string,
): PersistentMap<ResourceEntry> {
  return mapOf(
    Array.from(extensions, ([name, entry]) => {
      const { resource, causes } = entry;
      const config = fromBinary(TypedExtensionConfigSchema, resource.bytes);
      const schema = [HttpWasmSchema, NetworkWasmSchema].find(
        ({ typeName }) => config.typedConfig?.typeUrl.endsWith(typeName) === true,
      );
      if (schema === undefined) return [name, entry];
      const wasm = fromBinary(schema, config.typedConfig?.value ?? new Uint8Array());
      const vm = wasm.config?.vm;
      if (vm?.case === 'vmConfig') {
        vm.value.code = create(AsyncDataSourceSchema, {
          specifier: { case: 'local', value: { specifier: { case: 'filename', value: filename } } },
        });
      }
      config.typedConfig = packAny(schema, wasm);
      return [
        name,
        { resource: encodeResource(TypedExtensionConfigSchema, config, TYPE_EXTENSION, name), causes },
      ];
    }),
  );
}
