/** Which module on disk a Wasm filter's configuration names: the one thing about it that a spare Envoy is not asked. */
import { fromBinary } from '@bufbuild/protobuf';
import { TypedExtensionConfigSchema } from '#proto/envoy/config/core/v3/extension_pb.ts';
import { WasmSchema as HttpWasmSchema } from '#proto/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts';
import { WasmSchema as NetworkWasmSchema } from '#proto/envoy/extensions/filters/network/wasm/v3/wasm_pb.ts';
import type { ProbeResource } from './probe-bootstrap.ts';

/** The path; '' when the resource is anything else. */
export function moduleFileOf({ typeUrl, bytes }: ProbeResource): string {
  if (!typeUrl.endsWith(`/${TypedExtensionConfigSchema.typeName}`)) return '';
  const { typedConfig } = fromBinary(TypedExtensionConfigSchema, bytes);
  const schema = [HttpWasmSchema, NetworkWasmSchema].find(({ typeName }) =>
    typedConfig?.typeUrl.endsWith(`/${typeName}`),
  );
  if (typedConfig === undefined || schema === undefined) return '';
  const code = fromBinary(schema, typedConfig.value).config?.vm.value?.code?.specifier;
  return code?.case === 'local' && code.value.specifier.case === 'filename' ? code.value.specifier.value : '';
}
